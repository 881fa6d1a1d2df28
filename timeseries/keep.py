"""How long windows are kept: OCCUPANCY_KEEP."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from core.windows import Width

DAY_MS = 86_400_000
LEAST_DAYS, MOST_DAYS = 2, 36_500
"""Windows are written for 48 hours after they ended: what is kept for less would be refused each time."""
Keep = Mapping[Width, int]
"""Milliseconds, from the start of a window on; of a width that is not in it all windows are kept."""
ALL: Keep = MappingProxyType({})
_PART = re.compile(r"(1m|5m|1h|1d):(\d{1,5})d", re.ASCII)


def parse_keep(text: str) -> Keep:
    """How long windows of each width are kept, from `1m:30d,5m:365d`. Raises ValueError for anything else."""
    keep: dict[Width, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _PART.fullmatch(part)
        if not found or not LEAST_DAYS <= int(found[2]) <= MOST_DAYS:
            raise ValueError(
                f"{part[:20]!r} is not a width and a number of days such as 1m:30d: 1m, 5m, 1h or 1d, and from "
                f"{LEAST_DAYS}d to {MOST_DAYS}d"
            )
        if Width(found[1]) in keep:
            raise ValueError(f"{found[1]} is there twice")
        keep[Width(found[1])] = int(found[2]) * DAY_MS
    return MappingProxyType(keep)
