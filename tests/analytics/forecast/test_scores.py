"""MASE: the mean absolute error beside that of the same hour last week."""

import numpy as np

from analytics.forecast.backtest import Backtest
from analytics.forecast.past import Floats
from analytics.forecast.scores import score


def backtest_of(came: Floats, naive: list[float], **said: Floats) -> Backtest:
    return Backtest(tuple(range(0, 24 * came.shape[0], 24)), said, came, np.array(naive))


def test_it_is_the_mean_error_in_units_of_the_naive_one() -> None:
    came = np.full((14, 1, 48), 10.0)
    found = score(backtest_of(came, [4.0], exact=came.copy(), off=came + 2.0, under=came - 1.0))
    assert {name: mase.tolist() for name, mase in found.mase.items()} == {"exact": [0.0], "off": [0.5], "under": [0.25]}


def test_all_models_are_scored_by_the_same_hours() -> None:
    came = np.full((14, 1, 48), 10.0)
    good, bad = came.copy(), came + 3.0
    # Where one is silent, none is scored; what was not recorded is nobody's error.
    good[:, :, :10] = np.nan
    bad[:, :, :10] = 1000.0
    came[0, 0, 20:] = np.nan
    found = score(backtest_of(came, [1.0], good=good, bad=bad))
    assert (found.mase["good"].tolist(), found.mase["bad"].tolist()) == ([0.0], [3.0])


def test_a_model_that_says_nothing_of_a_series_takes_the_score_from_no_other() -> None:
    came = np.full((14, 2, 48), 10.0)
    silent = came + 2.0
    silent[:, 1] = np.nan
    found = score(backtest_of(came, [1.0, 1.0], silent=silent, other=came + 3.0))
    np.testing.assert_array_equal(found.mase["silent"], [2.0, np.nan])
    np.testing.assert_array_equal(found.mase["other"], [3.0, 3.0])


def test_it_is_undefined_where_last_week_was_never_wrong() -> None:
    came = np.full((14, 2, 48), 10.0)
    found = score(backtest_of(came, [0.0, 2.0], model=came + 1.0))
    np.testing.assert_array_equal(found.mase["model"], [np.nan, 0.5])


def test_it_is_undefined_of_fewer_hours_than_a_week_has() -> None:
    came = np.full((28, 2, 48), np.nan)
    came[:3, :, :] = 10.0
    came[3, 0, :23] = 10.0
    came[3, 1, :24] = 10.0
    found = score(backtest_of(came, [1.0, 1.0], model=np.full((28, 2, 48), 12.0)))
    np.testing.assert_array_equal(found.mase["model"], [np.nan, 2.0])
