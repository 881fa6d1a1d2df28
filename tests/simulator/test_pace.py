"""When something of the campus's time is due."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from simulator.campus.calendar import Calendar
from simulator.campus.history_command import made_crowd
from simulator.campus.pace import Pace, busy_hours
from simulator.campus.settings import CrowdSettings
from tests.simulator.campuses import HOUR, IN_TERM, TUESDAY

PRESENCE_MS = 300_000
NOW = TUESDAY + 12 * HOUR
DUBLIN = ZoneInfo("Europe/Dublin")


def test_fast_motion_meets_the_present_after_five_minutes_and_goes_on_with_it() -> None:
    pace = Pace.meeting(NOW, 60)
    # 59 times five minutes ago.
    assert pace.start_ms == NOW - 17_700_000
    assert pace.due(pace.start_ms) == NOW
    assert pace.due(pace.start_ms + 60_000) == NOW + 1000
    assert pace.due(NOW + 300_000) == NOW + 300_000
    assert pace.due(NOW + 400_000) == NOW + 400_000
    assert pace.due(NOW + 299_400) == NOW + 299_990


@pytest.mark.parametrize("scale", [1, 2, 60, 3600])
def test_nothing_is_due_before_its_own_time_and_the_time_is_that_of_what_is_due(scale: float) -> None:
    pace = Pace.meeting(NOW, scale)
    for later in range(0, 1_200_000, 7_000):
        at_ms = pace.start_ms + later
        assert pace.due(at_ms) >= max(at_ms, NOW)
        assert pace.time_at(pace.due(at_ms)) == pytest.approx(at_ms, abs=scale)


def test_without_fast_motion_it_begins_now() -> None:
    assert Pace.meeting(NOW, 1) == Pace(NOW, NOW, 1)


def test_in_busy_hours_the_day_is_lived_as_it_is() -> None:
    assert busy_hours(NOW, DUBLIN, IN_TERM) is None
    assert busy_hours(TUESDAY + round(9.5 * HOUR), DUBLIN, IN_TERM) is None
    assert busy_hours(TUESDAY + 17 * HOUR - 1, DUBLIN, IN_TERM) is None


@pytest.mark.parametrize("hours", [3, 9.49, 17, 19.1, 23.5, 24 * 4 + 12, 24 * 5 + 12])
def test_while_few_are_on_the_campus_the_last_tuesday_is_lived_from_ten_to_eleven_on(hours: float) -> None:
    busy = busy_hours(TUESDAY + round(hours * HOUR), DUBLIN, IN_TERM)
    assert busy is not None
    assert TUESDAY + round(hours * HOUR) - busy.shift_ms == TUESDAY + round(10 * HOUR + 50 * 60_000)
    assert "Tuesday, 2026-11-24 10:50" in busy.why


@pytest.mark.parametrize("hours", [9.5, 13, 17])
def test_a_day_that_is_lived_as_it_is_fills_four_of_five_zones(hours: float) -> None:
    settings = CrowdSettings()
    at_ms = TUESDAY + round(hours * HOUR)
    crowd, fence = made_crowd(settings, devices=300, seed=7, calendar_file=None, near_ms=at_ms)
    moments = crowd.moments(at_ms - PRESENCE_MS, at_ms)
    last = {moment.unit.id: (moment.longitude, moment.latitude) for moment in moments}
    longitudes, latitudes = np.array(list(last.values())).T.copy()

    held = {zone for zones in fence.locate(longitudes, latitudes) for zone in zones or ()}
    # 22 zones, and the campus.
    assert len(held) >= 19


def test_in_summer_it_is_the_last_tuesday_of_a_term_and_without_terms_of_a_year_ago() -> None:
    august = TUESDAY - 100 * 24 * HOUR
    spring = Calendar(((date(2026, 1, 26), date(2026, 5, 8)),), frozenset({date(2026, 5, 5)}), frozenset())
    found = busy_hours(august, DUBLIN, spring)
    assert found is not None
    assert "2026-04-28" in found.why
    assert busy_hours(august, DUBLIN, Calendar((), frozenset(), frozenset())) is not None
