"""The windows in which devices are counted, and how they are written in Redis.

Windows of 1m, 5m and 1h begin at whole multiples of their length since 1970-01-01T00:00Z. Windows of 1d are the
calendar days of the campus's time zone: 23 or 25 hours long when its clocks change.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

from core.kinds import KIND_ID, KindId

QUARTER_HOUR_MS = 15 * 60_000
CACHED_QUARTER_HOURS = 8192
"""About 85 days of one time zone."""
ZONE_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_START = re.compile(r"(1m|5m|1h|1d):(0|-?[1-9][0-9]{0,14})", re.ASCII)
_SERIES = re.compile(rf"({ZONE_ID}):({KIND_ID})", re.ASCII)
CACHED_SERIES = 16_384
"""Zones and kinds: of 8,000 zones."""
_ONE_DAY = timedelta(days=1)


class Width(StrEnum):
    """How long a window is."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"


_WIDTHS = {width.value: width for width in Width}

nominal_ms: Mapping[Width, int] = MappingProxyType(
    {Width.MINUTE: 60_000, Width.FIVE_MINUTES: 300_000, Width.HOUR: 3_600_000, Width.DAY: 86_400_000}
)
"""Milliseconds of each width. Right for all but the days on which clocks change, which are an hour off: for expiry."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one zone and kind."""

    width: Width
    start: int
    """Its first millisecond, since the epoch, UTC. A day in 1970 can begin before the epoch."""
    zone: str
    kind: KindId

    @property
    def member(self) -> str:
        """Its name in Redis (`state.windows`)."""
        return f"{self.width}:{self.start}:{self.zone}:{self.kind}"

    @classmethod
    def parse(cls, member: str) -> "Window":
        """The window of a name, of whatever kind. Raises ValueError for what no `member` gives."""
        # Each half is in many names: a moment is that of all zones, and a zone and kind have many moments.
        half = member.find(":", member.find(":") + 1)
        start, series = _start(member[:half]), _series(member[half + 1 :])
        if start is None or series is None:
            raise ValueError(f"{member[:120]!r} is not a window such as 5m:1550480100000:campus:car")
        return cls(*start, *series)


@lru_cache(maxsize=CACHED_SERIES)
def _start(text: str) -> tuple[Width, int] | None:
    found = _START.fullmatch(text)
    return (_WIDTHS[found[1]], int(found[2])) if found else None


@lru_cache(maxsize=CACHED_SERIES)
def _series(text: str) -> tuple[str, KindId] | None:
    found = _SERIES.fullmatch(text)
    return (found[1], KindId(found[2])) if found else None


def window_start(width: Width, at_ms: int, zone: ZoneInfo) -> int:
    """The first millisecond of the window that holds `at_ms`; `zone` is the campus's, it decides about days.

    Both are milliseconds since the epoch, UTC. Raises ValueError for a day outside the years 1 to 9999.
    """
    if width is Width.DAY:
        return _day(at_ms, zone)[0]
    return at_ms - at_ms % nominal_ms[width]


def window_end(width: Width, start_ms: int, zone: ZoneInfo) -> int:
    """The first millisecond after the window that begins at `start_ms`. Raises ValueError as `window_start` does."""
    if width is Width.DAY:
        return _day(start_ms, zone)[1]
    return start_ms + nominal_ms[width]


def windows_between(width: Width, start_ms: int, end_ms: int, zone: ZoneInfo) -> Iterator[int]:
    """The starts of the windows that have a part in [start_ms, end_ms), in order; none where that range is empty.

    The first can begin before `start_ms`. Lazy: a range of ten years at 1m is five million windows, so ask for what
    you can hold.
    """
    if start_ms >= end_ms:
        return
    start = window_start(width, start_ms, zone)
    if width is not Width.DAY:
        yield from range(start, end_ms, nominal_ms[width])
        return
    while start < end_ms:
        yield start
        start = window_end(width, start, zone)


def _day(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the day that holds `at_ms`."""
    quarter = at_ms - at_ms % QUARTER_HOUR_MS
    start, end = _day_of_quarter_hour(quarter, zone)
    # Days of today's time zones change at quarter hours of UTC; Liberia's did not in 1970.
    return (start, end) if at_ms < end else _find_day(at_ms, zone)


@lru_cache(maxsize=CACHED_QUARTER_HOURS)
def _day_of_quarter_hour(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    return _find_day(at_ms, zone)


def _find_day(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    try:
        day = datetime.fromtimestamp(at_ms // 1000, zone).date()
        start, end = _midnight(day, zone), _midnight(day + _ONE_DAY, zone)
        # Where clocks go back over midnight (St. John's, until 2011), some minutes have the date of a day that is over,
        # or of one that has not begun: days are cut at the first midnight, so that they follow one another.
        if at_ms < start:
            return _midnight(day - _ONE_DAY, zone), start
        if at_ms >= end:
            return end, _midnight(day + 2 * _ONE_DAY, zone)
    except (OverflowError, ValueError, OSError) as error:
        raise ValueError(f"{at_ms} ms since the epoch is no time in the years 1 to 9999") from error
    return start, end


def _midnight(day: date, zone: ZoneInfo) -> int:
    # Where clocks skip midnight, this is the moment at which they do.
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int((midnight.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
