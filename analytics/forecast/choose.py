"""Which model is served for a series: none, unless one beats the better of the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.forecast.past import Floats, Name
from analytics.forecast.scores import Scores


@dataclass(frozen=True, slots=True)
class Choice:
    """What is served of a series, and why."""

    name: Name
    served: str | None
    """The model with the lowest MASE; None where that is not lower than the MASE of the better baseline."""
    baseline_mase: float | None
    """Of the better baseline; None where it is undefined."""
    mases: Mapping[str, float | None]
    """Of each model."""
    guesses: Mapping[str, float | None]
    """Of each baseline."""


def choose(names: Sequence[Name], scores: Scores, *, baselines: Sequence[str], models: Sequence[str]) -> list[Choice]:
    """A choice for each series, in their order."""
    found = []
    for row, name in enumerate(names):
        guesses = {each: _defined(scores.mase[each], row) for each in baselines}
        guess = min((mase for mase in guesses.values() if mase is not None), default=None)
        mases = {each: _defined(scores.mase[each], row) for each in models}
        best = min(
            (each for each in models if mases[each] is not None), key=lambda each: mases[each] or 0, default=None
        )
        wins = best is not None and guess is not None and (mases[best] or 0) < guess
        found.append(Choice(name, best if wins else None, guess, mases, guesses))
    return found


def _defined(mases: Floats, row: int) -> float | None:
    return None if np.isnan(mases[row]) else float(mases[row])
