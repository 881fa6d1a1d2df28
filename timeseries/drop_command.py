"""`python -m timeseries drop`: what is about to be removed, shown first."""

from dataclasses import dataclass

from core.kinds import KindId
from core.windows import Width, nominal_ms
from timeseries.store import MAX_POINTS, TimeseriesStore


@dataclass(frozen=True, slots=True)
class Found:
    """What a store has of one zone, kind and width in a range of time."""

    width: Width
    windows: int
    devices: int
    """The largest count of a window."""
    first: int
    """Start of the first window, milliseconds since the epoch."""
    last: int


async def found_in(store: TimeseriesStore, zone: str, kind: KindId, *, start: int, end: int) -> list[Found]:
    """What there is, width by width; those without a window are left out. Raises UnavailableError."""
    found = []
    for width in Width:
        known = await store.extent(zone, kind, width)
        if known is None:
            continue
        starts: list[int] = []
        devices = 0
        step = (MAX_POINTS - 1) * nominal_ms[width]
        # Years in which there is nothing are not walked through.
        for begin in range(max(start, known[0]), min(end, known[1] + 1), step):
            points = await store.history(
                zone=zone, kind=kind, width=width, start=begin, end=min(begin + step, end, known[1] + 1)
            )
            starts += [point.window.start for point in points]
            devices = max([devices, *(point.devices for point in points)])
        if starts:
            found.append(Found(width, len(starts), devices, min(starts), max(starts)))
    return found
