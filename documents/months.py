"""Months in UTC, `2026-11`: the boxes that documents are kept in; and days, `2026-11-30`, that they are dropped by."""

import re
from datetime import UTC, datetime

DAY_MS = 86_400_000
MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)
"""The name of a month."""


def month_of(time: int) -> str:
    """The month that a time lies in, milliseconds since the epoch. Names of months sort by time."""
    moment = datetime.fromtimestamp(time // 1000, tz=UTC)
    return f"{moment.year:04d}-{moment.month:02d}"


def month_start(month: str) -> int:
    """When a month begins, milliseconds since the epoch."""
    return int(datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC).timestamp()) * 1000


def month_after(month: str, months: int) -> str:
    """The month that many months later; earlier, if it is negative. Stays within the years 1970 to 9999."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    year, index = divmod(min(max(number, 1970 * 12), 9999 * 12 + 11), 12)
    return f"{year:04d}-{index + 1:02d}"


def month_end(month: str) -> int:
    """When a month is over: the beginning of the next one, milliseconds since the epoch."""
    last = month_after(month, 1)
    return month_start(last) if last != month else month_start(month) + 31 * DAY_MS


def day_start(time: int) -> int:
    """When the day in UTC begins that a time lies in; both in milliseconds since the epoch."""
    return time // DAY_MS * DAY_MS
