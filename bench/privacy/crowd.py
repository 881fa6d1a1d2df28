"""How many others are there: quiet hours, a lecture, and days that are made up; by slots of 30 s."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""Of devices: a row for each trial or day, a column for each slot."""
SLOTS_A_DAY = 2880
SLOTS_AN_HOUR = 120
BUSY = slice(8 * SLOTS_AN_HOUR, 18 * SLOTS_AN_HOUR)
"""The slots of a day from 08:00 to 18:00."""
ARRIVAL = 40
"""The slot of a trial in which the one device comes, that somebody looks for; it stays."""
TRIAL = ARRIVAL + SLOTS_AN_HOUR
OWN = 20
"""Devices of the attacker."""
_STAY = 180
"""Slots that somebody stays, in the mean: an hour and a half."""
_QUIET, _QUIET_CAMPUS = 40, 240
_WARM_UP = 240
_LECTURE = range(60, 70)
_A_SLOT = 15
"""How many come to a lecture in each of these slots of a trial."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens in trials, but for the one device: who is in the zone and on the campus, the attacker's included."""

    name: str
    zone: Counts
    campus: Counts
    arrival: int


def made_day(peak: float, rng: np.random.Generator) -> Counts:
    """The counts of a day that has about so many present when most are: before noon, and again after it."""
    hours = np.arange(SLOTS_A_DAY) / SLOTS_AN_HOUR
    shape = np.exp(-(((hours - 10.5) / 2.2) ** 2)) + 0.9 * np.exp(-(((hours - 14.5) / 2.0) ** 2)) + 0.02
    come = rng.poisson(shape / shape.max() * peak / _STAY)
    starts = np.repeat(np.arange(SLOTS_A_DAY), come)
    ends = starts + 1 + rng.exponential(_STAY, len(starts)).astype(np.int64)
    changes = (
        np.bincount(starts, minlength=SLOTS_A_DAY)
        - np.bincount(np.minimum(ends, SLOTS_A_DAY), minlength=SLOTS_A_DAY + 1)[:SLOTS_A_DAY]
    )
    return np.cumsum(changes)


def made_days(peak: float, days: int, rng: np.random.Generator) -> Counts:
    """Several of them."""
    return np.stack([made_day(peak, rng) for _ in range(days)])


def quiet(trials: int) -> list[Scene]:
    """Nobody moves but the attacker, in each of several ways."""
    others = np.full(TRIAL, _QUIET)
    campus = np.full(TRIAL, _QUIET_CAMPUS)
    return [_alike(f"quiet, {name}", others + own, campus + own, trials) for name, own in _WAYS.items()]


def lecture(trials: int) -> list[Scene]:
    """150 come within five minutes; meanwhile the attacker keeps the others at an edge of rounding, or waits."""
    come = np.zeros(TRIAL, np.int64)
    come[list(_LECTURE)] = _A_SLOT
    others, campus = _QUIET + np.cumsum(come), _QUIET_CAMPUS + np.cumsum(come)
    edge = (4 - others) % 10
    return [
        _alike("lecture, at an edge", others + edge, campus + edge, trials),
        _alike("lecture, nothing", others, campus, trials),
    ]


def ordinary(peak: float, trials: int, rng: np.random.Generator) -> list[Scene]:
    """Hours between 08:00 and 17:00 of days with such a peak, on a campus that has four times as many."""
    zone, rest = made_days(peak, 40, rng), made_days(3 * peak, 40, rng)
    days = rng.integers(0, len(zone), trials)
    # What was told for two hours before helps the attacker, too.
    starts = rng.integers(BUSY.start, BUSY.stop - SLOTS_AN_HOUR, trials) - ARRIVAL - _WARM_UP
    slots = starts[:, None] + np.arange(_WARM_UP + TRIAL)
    own = np.concatenate([np.zeros(_WARM_UP, np.int64), _WAYS["up and down afterwards"]])
    others = zone[days[:, None], slots] + own
    return [Scene(f"peak {peak:.0f}", others, others + rest[days[:, None], slots], _WARM_UP + ARRIVAL)]


def _alike(name: str, zone: Counts, campus: Counts, trials: int) -> Scene:
    return Scene(name, np.broadcast_to(zone, (trials, TRIAL)), np.broadcast_to(campus, (trials, TRIAL)), ARRIVAL)


def _way(own: Callable[[int], int]) -> Counts:
    return np.array([own(slot - ARRIVAL) for slot in range(TRIAL)])


def _up_and_down(since: int) -> int:
    return max(0, min(since, OWN, 2 * OWN - since))


def _swing(since: int) -> int:
    """To both sides in turns, a device further each time: whoever has one threshold for both sides tells most by it."""
    wide = max(0, min(since, OWN // 2))
    return OWN // 2 + (wide if since % 2 else -wide)


_WAYS = {
    "nothing": _way(lambda _: 0),
    "all before": _way(lambda since: max(0, min(OWN, since + 30))),
    "up and down afterwards": _way(_up_and_down),
    "up and down before and afterwards": _way(lambda since: _up_and_down(since if since >= 0 else since + ARRIVAL)),
    "to both sides": _way(_swing),
}
"""What the attacker's devices do, by slot."""
