"""From an hour to its windows of five minutes."""

import numpy as np
import pytest

from analytics.forecast.past import Floats
from analytics.forecast.spread import LEAST_FAR, MARGIN, SLOTS, slot_of, spread
from tests.analytics.forecast.made_up import MONDAY

DAYS = 10
HOURS = DAYS * 24


def windows_like(came: Floats, shares: list[float]) -> Floats:
    return np.outer(came, shares)


def test_each_window_has_its_part_of_the_hour() -> None:
    came = np.full(HOURS, 20.0)
    shares = [0.05 * (part + 1) for part in range(12)]
    found = spread(MONDAY, came, came, windows_like(came, shares))
    np.testing.assert_allclose(found.share, shares * 24)
    assert found.share.size == SLOTS


def test_parts_are_those_of_the_hour_of_the_day() -> None:
    came = np.full(HOURS, 20.0)
    windows = windows_like(came, [0.5] * 12)
    windows[7::24] = 15.0
    # The first hour is 02:00, so that the eighth is 09:00.
    found = spread(MONDAY + 2, came, came, windows)
    np.testing.assert_allclose(found.share[9 * 12 : 10 * 12], 0.75)
    np.testing.assert_allclose(found.share[: 9 * 12], 0.5)


def test_an_hour_in_which_nobody_ever_was_has_the_part_of_all_hours() -> None:
    came = np.full(HOURS, 20.0)
    came[3::24] = 0.0
    found = spread(MONDAY, came, came, windows_like(came, [0.4] * 12))
    np.testing.assert_allclose(found.share, 0.4)


def test_what_was_not_recorded_is_left_out() -> None:
    came = np.full(HOURS, 20.0)
    windows = windows_like(came, [0.5] * 12)
    came[24:48] = np.nan
    windows[24:48] = np.nan
    windows[50] = np.nan
    found = spread(MONDAY, np.full(HOURS, 20.0), came, windows)
    np.testing.assert_allclose(found.share, 0.5)
    np.testing.assert_allclose(found.low, 0.0)
    assert (found.far_low, found.far_high) == (-LEAST_FAR, LEAST_FAR)


def test_the_bounds_of_anomalies_are_further_out_than_all_but_two_days_were_for_a_quarter_of_an_hour() -> None:
    # 3 are forecast, and half of an hour is in each window.
    came = np.full(28 * 24, 3.0)
    windows = windows_like(came, [0.5] * 12)
    for day, more in enumerate([30.0, 20.0, 6.0, 5.0]):
        windows[day * 24 + 10 + day, 2:5] += more
    # Ten minutes are no quarter of an hour.
    windows[5 * 24 + 16, 2:4] += 50.0
    found = spread(MONDAY, came, came, windows)
    # On the third of these days 7.5 came; with them, the window's part of the hour is 48 of 84.
    expected = 3.0 * 48 / 84
    assert found.far_high == pytest.approx(MARGIN * (7.5 - expected) / (expected + 1) ** 0.5)
    assert found.far_low == -LEAST_FAR


def test_the_slot_of_a_window_is_counted_from_midnight_of_the_campus() -> None:
    assert slot_of(MONDAY, 0) == 0
    assert slot_of(MONDAY + 23, 3_600_000 - 1) == 287
    assert slot_of(MONDAY + 24 + 9, 1_550_480_400_000 + 600_000) == 9 * 12 + 2
