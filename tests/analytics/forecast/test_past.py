"""Hours of the campus's clocks, and which of them are known."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from analytics.forecast.past import Gathered, Past, day_kinds, hour_number, weekdays
from core.kinds import KindId
from core.windows import Width, Window
from tests.analytics.forecast.made_up import MONDAY, past_of_weeks
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, OccupancyPoint

DUBLIN = ZoneInfo("Europe/Dublin")
HOUR = 3_600_000
WHOLE = 2**60 - 1


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def point(start: int, devices: int, *, zone: str = "campus", kind: KindId = CAR) -> OccupancyPoint:
    return OccupancyPoint(Window(Width.HOUR, start, zone, kind), devices)


def past_of(
    points: Sequence[OccupancyPoint], recorded: Sequence[Coverage], *, start: int, end: int, zone: ZoneInfo
) -> Past:
    """Added hour by hour, as a store is asked day by day."""
    gathered = Gathered(start=start, end=end, zone=zone)
    for hour in range(start, end, HOUR):
        gathered.add(
            [each for each in points if each.window.start == hour], [each for each in recorded if each.hour == hour]
        )
    return gathered.past()


def test_an_hour_without_a_window_is_0_where_it_was_recorded_and_unknown_where_not() -> None:
    start = at("2026-11-23T08:00:00Z")
    recorded = [Coverage("campus", CAR, start + hour * HOUR, WHOLE) for hour in (0, 1, 3)]
    past = past_of([point(start, 7)], recorded, start=start, end=start + 4 * HOUR, zone=DUBLIN)
    assert past.names == (("campus", CAR),)
    np.testing.assert_array_equal(past.values, [[7.0, 0.0, np.nan, 0.0]])


def test_an_hour_of_which_less_than_54_minutes_were_recorded_is_unknown() -> None:
    start = at("2026-11-23T08:00:00Z")
    recorded = [Coverage("campus", CAR, start, 2**54 - 1), Coverage("campus", CAR, start + HOUR, 2**53 - 1)]
    points = [point(start, 7), point(start + HOUR, 8)]
    past = past_of(points, recorded, start=start, end=start + 2 * HOUR, zone=DUBLIN)
    np.testing.assert_array_equal(past.values, [[7.0, np.nan]])


def test_series_are_told_apart_by_zone_and_kind_and_what_was_never_recorded_is_none() -> None:
    start = at("2026-11-23T08:00:00Z")
    recorded = [Coverage(zone, kind, start, WHOLE) for zone in ("b", "a") for kind in (MOBILE, CAR)]
    points = [point(start, 1, zone="a"), point(start, 4, zone="b", kind=MOBILE), point(start, 9, zone="c")]
    past = past_of(points, recorded, start=start, end=start + HOUR, zone=DUBLIN)
    assert past.names == (("a", CAR), ("a", MOBILE), ("b", CAR), ("b", MOBILE))
    np.testing.assert_array_equal(past.values, [[1.0], [0.0], [0.0], [4.0]])


def test_an_hour_that_the_clocks_have_twice_is_the_mean_of_both() -> None:
    # At 2026-10-25T01:00Z it is 01:00 in Dublin for the second time.
    start = at("2026-10-25T00:00:00Z")
    recorded = [Coverage("campus", CAR, start + hour * HOUR, WHOLE) for hour in range(3)]
    points = [point(start, 2), point(start + HOUR, 6), point(start + 2 * HOUR, 9)]
    past = past_of(points, recorded, start=start, end=start + 3 * HOUR, zone=DUBLIN)
    np.testing.assert_array_equal(past.values, [[4.0, 9.0]])


def test_an_hour_that_the_clocks_leave_out_is_unknown() -> None:
    # At 2026-03-29T01:00Z it is 02:00 in Dublin.
    start = at("2026-03-29T00:00:00Z")
    recorded = [Coverage("campus", CAR, start + hour * HOUR, WHOLE) for hour in range(2)]
    past = past_of([point(start, 2), point(start + HOUR, 6)], recorded, start=start, end=start + 2 * HOUR, zone=DUBLIN)
    np.testing.assert_array_equal(past.values, [[2.0, np.nan, 6.0]])


def test_the_same_hour_of_a_day_is_24_numbers_away_whatever_clocks_do() -> None:
    before, after = at("2026-10-24T12:00:00+01:00"), at("2026-10-25T12:00:00+00:00")
    assert after - before == 25 * HOUR
    assert hour_number(after, DUBLIN) - hour_number(before, DUBLIN) == 24


def test_a_clock_that_is_half_an_hour_off_has_hours_as_well() -> None:
    # 03:00Z is 08:30 in Kolkata, 20,780 days after 1970-01-01.
    assert hour_number(at("2026-11-23T03:00:00Z"), ZoneInfo("Asia/Kolkata")) == 20_780 * 24 + 8


def test_weekdays_begin_with_monday() -> None:
    assert list(weekdays(MONDAY - 1, 3)) == [6, 0, 0]
    assert list(weekdays(MONDAY + 167, 2)) == [6, 0]


def test_each_hour_has_the_kind_of_its_day() -> None:
    def kind_of(day: date) -> str:
        return {date(1970, 1, 5): "term", date(1970, 1, 6): "holiday"}.get(day, "")

    assert list(day_kinds(MONDAY - 1, 26, kind_of)) == [0] + [1] * 24 + [2]


def test_what_was_known_at_an_earlier_time_does_not_lead_to_what_came_later() -> None:
    past = past_of_weeks(3)
    earlier = past.until(MONDAY + 168)
    assert (earlier.first, earlier.end) == (MONDAY, MONDAY + 168)
    assert earlier.values.base is None
    assert np.isnan(earlier.before(24, back=0)).all()
    np.testing.assert_array_equal(earlier.before(2, back=160), past.values[:, 8:10])
    assert past.until(MONDAY - 5).values.shape == (3, 0)
