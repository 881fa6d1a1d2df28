"""How good forecasts are: MASE, the mean absolute error in units of what the same hour last week would have been off.

Below 1 is better than that guess was in the weeks before. It is undefined where that guess was never off: such a series
needs no forecast.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics.forecast.backtest import Backtest
from analytics.forecast.past import DAY, Floats

LEAST_HOURS = 7 * DAY
"""Scored hours without which a score says nothing."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The MASE of each model, by series; NaN where it is undefined, or too few hours could be scored."""

    mase: Mapping[str, Floats]


def score(tested: Backtest) -> Scores:
    """Score each model by the same hours: those that were recorded, and of which every model says something.

    A model that says nothing of a series at all has no score of it, and takes none from the others.
    """
    scored = ~np.isnan(tested.came)
    silent = {name: np.asarray(np.isnan(said).all(axis=(0, 2))) for name, said in tested.said.items()}
    for name, said in tested.said.items():
        scored &= ~np.isnan(said) | silent[name].reshape(1, -1, 1)
    hours = scored.sum(axis=(0, 2))
    found: dict[str, Floats] = {}
    for name, said in tested.said.items():
        errors = np.where(scored, np.abs(said - tested.came), 0.0).sum(axis=(0, 2))
        enough = (hours >= LEAST_HOURS) & (tested.naive > 0) & ~silent[name]
        with np.errstate(invalid="ignore", divide="ignore"):
            found[name] = np.where(enough, errors / hours / tested.naive, np.nan)
    return Scores(found)
