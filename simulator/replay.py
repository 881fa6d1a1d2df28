"""Recorded tracks, published as if their devices were on their way."""

import heapq
import time
from collections.abc import Callable

from core.clock import Clock, system_clock
from simulator.fix import DeviceFix
from simulator.message import payload
from simulator.pacing import paced
from simulator.plan import Plan
from simulator.publisher import Publisher
from simulator.tracks import Track


def merged(tracks: list[Track]) -> list[DeviceFix]:
    """The fixes of all tracks by time, each of the device that its track is named for; of a single one as they come."""
    return list(heapq.merge(*map(_of_its_device, tracks), key=lambda fix: fix.at_ms))


def replay(
    fixes: list[DeviceFix],
    *,
    publisher: Publisher,
    topic: str,
    plan: Plan,
    progress: Callable[[], None],
    clock: Clock = system_clock,
    elapsed: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Publish `fixes` to `topic`, as `plan` says, and return when all of them are acknowledged.

    `progress` is called after each step. Raises NotConnectedError if the server goes away and stays away, and
    ValueError if the plan does not fit them.
    """
    for each in plan.rounds(fixes, clock):
        for fix in paced(each, speed=plan.pace, elapsed=elapsed, sleep=sleep):
            publisher.publish(topic, payload(fix, fix.device))
            progress()
    publisher.wait_for_acknowledgements(progress)


def _of_its_device(track: Track) -> list[DeviceFix]:
    return [
        DeviceFix(
            longitude=fix.longitude,
            latitude=fix.latitude,
            at_ms=fix.at_ms,
            altitude=fix.altitude,
            accuracy=fix.accuracy,
            speed=fix.speed,
            heading=fix.heading,
            device=track.name,
        )
        for fix in track.fixes
    ]


def summary(publisher: Publisher, seconds: float) -> str:
    """One line that says how it went: `sent 2144, acknowledged 2144 in 1.9 s (1128/s)`."""
    rate = publisher.acknowledged / seconds if seconds > 0 else 0
    return f"sent {publisher.sent}, acknowledged {publisher.acknowledged} in {seconds:.1f} s ({rate:.0f}/s)"
