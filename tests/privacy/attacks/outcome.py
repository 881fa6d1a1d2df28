"""What an attack comes to: of how many arrivals it is right, and of how many that never were."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = Mapping[str, float]
"""What each statistic says of one trial: the further to one side, the likelier an arrival."""
MOST = 0.02
"""The advantage that nobody may have under `protected`, as a part of 1."""
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one attack."""

    attack: str
    recovered: int
    """Arrivals that it was right about."""
    arrivals: int
    """Those of which none chose what is looked at."""
    alarms: int
    """Trials without an arrival in which it said that there was one."""
    without: int
    by: str = ""
    """The statistic that it looked at."""

    @property
    def advantage(self) -> float:
        """True less false positives, as a part of 1."""
        return self.recovered / self.arrivals - self.alarms / self.without

    @property
    def error(self) -> float:
        """The standard error of the advantage."""
        hits, misses = self.recovered / self.arrivals, self.alarms / self.without
        return math.sqrt(hits * (1 - hits) / self.arrivals + misses * (1 - misses) / self.without)

    @property
    def is_no_better_than_guessing(self) -> bool:
        """Whether the advantage is under two per cent, as far as so many trials can tell."""
        return self.advantage < MOST + 2 * self.error

    def __str__(self) -> str:
        told = f" ({self.by})" if self.by else ""
        return (
            f"{self.attack}: {self.recovered:,} of {self.arrivals:,} recovered, {self.alarms:,} of {self.without:,}"
            f" false alarms, advantage {self.advantage:.1%} ± {self.error:.1%}{told}"
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """What the best attack can come to, whatever it looks at: where it is known how likely all that is told is."""

    attack: str
    most: float
    """The advantage, as a part of 1."""
    error: float
    """Its standard error."""
    trials: int

    @property
    def is_no_better_than_guessing(self) -> bool:
        """As of an outcome."""
        return self.most < MOST + 2 * self.error

    def __str__(self) -> str:
        return f"{self.attack}: at the most {self.most:.2%} ± {self.error:.2%}, in {self.trials:,} trials"


def bound(attack: str, ratios: Sequence[float]) -> Bound:
    """`ratios` are logarithms: how much likelier what was told is with the device, of trials without it."""
    # Of those without the device: what part of them is likelier without it, and by how much.
    excess = np.maximum(0, 1 - np.exp(np.array(ratios)))
    return Bound(attack, float(excess.mean()), float(excess.std() / math.sqrt(len(excess))), len(excess))


def outcome(attack: str, arrived: Sequence[Scores], others: Sequence[Scores]) -> Outcome:
    """The first quarter of the trials says what is to be looked at, and from which value on there is an alarm.

    The others are told by that alone. Where nothing in the first ones tells arrivals apart, no alarm is raised. Trials
    are in the order of time: were they mixed, both parts had by chance more arrivals while the same crowd was there,
    and one would seem to tell what the other has learned. The same were each part to choose for the other.
    """
    (chosen, tried), (known, unknown) = _parts(arrived), _parts(others)
    rule = _best(chosen, known)
    if rule is None:
        return Outcome(attack, 0, len(tried), 0, len(unknown))
    name, sign, least = rule
    hits, misses = (sum(sign * each[name] >= least for each in trials) for trials in (tried, unknown))
    return Outcome(attack, hits, len(tried), misses, len(unknown), name)


def _parts(trials: Sequence[Scores]) -> tuple[Sequence[Scores], Sequence[Scores]]:
    first = len(trials) // 4
    return trials[:first], trials[first:]


def _best(arrived: Sequence[Scores], others: Sequence[Scores]) -> tuple[str, int, float] | None:
    """The statistic, the side of it and the value that tell most; None where none tells anything."""
    found: tuple[float, str, int, float] | None = None
    for name in arrived[0]:
        present, absent = (np.array([each[name] for each in trials]) for trials in (arrived, others))
        for sign in (1, -1):
            advantage, least = _threshold(sign * present, sign * absent)
            if advantage > 0 and (found is None or advantage > found[0]):
                found = advantage, name, sign, least
    return found and found[1:]


def _threshold(present: _Numbers, absent: _Numbers) -> tuple[float, float]:
    """From which value on most of those that came are, and fewest of the others; and how many more, as a part of 1."""
    values = np.unique(np.concatenate([present, absent]))
    below = np.searchsorted(np.sort(absent), values) / len(absent)
    below_with = np.searchsorted(np.sort(present), values) / len(present)
    at = int((below - below_with).argmax())
    # Half way to what the others have: the next one may come a little less far.
    return float((below - below_with)[at]), float(values[max(0, at - 1)] + values[at]) / 2
