"""The hours of a range, in the campus's own time: SQL knows no time zones that DuckDB and Spark would agree on."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa

from analytics.calendar import Calendar

HOUR_MS = 3_600_000
MONDAY_MS = 4 * 24 * HOUR_MS
"""1970-01-05T00:00Z, a Monday: hours of the week are counted from there."""
_DAY_HOURS = 24

HOURS = pa.schema(
    [
        pa.field("at_ms", pa.int64(), nullable=False),  # when it begins, milliseconds since the epoch
        pa.field("day", pa.string(), nullable=False),  # of the campus, as 2026-11-23
        pa.field("weekday", pa.int64(), nullable=False),  # 0 is Monday
        pa.field("hour", pa.int64(), nullable=False),  # 0 to 23, of the campus
        pa.field("week_ms", pa.int64(), nullable=False),  # the same hour of the week of `MONDAY_MS`
        pa.field("days", pa.string(), nullable=False),  # term, holiday, or empty, as `Calendar.of` says
    ]
)


def week_ms(weekday: int, hour: int) -> int:
    """The hour of a week, as results of `profiles` have it: ms since the epoch, in the week of `MONDAY_MS`."""
    return MONDAY_MS + (weekday * _DAY_HOURS + hour) * HOUR_MS


def hours_between(start: int, end: int, zone: ZoneInfo, calendar: Calendar) -> pa.Table:
    """The whole hours of UTC that begin in [start, end), ms since the epoch; `zone` is the campus's.

    Of a campus whose clocks are not whole hours from UTC, each is the hour of the day that it begins in.
    """
    begins = range(-(-start // HOUR_MS) * HOUR_MS, end, HOUR_MS)
    local = [datetime.fromtimestamp(at // 1000, tz=UTC).astimezone(zone) for at in begins]
    return pa.table(
        [
            pa.array(begins, pa.int64()),
            pa.array([each.date().isoformat() for each in local], pa.string()),
            pa.array([each.weekday() for each in local], pa.int64()),
            pa.array([each.hour for each in local], pa.int64()),
            pa.array([week_ms(each.weekday(), each.hour) for each in local], pa.int64()),
            pa.array([calendar.of(each.date()) for each in local], pa.string()),
        ],
        schema=HOURS,
    )
