"""Which windows were recorded: before and after, and in an outage, a 0 says that nothing is known."""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import pairwise

from timeseries.coverage import HOUR_MS, MINUTES, hour_of, minute_of


def unrecorded(
    instants: Sequence[int], minutes: Mapping[int, int], windows: Container[int], *, kept_since: int = 0
) -> Iterator[tuple[int, int]]:
    """Ranges of windows of which no minute was recorded, as long as possible, in order; milliseconds since the epoch.

    `instants` are where each window begins, and where the last one ends; `minutes` are as `timeseries.Record` has them;
    `windows` the starts of those that the store has, which were recorded whatever `minutes` says of their hours. Of
    what began before `kept_since`, nothing is known any more.
    """
    since: int | None = None
    for start, end in pairwise(instants):
        if start in windows or (start >= kept_since and _any_minute(minutes, start, end)):
            if since is not None:
                yield since, start
            since = None
        elif since is None:
            since = start
    if since is not None:
        yield since, instants[-1]


def _any_minute(masks: Mapping[int, int], start: int, end: int) -> bool:
    for hour in range(hour_of(start), end, HOUR_MS):
        mask = masks.get(hour, 0)
        if not mask:
            continue
        first = minute_of(start) if start > hour else 0
        after = minute_of(end) if end < hour + HOUR_MS else MINUTES
        # The first minute of an hour is the highest of 60 bits.
        if mask >> (MINUTES - after) & ((1 << (after - first)) - 1):
            return True
    return False
