"""A backfill in parts of one day: what each of them counts, and which documents it needs for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.windows import Width, window_end, window_start

Ranges = Mapping[Width, tuple[int, int]]
"""For each width, the windows that begin in [first, end), milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Part:
    """The windows that begin in one day of the campus; every window of a backfill is in exactly one part."""

    windows: Ranges
    start: int
    """Documents from here on are needed, milliseconds since the epoch."""
    end: int
    """Documents from here on are not: the end of the last window, which may begin on one day and end on the next."""
    until: int
    """The end of the day."""


def whole_windows(start: int, end: int, zone: ZoneInfo) -> dict[Width, tuple[int, int]]:
    """For each width, the range from the start of the first window to the end of the last that have a part in it."""
    return {
        width: (window_start(width, start, zone), window_end(width, window_start(width, end - 1, zone), zone))
        for width in Width
    }


def part_of(ranges: Ranges, day: int, zone: ZoneInfo) -> Part:
    """The part of a backfill that is one day, by its first millisecond.

    Where days do not begin on the hour, an hour that began the day before belongs to the part of that day; in the first
    part, and in the last, there is what lies beyond their days, too.
    """
    until = window_end(Width.DAY, day, zone)
    first_day, last_end = ranges[Width.DAY]
    windows = {
        width: (first if day == first_day else max(first, day), end if until >= last_end else min(end, until))
        for width, (first, end) in ranges.items()
    }
    return Part(
        windows=windows,
        start=min(first for first, _ in windows.values()),
        end=max(
            window_end(width, window_start(width, end - 1, zone), zone)
            for width, (first, end) in windows.items()
            if first < end
        ),
        until=until,
    )


def day_of(at: int, zone: ZoneInfo) -> int:
    """The first day whose part counts what was observed at `at`: that of the window that began first."""
    return window_start(Width.DAY, min(window_start(width, at, zone) for width in Width), zone)
