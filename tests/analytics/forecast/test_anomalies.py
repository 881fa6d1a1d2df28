"""A quarter of an hour that is unlike the forecast."""

import numpy as np
import pytest

from analytics.forecast.anomalies import Anomaly, anomaly
from analytics.forecast.spread import SLOTS, Spread

NINE = 1_550_480_400_000
FIVE = 300_000
HOUR = 3_600_000
# 15 are expected, the unit is 4: from 3 to 31 is as it may be.
SPREAD = Spread(np.full(SLOTS, 0.5), np.full(SLOTS, -1.0), np.full(SLOTS, 1.0), -3.0, 4.0)
FORECAST = {NINE: 30.0}


def found_after(*devices: int | None, forecast: dict[int, float] | None = None) -> Anomaly | None:
    counted = {NINE + step * FIVE: each for step, each in enumerate(devices) if each is not None}
    last = NINE + (len(devices) - 1) * FIVE
    return anomaly(last, counted, FORECAST if forecast is None else forecast, SPREAD, lambda at: at // HOUR)


def test_three_windows_above_are_one() -> None:
    assert found_after(32, 40, 33) == Anomaly(NINE + 2 * FIVE, 33, 15.0, 3.0, 31.0)


def test_three_windows_below_are_one() -> None:
    assert found_after(2, 0, 1) == Anomaly(NINE + 2 * FIVE, 1, 15.0, 3.0, 31.0)


@pytest.mark.parametrize(
    "devices",
    [(32, 32), (15, 32, 32), (32, 31, 32), (32, 32, 31), (32, 2, 32), (2, 2, 3), (None, 32, 32), (32, None, 32)],
)
def test_fewer_than_three_in_a_row_on_one_side_are_none(devices: tuple[int | None, ...]) -> None:
    assert found_after(*devices) is None


def test_it_goes_on_as_long_as_the_last_three_are() -> None:
    assert found_after(15, 32, 32, 32) is not None
    assert found_after(32, 32, 32, 32) is not None
    assert found_after(32, 32, 32, 15) is None


def test_a_window_that_was_not_recorded_says_nothing() -> None:
    assert found_after(32, 32, None) is None


def test_where_nothing_is_forecast_nothing_is_unlike_it() -> None:
    assert found_after(99, 99, 99, forecast={}) is None


def test_nobody_is_no_anomaly_where_few_are_expected() -> None:
    assert found_after(0, 0, 0, forecast={NINE: 10.0}) is None
