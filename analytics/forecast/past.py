"""What was counted, hour by hour, as models get it.

Hours are those of the campus's own clocks, numbered from 1970-01-01T00:00 on them: people come by the clock on the
wall, so the same hour of a day is always 24 numbers away, and of a week 168. Where clocks go forward an hour is
missing, which nobody recorded; where they go back one number stands for two hours, and their mean.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.kinds import KindId
from timeseries import Coverage, OccupancyPoint, recorded_minutes

HOUR_MS = 3_600_000
DAY = 24
WEEK = 168
LEAST_MINUTES = 54
"""Recorded minutes without which an hour counts as unknown."""
_THURSDAY = 3
"""The weekday of 1970-01-01; Monday is 0."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)

Name = tuple[str, KindId]
"""A zone and a kind: whose series it is."""
Floats = NDArray[np.float64]
DayKind = Callable[[date], str]
"""What kind of day a date is: `term`, `holiday` or empty (`analytics.calendar`)."""
DAY_KINDS = ("", "term", "holiday")


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of some series up to a moment, and of nothing after it."""

    first: int
    """The number of the first hour."""
    names: tuple[Name, ...]
    values: Floats
    """A row for each series, a column for each hour; NaN where it was not recorded."""

    @property
    def end(self) -> int:
        """The number of the first hour that is not known any more."""
        return self.first + int(self.values.shape[1])

    def until(self, hour: int) -> "Past":
        """What was known before an hour: a copy, from which nothing leads to what came later."""
        return replace(self, values=self.values[:, : max(hour - self.first, 0)].copy())

    def before(self, hours: int, *, back: int) -> Floats:
        """What was counted `back` hours before each of the next `hours` hours; NaN where that is not known.

        Nothing after the end is there to be read: what would be, is NaN.
        """
        return shifted(self.values, self.values.shape[1] - back, hours)


def shifted(values: Floats, begin: int, hours: int) -> Floats:
    """The columns [begin, begin + hours), NaN for those that are not there."""
    found = np.full((values.shape[0], hours), np.nan)
    low, high = max(begin, 0), min(begin + hours, values.shape[1])
    if low < high:
        found[:, low - begin : high - begin] = values[:, low:high]
    return found


def hour_number(at_ms: int, zone: ZoneInfo) -> int:
    """The number of the hour on the campus's clocks that a moment (ms since the epoch) lies in."""
    moment = datetime.fromtimestamp(at_ms // 1000, zone)
    offset = moment.utcoffset() or timedelta()
    return (at_ms + int(offset.total_seconds()) * 1000) // HOUR_MS


def weekdays(first: int, hours: int) -> NDArray[np.int64]:
    """The weekday of each hour, 0 for Monday."""
    return (np.arange(first, first + hours) // DAY + _THURSDAY) % 7


def day_kinds(first: int, hours: int, kind_of: DayKind) -> NDArray[np.int64]:
    """What kind of day each hour lies in, as places in `DAY_KINDS`."""
    days = {
        day: DAY_KINDS.index(kind_of(_EPOCH_DAY + timedelta(days=day)))
        for day in range(first // DAY, (first + hours - 1) // DAY + 1)
    }
    return np.array([days[hour // DAY] for hour in range(first, first + hours)], dtype=np.int64)


class Gathered:
    """A past in the making: what is added to it is not kept but for one number for each hour of a series."""

    def __init__(self, *, start: int, end: int, zone: ZoneInfo) -> None:
        """Of the hours in [start, end), ms since the epoch; `zone` is the campus's."""
        self._start = start
        self._end = end
        self._zone = zone
        self._first = hour_number(start, zone)
        self._columns = hour_number(max(end - 1, start), zone) - self._first + 1
        self._series: dict[Name, tuple[Floats, Floats]] = {}

    def add(self, points: Iterable[OccupancyPoint], recorded: Iterable[Coverage]) -> None:
        """Add windows of an hour with what was recorded of these hours.

        An hour of which at least `LEAST_MINUTES` were recorded is known, and is 0 where there is no window.
        """
        places: dict[int, int] = {}
        known: set[tuple[str, KindId, int]] = set()
        for each in recorded:
            if recorded_minutes(each.minutes) < LEAST_MINUTES or not self._start <= each.hour < self._end:
                continue
            if each.hour not in places:
                places[each.hour] = hour_number(each.hour, self._zone) - self._first
            known.add((each.zone, each.kind, each.hour))
            self._of(each.zone, each.kind)[1][places[each.hour]] += 1
        for point in points:
            window = point.window
            if (window.zone, window.kind, window.start) in known:
                self._of(window.zone, window.kind)[0][places[window.start]] += point.devices

    def past(self) -> Past:
        """What has been added. Series of which no hour is known are left out."""
        names = tuple(sorted(self._series))
        total = np.zeros((len(names), self._columns))
        hours = np.zeros_like(total)
        for row, name in enumerate(names):
            total[row], hours[row] = self._series[name]
        with np.errstate(invalid="ignore"):
            return Past(self._first, names, total / hours)

    def _of(self, zone: str, kind: KindId) -> tuple[Floats, Floats]:
        """The devices of each hour of a series, and how many hours that is."""
        name = zone, kind
        if name not in self._series:
            self._series[name] = np.zeros(self._columns), np.zeros(self._columns)
        return self._series[name]
