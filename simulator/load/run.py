"""A load from its first message to its last answer."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from simulator.load.measured import Latency, Measured, Second
from simulator.load.schedule import Schedule

LAST_ANSWERS_SECONDS = 10.0
"""How long to wait, after the last message was due, for what has no answer yet."""
BUSY = 0.8
"""Of a core: a generator that needs more may itself be what is slow."""
LATE_MS = 50.0
"""And so may one that sends one message in a hundred so late."""
_LOOK_SECONDS = 0.002
_PROGRESS_SECONDS = 1.0


class Target(Protocol):
    """What a load goes to."""

    @property
    def under_way(self) -> int:
        """Messages without an answer."""
        ...

    def send(self, number: int, due: float) -> None:
        """Send a message that was due then; it never waits."""
        ...

    async def close(self) -> None:
        """End all; what has no answer is told as that."""
        ...


class Summary(msgspec.Struct, frozen=True):
    """What came of a load."""

    over: str
    rate: float
    connections: int
    seconds: float
    due: int
    sent: int
    answered: int
    answers: dict[str, int]
    broken: dict[str, int]
    answered_a_second: float
    """Until the last answer, or until nobody waited any more."""
    latency_ms: Latency
    """From when messages were due; those without an answer took as long as was waited."""
    lateness_ms: Latency
    """How late the generator was to send."""
    generator_cpu: float
    """Cores that the generator took."""
    generator_was_the_limit: bool
    by_second: list[Second]


async def run(
    target: Target,
    schedule: Schedule,
    measured: Measured,
    *,
    over: str,
    connections: int,
    elapsed: Callable[[], float],
    progress: Callable[[int], None],
) -> Summary:
    """Send what is due when it is due, and wait for the last answers.

    `progress` is told each second how many were due so far.
    """
    cpu = time.process_time()
    begun = measured.begun = elapsed()
    sent, shown = 0, begun
    while sent < schedule.total:
        now = elapsed()
        for number in range(sent, schedule.due_by(now - begun)):
            target.send(number, begun + schedule.due(number))
            sent = number + 1
        if now - shown >= _PROGRESS_SECONDS:
            shown = now
            progress(sent)
        await asyncio.sleep(max(_LOOK_SECONDS, begun + schedule.due(sent) - elapsed()))
    until = begun + schedule.seconds + LAST_ANSWERS_SECONDS
    while target.under_way and elapsed() < until:  # noqa: ASYNC110 - what answers is many connections, of either kind
        await asyncio.sleep(_LOOK_SECONDS)
    took = elapsed() - begun
    used = (time.process_time() - cpu) / took
    await target.close()
    return Summary(
        over=over,
        rate=schedule.rate,
        connections=connections,
        seconds=schedule.seconds,
        due=schedule.total,
        sent=measured.sent,
        answered=measured.answered,
        answers=dict(measured.answers),
        broken=dict(measured.broken),
        answered_a_second=round(measured.answered / max(took, schedule.seconds), 1),
        latency_ms=measured.latency,
        lateness_ms=measured.lateness,
        generator_cpu=round(used, 2),
        generator_was_the_limit=used > BUSY or measured.lateness.p99 > LATE_MS,
        by_second=measured.by_second(),
    )
