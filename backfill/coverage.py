"""What a backfill knows of coverage: a minute that holds a device was recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from core.kinds import KindId
from timeseries.coverage import HOUR_MS, Coverage, CoverageStore, hour_of, minute_bit

Recorded = dict[tuple[KindId, int], int]
"""Minutes by kind and start of the hour, as `Coverage.minutes` has them."""


def minutes_with_devices(windows: Mapping[KindId, Iterable[int]]) -> Recorded:
    """The minutes of 1m windows with a device, which are given by their starts in milliseconds since the epoch."""
    recorded: Recorded = defaultdict(int)
    for kind, starts in windows.items():
        for start in starts:
            recorded[kind, hour_of(start)] |= minute_bit(start)
    return recorded


async def add_recorded(store: CoverageStore, kind: KindId, hour: int, minutes: int, zones: Iterable[str]) -> None:
    """Have minutes of an hour recorded in all zones, beside those that are so already. Raises UnavailableError."""
    stored = {each.zone: each.minutes for each in await store.coverage(kind, start=hour, end=hour + HOUR_MS)}
    changed = [
        Coverage(zone, kind, hour, minutes | stored.get(zone, 0))
        for zone in sorted(zones)
        if minutes & ~stored.get(zone, 0)
    ]
    if changed:
        await store.write_coverage(changed)
