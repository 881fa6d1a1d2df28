"""A recorded track, published as if the device were on its way."""

import time
from collections.abc import Callable

from core.clock import Clock, system_clock
from simulator.fix import Fix
from simulator.message import payload
from simulator.pacing import paced
from simulator.plan import Plan
from simulator.publisher import Publisher


def replay(
    track: list[Fix],
    *,
    publisher: Publisher,
    topic: str,
    device: str,
    plan: Plan,
    progress: Callable[[], None],
    clock: Clock = system_clock,
    elapsed: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Publish the fixes of `track` to `topic`, as `plan` says, and return when all of them are acknowledged.

    `progress` is called after each step. Raises NotConnectedError if the server goes away and stays away, and
    ValueError if the plan does not fit the track.
    """
    for fixes in plan.rounds(track, clock):
        for fix in paced(fixes, speed=plan.pace, elapsed=elapsed, sleep=sleep):
            publisher.publish(topic, payload(fix, device))
            progress()
    publisher.wait_for_acknowledgements(progress)


def summary(publisher: Publisher, seconds: float) -> str:
    """One line that says how it went: `sent 2144, acknowledged 2144 in 1.9 s (1128/s)`."""
    rate = publisher.acknowledged / seconds if seconds > 0 else 0
    return f"sent {publisher.sent}, acknowledged {publisher.acknowledged} in {seconds:.1f} s ({rate:.0f}/s)"
