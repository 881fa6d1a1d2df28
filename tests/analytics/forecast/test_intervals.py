"""How sure a forecast is, by how wrong it was."""

import numpy as np

from analytics.forecast.intervals import interval, quantiles


def test_the_interval_is_made_of_the_errors_of_the_backtest() -> None:
    # Of a forecast of 3 the unit is 2; errors of -4, -3, ... 5 devices.
    said = np.full((10, 1), 3.0)
    came = said + np.arange(-4.0, 6.0)[:, None]
    low, high = interval(np.array([15.0]), said, came)
    # Of 15 the unit is 4, and the quantiles of the errors are -3.1 and 4.1 devices of a unit of 2.
    np.testing.assert_allclose((low, high), ([15.0 - 2 * 3.1], [15.0 + 2 * 4.1]))


def test_an_hour_has_the_errors_of_the_hours_beside_it_as_well() -> None:
    errors = np.array([[0.0, 0.0, 0.0, 8.0, 0.0, 0.0]])
    _, highs = quantiles(errors, 0.1, 1.0)
    assert highs.tolist() == [0.0, 0.0, 8.0, 8.0, 8.0, 0.0]


def test_where_no_error_is_known_it_is_that_of_all_hours() -> None:
    errors = np.full((2, 5), np.nan)
    errors[:, 4] = [1.0, 2.0]
    lows, highs = quantiles(errors, 0.0, 1.0)
    assert (lows.tolist(), highs.tolist()) == ([1.0] * 5, [2.0] * 5)
    assert quantiles(np.full((2, 2), np.nan))[0].tolist() == [0.0, 0.0]


def test_the_forecast_lies_in_its_interval_and_nothing_is_below_0() -> None:
    said = np.full((10, 2), 1.0)
    # It was too low each time; and too high each time.
    came = said + np.array([5.0, -1.0])
    low, high = interval(np.array([0.5, 0.5]), said, np.stack([came[:, 0]] * 2, axis=1))
    assert low.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(high, 0.5 + 5.0 * 0.75**0.5)
    low, high = interval(np.array([0.5, 0.5]), said, np.stack([came[:, 1]] * 2, axis=1))
    assert (low.tolist(), high.tolist()) == ([0.0, 0.0], [0.5, 0.5])
