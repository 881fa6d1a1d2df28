"""What anybody could guess."""

import numpy as np

from analytics.forecast.baselines import LastWeek, TypicalWeek
from analytics.forecast.past import Past
from tests.analytics.forecast.made_up import MONDAY, no_calendar
from tests.kinds_of_tests import CAR


def weeks_of(*levels: float) -> Past:
    return Past(MONDAY, (("campus", CAR),), np.concatenate([np.full(168, level) for level in levels])[None, :])


def test_last_week_is_the_same_hour_a_week_ago() -> None:
    past = Past(MONDAY, (("campus", CAR),), np.arange(400.0)[None, :])
    np.testing.assert_array_equal(LastWeek().forecast(past, 3, no_calendar), [[232.0, 233.0, 234.0]])


def test_last_week_is_the_week_before_where_an_hour_was_not_recorded() -> None:
    past = weeks_of(1.0, 2.0, 3.0)
    past.values[0, -168] = np.nan
    np.testing.assert_array_equal(LastWeek().forecast(past, 2, no_calendar), [[2.0, 3.0]])


def test_a_typical_week_is_the_median_of_eight() -> None:
    past = weeks_of(1000.0, 1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0)
    np.testing.assert_array_equal(TypicalWeek().forecast(past, 2, no_calendar), [[27.0, 27.0]])


def test_a_typical_week_leaves_out_what_was_not_recorded() -> None:
    past = weeks_of(1.0, 2.0, 9.0)
    past.values[0, 168] = np.nan
    np.testing.assert_array_equal(TypicalWeek().forecast(past, 2, no_calendar), [[5.0, 2.0]])


def test_where_no_week_has_the_hour_nothing_is_said() -> None:
    past = weeks_of(np.nan, np.nan)
    assert np.isnan(LastWeek().forecast(past, 5, no_calendar)).all()
    assert np.isnan(TypicalWeek().forecast(past, 5, no_calendar)).all()
