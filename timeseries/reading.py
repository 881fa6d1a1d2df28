"""Stored figures of single windows, which may lie far apart."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from core.kinds import KindId
from core.windows import Width, Window, nominal_ms
from timeseries.store import OccupancyStore

SPAN_WINDOWS = 20_000
"""The longest range of one read: two weeks of 1m windows, about 5 MB."""


async def stored_devices(store: OccupancyStore, windows: Iterable[Window]) -> dict[Window, int]:
    """The devices that the store has for each of the windows; one that was never written is left out.

    One read for each zone, kind and width, more only where its windows are farther apart than `SPAN_WINDOWS`. Raises
    UnavailableError.
    """
    starts: dict[tuple[str, KindId, Width], set[int]] = defaultdict(set)
    for window in windows:
        starts[window.zone, window.kind, window.width].add(window.start)
    found: dict[Window, int] = {}
    for (zone, kind, width), wanted in starts.items():
        for first, last in _ranges(sorted(wanted), SPAN_WINDOWS * nominal_ms[width]):
            points = await store.history(zone=zone, kind=kind, width=width, start=first, end=last + 1)
            found |= {point.window: point.devices for point in points if point.window.start in wanted}
    return found


def _ranges(starts: list[int], longest: int) -> Iterator[tuple[int, int]]:
    """First and last of the fewest ranges that hold all of `starts`, none of them longer than `longest`."""
    first = last = starts[0]
    for start in starts:
        if start - first >= longest:
            yield first, last
            first = start
        last = start
    yield first, last
