"""When jobs are due."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from analytics.schedule import daily, every

DUBLIN = ZoneInfo("Europe/Dublin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-07-01T03:00:00+01:00", "2026-07-01T02:00:00Z"),
        ("2026-07-01T02:59:59+01:00", "2026-06-30T02:00:00Z"),
        ("2026-12-01T23:59:59Z", "2026-12-01T03:00:00Z"),
        ("2026-12-01T00:00:00Z", "2026-11-30T03:00:00Z"),
        # Clocks went forward at one, and back at two.
        ("2026-03-29T03:00:00+01:00", "2026-03-29T02:00:00Z"),
        ("2026-10-25T03:00:00Z", "2026-10-25T03:00:00Z"),
        ("2026-10-25T02:59:59Z", "2026-10-24T02:00:00Z"),
    ],
)
def test_a_night_is_at_three_on_the_clocks_of_the_campus(now: str, due: str) -> None:
    assert daily(time(3), DUBLIN)(at(now)) == at(due)


def test_a_time_that_clocks_leave_out_is_an_hour_later() -> None:
    # There was no half past one in Dublin on that day.
    last = daily(time(1, 30), DUBLIN)
    assert last(at("2026-03-29T01:30:00Z")) == at("2026-03-29T01:30:00Z")
    assert last(at("2026-03-29T01:29:59Z")) == at("2026-03-28T01:30:00Z")


def test_every_five_minutes_is_a_minute_after_each_window() -> None:
    last = every(300_000, after_ms=60_000)
    assert last(at("2026-12-01T10:06:00Z")) == at("2026-12-01T10:06:00Z")
    assert last(at("2026-12-01T10:05:59Z")) == at("2026-12-01T10:01:00Z")
