"""Series for the tests of forecasts: of a crowd that nobody has seen, the same at every run."""

from datetime import date

import numpy as np

from analytics.forecast.past import DAY, WEEK, Floats, Name, Past
from tests.kinds_of_tests import CAR, MOBILE

MONDAY = 4 * DAY
"""The number of the hour with which 1970-01-05, a Monday, begins."""
NAMES: tuple[Name, ...] = (("campus", CAR), ("campus", MOBILE), ("library", MOBILE))


def no_calendar(_: date) -> str:
    return ""


def usual_week(level: float = 1.0) -> Floats:
    """What 168 hours are like from Monday on: people come on working days, from 8 to 18."""
    hours = np.arange(WEEK)
    there = (hours % DAY >= 8) & (hours % DAY < 18) & (hours < 5 * DAY)
    return np.where(there, level * (10.0 + hours % DAY), 0.0)


def past_of_weeks(weeks: int, *, names: tuple[Name, ...] = NAMES, noise: float = 0.0, seed: int = 1) -> Past:
    """So many usual weeks, each series three times as large as the one before it."""
    source = np.random.default_rng(seed)
    values = np.stack([np.tile(usual_week(3.0**row), weeks) for row in range(len(names))])
    if noise:
        values = np.maximum(np.round(values * (1.0 + noise * source.standard_normal(values.shape))), 0.0)
    return Past(MONDAY, names, values)
