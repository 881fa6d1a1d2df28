"""What models would have said, had they been asked on each of the last days: each from what was known by then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analytics.forecast.past import DAY, WEEK, DayKind, Floats, Past, shifted

ORIGINS = 28
LEAST_ORIGINS = 14
LEAST_BEFORE = 2 * WEEK
"""Hours before the first origin: less is no past."""
HORIZON = 48
"""Hours ahead: a forecast that is made in the night reaches to the end of the day that follows."""


class Model(Protocol):
    """Says how it goes on."""

    @property
    def name(self) -> str:
        """What results call it."""

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:
        """The next hours of each series: a row for each, NaN for what it cannot say. `kind_of` knows all days."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What was said by each model, and what came; the axes are origins, series, hours ahead."""

    origins: tuple[int, ...]
    """The number of the first hour of each forecast; a day lies between two, unless only some were asked for."""
    said: Mapping[str, Floats]
    came: Floats
    """NaN where it was not recorded, or is yet to come."""
    naive: Floats
    """By series: how wrong the same hour of the week before was, on average, in the hours before the first origin."""


def backtest(
    past: Past, models: Sequence[Model], kind_of: DayKind, *, horizon: int = HORIZON, every: int = 1
) -> Backtest | None:
    """Ask each model at up to 28 origins, a day apart, the last a day before the end; None where the past is too short.

    At each a model is given what was known before it, as a copy, and nothing else. Hours before any series was recorded
    are no past. `every`: of the origins only each of so many.
    """
    known = np.flatnonzero(~np.isnan(past.values).all(axis=0))
    if not known.size:
        return None
    begin = past.first + int(known[0])
    number = min(ORIGINS, (past.end - begin - LEAST_BEFORE) // DAY)
    if number < LEAST_ORIGINS:
        return None
    origins = tuple(past.end - DAY * back for back in range(number, 0, -every))
    said = {
        model.name: np.stack([model.forecast(past.until(origin), horizon, kind_of) for origin in origins])
        for model in models
    }
    came = np.stack([shifted(past.values, origin - past.first, horizon) for origin in origins])
    return Backtest(origins, said, came, _naive(past.until(origins[0])))


def _naive(past: Past) -> Floats:
    with np.errstate(invalid="ignore"):
        differences = np.abs(past.values[:, WEEK:] - past.values[:, :-WEEK])
        known = ~np.isnan(differences)
        found: Floats = np.nansum(differences, axis=1) / known.sum(axis=1)
    return found
