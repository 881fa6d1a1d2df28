"""At each origin a model knows what was known then, and nothing else."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from analytics.forecast.backtest import HORIZON, LEAST_BEFORE, Model, backtest
from analytics.forecast.baselines import LastWeek, TypicalWeek
from analytics.forecast.models import Mstl, Trees
from analytics.forecast.past import DAY, WEEK, DayKind, Floats, Past
from tests.analytics.forecast.made_up import MONDAY, NAMES, no_calendar, past_of_weeks


@dataclass
class Listening:
    """A model that remembers what it was given."""

    name: str = "listening"
    given: list[Past] = field(default_factory=list)

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - it asks nobody
        self.given.append(past)
        return np.zeros((len(past.names), hours))


def test_there_are_28_origins_a_day_apart_and_the_last_is_a_day_before_the_end() -> None:
    past = past_of_weeks(10)
    model = Listening()
    tested = backtest(past, [model], no_calendar)
    assert tested is not None
    assert tested.origins == tuple(past.end - 24 * back for back in range(28, 0, -1))
    assert [given.end for given in model.given] == list(tested.origins)
    assert tested.came.shape == (28, 3, 48)
    # Of the last one, the second day is yet to come.
    np.testing.assert_array_equal(np.isnan(tested.came[-1, 0]), [False] * 24 + [True] * 24)


def test_a_model_is_given_a_copy_of_what_was_before_its_origin() -> None:
    past = past_of_weeks(10)
    model = Listening()
    backtest(past, [model], no_calendar)
    for given in model.given:
        assert not np.shares_memory(given.values, past.values)
        np.testing.assert_array_equal(given.values, past.values[:, : given.end - past.first])


@pytest.mark.parametrize("model", [LastWeek(), TypicalWeek(), Mstl(), Trees()], ids=lambda model: model.name)
def test_what_came_after_an_origin_changes_nothing_that_is_said_at_it(model: Model) -> None:
    past = past_of_weeks(5, names=NAMES[:1], noise=0.2)
    origin = past.end - 14 * DAY
    poisoned = replace(past, values=past.values.copy())
    poisoned.values[:, origin - past.first :] = 1e6
    # The origins before the poison, and the one that it begins at.
    fresh = Trees() if isinstance(model, Trees) else model
    tested, other = (backtest(each, [maker], no_calendar) for each, maker in ((past, model), (poisoned, fresh)))
    assert tested is not None
    assert other is not None
    before = [place for place, each in enumerate(tested.origins) if each <= origin]
    assert before
    np.testing.assert_array_equal(tested.said[model.name][before], other.said[model.name][before])
    np.testing.assert_array_equal(tested.naive, other.naive)


def test_less_than_two_weeks_before_fourteen_origins_is_too_short() -> None:
    assert backtest(past_of_weeks(4), [Listening()], no_calendar) is not None
    shorter = past_of_weeks(4).until(MONDAY + 4 * WEEK - 1)
    assert backtest(shorter, [Listening()], no_calendar) is None
    assert LEAST_BEFORE == 2 * WEEK


def test_hours_before_anything_was_recorded_are_no_past() -> None:
    past = past_of_weeks(8)
    past.values[:, : 3 * WEEK] = np.nan
    tested = backtest(past, [Listening()], no_calendar)
    assert tested is not None
    assert len(tested.origins) == 21
    past.values[:, : 5 * WEEK] = np.nan
    assert backtest(past, [Listening()], no_calendar) is None
    past.values[:] = np.nan
    assert backtest(past, [Listening()], no_calendar) is None


def test_the_naive_error_is_of_the_hours_before_the_first_origin() -> None:
    past = past_of_weeks(6, names=NAMES[:1])
    first = past.end - 28 * DAY - past.first
    # A week, a week that is 3 more, and then whatever.
    past.values[0, :WEEK] = 10.0
    past.values[0, WEEK : 2 * WEEK] = 13.0
    past.values[0, 5] = np.nan
    past.values[0, first:] = 500.0
    tested = backtest(past, [Listening()], no_calendar)
    assert tested is not None
    assert first == 2 * WEEK
    assert tested.naive.tolist() == [3.0]
    assert HORIZON == 48
