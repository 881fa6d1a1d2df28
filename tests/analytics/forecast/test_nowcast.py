"""The next two hours, by the forecast and the last half hour."""

from collections.abc import Mapping

import numpy as np
import pytest

from analytics.forecast.nowcast import Said, nowcast
from analytics.forecast.spread import SLOTS, Spread

NINE = 1_550_480_400_000
FIVE = 300_000
HOUR = 3_600_000
SPREAD = Spread(np.full(SLOTS, 0.5), np.full(SLOTS, -1.0), np.full(SLOTS, 2.0), -5.0, 5.0)
FORECAST = {NINE + hour * HOUR: 30.0 for hour in range(-1, 4)}


def said(counted: Mapping[int, int], forecast: Mapping[int, float] = FORECAST) -> list[Said]:
    return nowcast(NINE, counted, forecast, SPREAD, lambda at: at // HOUR)


def last_half_hour(devices: int, windows: int = 6) -> dict[int, int]:
    return {NINE - back * FIVE: devices for back in range(1, windows + 1)}


def test_a_half_hour_as_forecast_changes_nothing() -> None:
    found = said(last_half_hour(15))
    assert [each.at for each in found] == [NINE + step * FIVE for step in range(24)]
    assert {each.value for each in found} == {15.0}
    # The unit of 15 is 4.
    assert {(each.low, each.high) for each in found} == {(11.0, 23.0)}


def test_more_than_was_forecast_fades_over_two_hours() -> None:
    # 23 of 15, with one more on both sides: half as many again.
    found = [each.value for each in said(last_half_hour(23))]
    assert found[0] == pytest.approx(22.5)
    assert found[12] == pytest.approx(15.0 * 1.25)
    assert found[23] == pytest.approx(15.0 * (1 + 0.5 / 24))


@pytest.mark.parametrize(("devices", "first"), [(1000, 30.0), (0, 7.5)])
def test_it_is_never_more_than_twice_and_never_less_than_half_of_the_forecast(devices: int, first: float) -> None:
    assert said(last_half_hour(devices))[0].value == first


def test_less_than_a_quarter_of_an_hour_that_was_recorded_changes_nothing() -> None:
    assert said(last_half_hour(1000, windows=2))[0].value == 15.0
    assert said(last_half_hour(1000, windows=3))[0].value == 30.0
    assert said({})[0].value == 15.0


def test_one_device_where_nobody_was_expected_says_little() -> None:
    found = said(last_half_hour(1), dict.fromkeys(FORECAST, 0.0))
    assert {each.value for each in found} == {0.0}
    found = said(last_half_hour(1), dict.fromkeys(FORECAST, 0.2))
    assert found[0].value == pytest.approx(0.1 * 2 / 1.1)


def test_where_nothing_is_forecast_nothing_is_said() -> None:
    found = said(last_half_hour(15), {NINE - HOUR: 30.0, NINE: 30.0})
    assert [each.at for each in found] == [NINE + step * FIVE for step in range(12)]
