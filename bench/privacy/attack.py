"""Who knows everybody else, and asks of what is published whether one device came.

All that an arrival touches is taken together: its zone and the campus, now and in means of 5 minutes and an hour. The
mean of a day is that of the hour and of what is the same either way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.privacy.crowd import Counts, Scene
from bench.privacy.methods import Method
from disclosure.walk import slack_of

Scores = npt.NDArray[np.float64]
_FIVE_MINUTES = 10
_HALF_AN_HOUR = 60


@dataclass(frozen=True, slots=True)
class Found:
    """What an attack comes to, as parts of one."""

    advantage: float
    """True less false positives, of the trials that chose nothing."""
    error: float
    """Its standard error."""
    by: str
    """The scene and the statistic that were best on the others."""
    most: float | None = None
    """What the best statistic that there can be comes to, where that is known: half the distance of what is told."""
    most_error: float = 0.0


def attack(method: Method, scenes: Sequence[Scene], rng: np.random.Generator) -> Found:
    """Half of the trials choose what to look at, and where, and the other half says what that is worth."""
    best: tuple[float, Found] | None = None
    most: tuple[float, float] | None = None
    for scene in scenes:
        absent, present = (_trials(method, scene, device, rng) for device in (0, 1))
        for name, without in absent.items():
            chosen, advantage, error = _held_out(without, present[name])
            if best is None or chosen > best[0]:
                best = chosen, Found(advantage, error, f"{scene.name}: {name}")
        if _RATIO in absent:
            # Of those without the device: what part of them is likelier without it, and by how much.
            excess = np.maximum(0, 1 - np.exp(absent[_RATIO]))
            value = float(excess.mean()), float(excess.std() / math.sqrt(len(excess)))
            most = value if most is None else max(most, value)
    if best is None:
        raise ValueError("no scenes, so there is nothing to attack")
    found = best[1]
    return found if most is None else Found(found.advantage, found.error, found.by, *most)


_RATIO = "what is likelier, by all that is known of thresholds"


def _trials(method: Method, scene: Scene, device: int, rng: np.random.Generator) -> dict[str, Scores]:
    """Each statistic of each trial; `device` is how many came."""
    columns = scene.zone.shape[1]
    there = (np.arange(columns) >= scene.arrival) * device
    zone, campus = method.zone(scene.zone + there, rng), method.campus(scene.campus + there, rng)
    scores: dict[str, Scores] = {}
    for name, told, others in (("zone", zone, scene.zone), ("campus", campus, scene.campus)):
        for what, values in _statistics(method, told, others, scene.arrival).items():
            scores[f"{what}, {name}"] = values
            scores[f"{what}, both"] = scores.get(f"{what}, both", 0.0) + values
    if method.widths:
        scores[_RATIO] = _ratio(zone, scene.zone, scene.arrival, method.widths[0]) + _ratio(
            campus, scene.campus, scene.arrival, method.widths[1]
        )
    return scores


def _statistics(method: Method, told: Counts, others: Counts, arrival: int) -> dict[str, Scores]:
    """What may be looked at in one series; `others` is what the attacker knows to be there without the device."""
    held = np.arange(others.shape[1]) // method.every * method.every
    after, known = told[:, arrival:], others[:, held][:, arrival:]
    more = after - known
    five = more.reshape(len(more), -1, _FIVE_MINUTES).mean(axis=2)
    changed = np.diff(told[:, arrival - 1 :], axis=1) != 0
    slots = after.shape[1]
    found = {
        "mean of an hour": more.mean(axis=1),
        "mean of half an hour": more[:, :_HALF_AN_HOUR].mean(axis=1),
        "most of all": more.max(axis=1).astype(float),
        "least of all": more.min(axis=1).astype(float),
        "most of 5 minutes": five.max(axis=1),
        "least of 5 minutes": five.min(axis=1),
        "distance from what is known": (np.abs(more) - np.abs(more - 1)).mean(axis=1),
        "how often it changes": changed.sum(axis=1).astype(float),
        "when it changes": np.where(changed.any(axis=1), changed.argmax(axis=1), slots).astype(float),
        "what was told before of the same count": _seen_before(told, others, arrival),
    }
    if method.plain:
        with_it, without = method.plain(known + 1), method.plain(known)
        nearer = (after == with_it) * 1.0 - (after == without) * 1.0
        found["what it would be without chance"] = nearer.mean(axis=1)
        found["what it would be without chance, where it changes"] = (nearer * changed).sum(axis=1)
    return found


def _seen_before(told: Counts, others: Counts, arrival: int) -> Scores:
    """Whether what is told of a count is what was told of it, or rather what was told of one more."""
    rows = np.arange(len(told))
    table = np.full((len(told), int(others.max()) + 2), -1)
    for slot in range(arrival):
        table[rows, others[:, slot]] = told[:, slot]
    found = np.zeros(len(told))
    for slot in range(arrival, told.shape[1]):
        known = others[:, slot]
        without, with_it = table[rows, known], table[rows, known + 1]
        found += (with_it >= 0) * (told[:, slot] == with_it) * 1.0 - (without >= 0) * (told[:, slot] == without) * 1.0
    return found


def _ratio(told: Counts, others: Counts, arrival: int, width: int) -> Scores:
    """The logarithm of how much likelier a walk is with the device than without it. No statistic can do better."""
    present = others + (np.arange(others.shape[1]) >= arrival)
    return likelihood(told, present, width) - likelihood(told, others, width)


def likelihood(told: Counts, counts: Counts, width: int) -> Scores:
    """The logarithm of how likely a walk is if these are the true counts: which thresholds are still possible."""
    slack = slack_of(width)
    low, high = np.zeros(len(told), np.int64), np.full(len(told), width)
    before = np.zeros(len(told), np.int64)
    found = np.zeros(len(told))
    for slot in range(told.shape[1]):
        above = counts[:, slot] - before
        up, down = told[:, slot] > before, told[:, slot] < before
        # The upper edge is reached by thresholds up to `reached`, the lower one from `fallen` on.
        reached, fallen = above - slack, slack + width - 1 + above
        new_low = np.where(up, low, np.where(down, np.maximum(low, fallen), np.maximum(low, reached + 1)))
        new_high = np.where(up, np.minimum(high, reached + 1), np.where(down, high, np.minimum(high, fallen)))
        with np.errstate(divide="ignore"):
            found += np.log(np.maximum(0, new_high - new_low) / (high - low))
        stayed = ~(up | down) & (new_high > new_low)
        low, high = np.where(stayed, new_low, 0), np.where(stayed, new_high, width)
        before = told[:, slot]
    return found


def _held_out(without: Scores, present: Scores) -> tuple[float, float, float]:
    """The advantage on the half that chooses, and on the other with its standard error."""
    half = len(without) // 2
    chosen, threshold, sign = _best(without[:half], present[:half])
    hits = float((sign * present[half:] >= sign * threshold).mean())
    misses = float((sign * without[half:] >= sign * threshold).mean())
    count = len(without) - half
    return chosen, hits - misses, math.sqrt((hits * (1 - hits) + misses * (1 - misses)) / count)


def _best(without: Scores, present: Scores) -> tuple[float, float, int]:
    """The threshold, and on which side of it, that tells most."""
    values = np.unique(np.concatenate([without, present]))
    below = np.searchsorted(np.sort(without), values) / len(without)
    below_with = np.searchsorted(np.sort(present), values) / len(present)
    above = below - below_with
    upto = np.searchsorted(np.sort(present), values, side="right") / len(present) - np.searchsorted(
        np.sort(without), values, side="right"
    ) / len(without)
    highest, lowest = int(above.argmax()), int(upto.argmax())
    if above[highest] >= upto[lowest]:
        return float(above[highest]), float(values[highest]), 1
    return float(upto[lowest]), float(values[lowest]), -1
