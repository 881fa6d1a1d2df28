"""What a load was answered: latencies from when messages were due, in histograms."""

from collections import Counter
from typing import Any

import msgspec
from hdrh.histogram import HdrHistogram

MOST_SECONDS = 60
"""A latency that is longer counts as this."""
_MICROSECONDS = 1_000_000
_MOST = MOST_SECONDS * _MICROSECONDS
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Latency(msgspec.Struct, frozen=True):
    """A distribution, in milliseconds; all 0 where there was nothing."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


class Second(msgspec.Struct, frozen=True):
    """What was due in one second."""

    second: int
    due: int
    known: int
    """Of how many it is known how long they took, or that they had no answer."""
    p50: float
    p99: float
    max: float


class Measured:
    """Collects, from one thread. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self.begun = 0.0
        """When the load began, by that clock."""
        self.sent = 0
        """Messages that were handed to the operating system, or to a buffer before it."""
        self.answered = 0
        self.answers: Counter[str] = Counter()
        """How the server answered, by its own words."""
        self.broken: Counter[str] = Counter()
        """Connections that ended, by why."""
        self._all = _histogram(3)
        self._late = _histogram(3)
        self._seconds: dict[int, Any] = {}
        self._due: Counter[int] = Counter()

    def was_sent(self, due: float, now: float) -> None:
        """A message that was due then goes out now."""
        self.sent += 1
        self._due[self._second(due)] += 1
        self._late.record_value(_clipped(now - due))

    def was_answered(self, due: float, now: float, answer: str) -> None:
        """The message that was due then has its answer."""
        self.answered += 1
        self.answers[answer] += 1
        self._record(due, now)

    def was_not_answered(self, due: float, now: float) -> None:
        """It never had one: it took as long as was waited, at the least."""
        self._record(due, now)

    @property
    def latency(self) -> Latency:
        """Of all messages, from when they were due."""
        return _latency(self._all)

    @property
    def lateness(self) -> Latency:
        """How late the generator itself was."""
        return _latency(self._late)

    def by_second(self) -> list[Second]:
        """Second by second of when messages were due."""
        return [
            Second(
                second=second,
                due=due,
                known=int(found.get_total_count()) if found is not None else 0,
                p50=_milliseconds(found, 50.0),
                p99=_milliseconds(found, 99.0),
                max=_milliseconds(found, 100.0),
            )
            for second, due in sorted(self._due.items())
            for found in (self._seconds.get(second),)
        ]

    def _record(self, due: float, now: float) -> None:
        value = _clipped(now - due)
        self._all.record_value(value)
        second = self._second(due)
        own = self._seconds.get(second)
        if own is None:
            own = self._seconds[second] = _histogram(2)
        own.record_value(value)

    def _second(self, due: float) -> int:
        return int(due - self.begun)


def _histogram(digits: int) -> Any:  # noqa: ANN401 - the library has no types
    return HdrHistogram(1, _MOST, digits)  # type: ignore[no-untyped-call]


def _clipped(seconds: float) -> int:
    return min(max(int(seconds * _MICROSECONDS), 1), _MOST)


def _latency(histogram: Any) -> Latency:  # noqa: ANN401 - the library has no types
    return Latency(*(_milliseconds(histogram, percentile) for percentile in (*PERCENTILES, 100.0)))


def _milliseconds(histogram: Any, percentile: float) -> float:  # noqa: ANN401 - the library has no types
    if histogram is None or not histogram.get_total_count():
        return 0.0
    return round(float(histogram.get_value_at_percentile(percentile)) / 1000, 3)
