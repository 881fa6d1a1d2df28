"""The models that have to beat the baselines."""

import sys
from datetime import date

import numpy as np
import pytest

from analytics.forecast import trial
from analytics.forecast.backtest import Model
from analytics.forecast.baselines import LastWeek, TypicalWeek
from analytics.forecast.models import Mstl, Trees, models
from analytics.forecast.past import DAY, WEEK, DayKind, Floats, Past
from analytics.forecast.trial import promising
from tests.analytics.forecast.made_up import MONDAY, NAMES, no_calendar, past_of_weeks, usual_week


def test_mstl_goes_on_with_a_day_and_a_week() -> None:
    past = past_of_weeks(5, names=NAMES[:1])
    said = Mstl().forecast(past, 48, no_calendar)
    np.testing.assert_allclose(said[0], usual_week()[:48], atol=0.5)


def test_mstl_is_asked_of_a_series_only_where_each_fourth_origin_says_that_it_beats_the_baselines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past = past_of_weeks(7, names=NAMES[:2], noise=0.2)
    # One grows from day to day: last week is too little.
    past.values[0] *= np.linspace(1.0, 30.0, past.values.shape[1])
    baselines: list[Model] = [LastWeek(), TypicalWeek()]
    asked: list[tuple[int, int]] = []

    class Counting(Mstl):
        def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:
            asked.append((past.end, hours))
            said = np.full((2, hours), 0.0)
            said[0] = LastWeek().forecast(past, hours, kind_of)[0] * 1.05
            return said

    assert promising(past, Counting(), baselines, no_calendar) == {NAMES[0]}
    assert asked == [(past.end - back * DAY, 48) for back in (28, 24, 20, 16, 12, 8, 4)]
    monkeypatch.setattr(trial, "MOST_SERIES", 1)
    assert promising(past, Counting(), baselines, no_calendar) == frozenset()
    model = Mstl()
    model.only = frozenset(NAMES[1:2])
    said = model.forecast(past, 3, no_calendar)
    assert np.isnan(said[0]).all()
    assert not np.isnan(said[1]).any()


def test_mstl_takes_a_gap_for_what_is_usual() -> None:
    past = past_of_weeks(5, names=NAMES[:1])
    past.values[0, 3 * WEEK + 9 : 3 * WEEK + 2 * DAY] = np.nan
    said = Mstl().forecast(past, 48, no_calendar)
    np.testing.assert_allclose(said[0], usual_week()[:48], atol=1.0)


def test_mstl_says_nothing_of_less_than_two_weeks_and_0_of_a_zone_that_nobody_enters() -> None:
    past = past_of_weeks(5, names=NAMES[:2])
    past.values[0, : 3 * WEEK + 1] = np.nan
    past.values[1] = 0.0
    said = Mstl().forecast(past, 3, no_calendar)
    np.testing.assert_array_equal(said, [[np.nan] * 3, [0.0] * 3])


def test_trees_learn_what_the_calendar_makes_of_a_day() -> None:
    # Each Wednesday of an even week is a holiday, on which nobody comes.
    past = past_of_weeks(12)
    days = [week * 7 + 2 for week in range(0, 14, 2)]
    for day in days[:6]:
        past.values[:, day * DAY : (day + 1) * DAY] = 0.0

    def kind_of(day: date) -> str:
        return "holiday" if (day - date(1970, 1, 5)).days in days else "term"

    tuesday = past.until(MONDAY + 10 * WEEK + 1 * DAY)
    said = Trees().forecast(tuesday, 48, kind_of)
    usual = usual_week()[DAY : 2 * DAY]
    np.testing.assert_allclose(said[2, :24], 9 * usual, atol=0.1 * 9 * usual.max())
    assert said[2, 24:].max() < 0.25 * 9 * usual.max()


def test_trees_say_the_same_at_every_run() -> None:
    past = past_of_weeks(8, noise=0.3)
    first, second = (Trees().forecast(past, 48, no_calendar) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_trees_say_nothing_of_what_was_never_recorded() -> None:
    past = past_of_weeks(6)
    past.values[1] = np.nan
    said = Trees().forecast(past, 5, no_calendar)
    assert np.isnan(said).all(axis=1).tolist() == [False, True, False]


def test_trees_that_have_nothing_to_learn_from_say_nothing() -> None:
    assert np.isnan(Trees().forecast(past_of_weeks(1), 5, no_calendar)).all()


def test_trees_that_learned_later_are_not_used_for_an_earlier_past() -> None:
    past = past_of_weeks(8, noise=0.3)
    earlier = past.until(past.end - DAY)
    trees = Trees()
    trees.forecast(past, 48, no_calendar)
    np.testing.assert_array_equal(trees.forecast(earlier, 48, no_calendar), Trees().forecast(earlier, 48, no_calendar))


def test_no_model_says_less_than_nobody() -> None:
    values = np.concatenate([np.linspace(40.0, 0.0, 5 * WEEK), np.zeros(WEEK)])[None, :]
    past = Past(MONDAY, NAMES[:1], values)
    for model in (Mstl(), Trees()):
        assert model.forecast(past, 48, no_calendar).min() >= 0.0


@pytest.mark.parametrize("library", ["lightgbm", "statsforecast"])
def test_without_the_extra_there_is_no_model(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [model.name for model in models()] == ["mstl", "lightgbm"]
    monkeypatch.setitem(sys.modules, library, None)
    assert models() == []
