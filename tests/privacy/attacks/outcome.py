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
    alarms: int
    """Trials without an arrival in which it said that there was one."""
    without: int
    by: tuple[str, ...] = ()
    """The statistics that it looked at, in either half."""

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
        told = f" ({', '.join(self.by)})" if self.by else ""
        return (
            f"{self.attack}: {self.recovered:,} of {self.arrivals:,} recovered, {self.alarms:,} of {self.without:,}"
            f" false alarms, advantage {self.advantage:.1%} ± {self.error:.1%}{told}"
        )


def outcome(attack: str, arrived: Sequence[Scores], others: Sequence[Scores]) -> Outcome:
    """Each half of the trials says what the other half is to look at, and from which value on there is an alarm.

    Where nothing in one half tells arrivals apart, no alarm is raised in the other.
    """
    recovered = alarms = 0
    by: dict[str, None] = {}
    for half in (0, 1):
        rule = _best(arrived[half::2], others[half::2])
        if rule is None:
            continue
        name, sign, least = rule
        by[name] = None
        recovered += sum(sign * each[name] >= least for each in arrived[1 - half :: 2])
        alarms += sum(sign * each[name] >= least for each in others[1 - half :: 2])
    return Outcome(attack, recovered, len(arrived), alarms, len(others), (*by,))


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
