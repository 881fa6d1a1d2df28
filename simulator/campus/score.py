"""How wrong counts are: those of the system beside the truth, window by window. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from core.kinds import KindId
from simulator.campus.truth import About, Visit

WITHIN = 0.10
"""Of the truth: a count that is no further off is called right."""
SHIFTS = 6
"""Windows by which counts may be late or early, at the most."""


class Series(NamedTuple):
    """What is counted together."""

    zone: str
    kind: KindId


class Score(msgspec.Struct, frozen=True):
    """How wrong the counts of one zone and kind are: over windows in which somebody was there, or was said to be."""

    zone: str
    kind: KindId
    windows: int
    truth: float
    """Distinct devices in a window, truly, in the mean."""
    error: float
    """Devices that a count is off, in the mean, whichever way."""
    bias: float
    """The same with its sign: above 0 more are counted than were there."""
    within: float
    """Share of windows in which the count is within a tenth of the truth."""
    delay_minutes: float | None
    """By how much counts follow the truth; None where nothing changes, or too little is known."""
    left_out: int
    """Windows whose count is withheld, or that were not recorded: they are in none of the figures."""


def windows_of(about: About, width_ms: int) -> range:
    """The starts of the whole windows of a truth, but for the last: what came late to it may not be counted yet."""
    first = -(-about.start // width_ms) * width_ms
    return range(first, about.end // width_ms * width_ms - width_ms, width_ms)


def true_counts(visits: Iterable[Visit], windows: range) -> dict[Series, list[int]]:
    """Distinct devices that were in a zone at any moment of a window, for each window in order."""
    counts: dict[Series, list[int]] = defaultdict(lambda: [0] * len(windows))
    by_device = sorted(visits, key=lambda visit: (visit.zone, visit.kind, visit.device))
    for (zone, kind, _), own in groupby(by_device, key=lambda visit: (visit.zone, visit.kind, visit.device)):
        seen = {
            number
            for visit in own
            for number in range(
                max((visit.start - windows.start) // windows.step, 0),
                min(-(-(visit.end - windows.start) // windows.step), len(windows)),
            )
        }
        series = counts[Series(zone, kind)]
        for number in seen:
            series[number] += 1
    return dict(counts)


def score(series: Series, truth: Sequence[int], counted: Sequence[int | None], width_ms: int) -> Score:
    """Compare two rows of the same windows; None is a count that is not known."""
    pairs = [(true, count) for true, count in zip(truth, counted, strict=True) if count is not None and true + count]
    off = [count - true for true, count in pairs]
    return Score(
        zone=series.zone,
        kind=series.kind,
        windows=len(pairs),
        truth=_mean([true for true, _ in pairs]),
        error=_mean([abs(difference) for difference in off]),
        bias=_mean(off),
        within=_mean([abs(count - true) <= WITHIN * true for true, count in pairs]),
        delay_minutes=_delay(truth, counted, width_ms),
        left_out=sum(count is None for count in counted),
    )


def scores(
    truth: Mapping[Series, Sequence[int]], counted: Mapping[Series, Sequence[int | None]], width_ms: int
) -> list[Score]:
    """All that were counted, the fullest first; where the truth has nobody, nobody was there."""
    found = [
        score(series, truth.get(series, [0] * len(counts)), counts, width_ms) for series, counts in counted.items()
    ]
    return sorted(found, key=lambda one: (-one.truth, one.zone, one.kind))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.0


def _delay(truth: Sequence[int], counted: Sequence[int | None], width_ms: int) -> float | None:
    """The shift of the best correlation, between windows by a parabola through the best and its neighbours."""
    by_shift = {shift: _correlation(truth, counted, shift) for shift in range(-SHIFTS, SHIFTS + 1)}
    known = {shift: found for shift, found in by_shift.items() if found is not None}
    if len(known) < len(by_shift):
        return None
    best = max(known, key=lambda shift: (known[shift], -abs(shift)))
    if abs(best) == SHIFTS:
        # What fits best at the end of all that was tried might fit better beyond.
        return None
    before, here, after = known[best - 1], known[best], known[best + 1]
    bend = before - 2 * here + after
    between = (before - after) / (2 * bend) if bend else 0.0
    return round((best + between) * width_ms / 60_000, 1)


def _correlation(truth: Sequence[int], counted: Sequence[int | None], shift: int) -> float | None:
    pairs = [
        (true, count)
        for number, true in enumerate(truth)
        if 0 <= number + shift < len(counted) and (count := counted[number + shift]) is not None
    ]
    if len(pairs) < 4 * SHIFTS:
        return None
    mean_true, mean_count = sum(true for true, _ in pairs) / len(pairs), sum(count for _, count in pairs) / len(pairs)
    both = sum((true - mean_true) * (count - mean_count) for true, count in pairs)
    each = sum((true - mean_true) ** 2 for true, _ in pairs) * sum((count - mean_count) ** 2 for _, count in pairs)
    return both / math.sqrt(each) if each else None
