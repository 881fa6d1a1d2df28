"""When jobs are due, on the campus's clocks."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.clock import to_milliseconds

LastDue = Callable[[int], int]
"""The last time that something was due, of a moment; both are ms since the epoch."""


def daily(at: time, zone: ZoneInfo) -> LastDue:
    """Once a day, at a time on the clocks of a zone; where they skip it, an hour later."""

    def last(now: int) -> int:
        today = datetime.fromtimestamp(now / 1000, zone).date()
        for day in (today, today - timedelta(days=1), today - timedelta(days=2)):
            due = to_milliseconds(datetime.combine(day, at, zone))
            if due <= now:
                return due
        raise AssertionError("a day is over within two days")

    return last


def every(period_ms: int, *, after_ms: int = 0) -> LastDue:
    """At multiples of a period, and so much later; both in milliseconds."""

    def last(now: int) -> int:
        return (now - after_ms) // period_ms * period_ms + after_ms

    return last
