"""Whether a version does worse than another, or that is chance: two tests, one-sided, with `math` alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from state.apps import Measure

_SMALL_TERM = 1e-17
"""A term of a sum that is so much smaller than the sum changes no digit of it."""
_QUANTILE = 0.95
_FRACTION_TERMS = 300
_FRACTION_END = 1e-14
_TINY = 1e-300
"""In the place of a zero that would be divided by."""


class Slower(NamedTuple):
    """How the slow answers of two versions compare."""

    p: float
    edge: int
    """Index of the last bucket that is not slow: that which has the old version's 95th percentile."""
    share: float
    """Slow answers of the new version, 0 to 1."""
    share_old: float


def fisher(errors: int, answers: int, errors_old: int, answers_old: int) -> float:
    """How probable so many errors of the new version are, or more, if both versions are equally good.

    Fisher's exact test, one-sided: all errors of both are thought of as spread over all answers at random. 1 where one
    of the versions has answered nothing. Raises ValueError where there are more errors than answers.
    """
    if not 0 <= errors <= answers or not 0 <= errors_old <= answers_old:
        raise ValueError(f"{errors} errors of {answers} and {errors_old} of {answers_old} cannot be")
    if not answers or not answers_old:
        return 1.0
    total, all_errors = answers + answers_old, errors + errors_old
    lowest, highest = max(0, all_errors - answers_old), min(answers, all_errors)
    if errors <= lowest:
        return 1.0
    # From the middle outwards terms get smaller, so that few of them count.
    if errors * total > answers * all_errors:
        return min(1.0, _tail(errors, highest, 1, total=total, bad=all_errors, drawn=answers))
    return max(0.0, 1.0 - _tail(errors - 1, lowest, -1, total=total, bad=all_errors, drawn=answers))


def _tail(first: int, last: int, step: int, *, total: int, bad: int, drawn: int) -> float:
    """Sum of the hypergeometric probabilities from `first` to `last`."""

    def term(found: int) -> float:
        return math.exp(_log_choose(bad, found) + _log_choose(total - bad, drawn - found) - _log_choose(total, drawn))

    summed, value, found = 0.0, term(first), first
    while True:
        summed += value
        if found == last or value < summed * _SMALL_TERM:
            return summed
        if step > 0:
            value *= (bad - found) * (drawn - found) / ((found + 1) * (total - bad - drawn + found + 1))
        else:
            value *= found * (total - bad - drawn + found) / ((bad - found + 1) * (drawn - found + 1))
        found += step


def _log_choose(among: int, chosen: int) -> float:
    return math.lgamma(among + 1) - math.lgamma(chosen + 1) - math.lgamma(among - chosen + 1)


def slower(by_time: Sequence[int], by_time_old: Sequence[int]) -> Slower:
    """Whether the new version has more slow answers: Fisher's test of those above the edge.

    Both count answers by how long they took, in the same buckets, the fastest first. The edge is that of the bucket
    that has the old version's 95th percentile: a histogram does not know times between two edges.
    """
    answers, answers_old = sum(by_time), sum(by_time_old)
    if not answers or not answers_old:
        return Slower(1.0, len(by_time_old) - 1, 0.0, 0.0)
    counted, edge = 0, 0
    for edge, count in enumerate(by_time_old):  # noqa: B007 - it is used below
        counted += count
        if counted >= _QUANTILE * answers_old:
            break
    slow, slow_old = sum(by_time[edge + 1 :]), sum(by_time_old[edge + 1 :])
    return Slower(fisher(slow, answers, slow_old, answers_old), edge, slow / answers, slow_old / answers_old)


def welch(measure: Measure, measure_old: Measure) -> float:
    """How probable so high a mean of the new version is if both have the same: Welch's t-test, one-sided.

    1 where one of them has fewer than two values, or none of both varies.
    """
    if measure.count < 2 or measure_old.count < 2:  # noqa: PLR2004 - a variance needs two values
        return 1.0
    part, part_old = _variance(measure) / measure.count, _variance(measure_old) / measure_old.count
    if part + part_old <= 0:
        return 1.0
    t = (measure.sum / measure.count - measure_old.sum / measure_old.count) / math.sqrt(part + part_old)
    # Squares of what is tiny would be 0.
    of_all = part / (part + part_old)
    freedom = 1 / (of_all**2 / (measure.count - 1) + (1 - of_all) ** 2 / (measure_old.count - 1))
    beyond = 0.5 * _incomplete_beta(freedom / (freedom + t * t), freedom / 2)
    return beyond if t > 0 else 1.0 - beyond


def _variance(measure: Measure) -> float:
    spread = measure.sum_of_squares - measure.sum * measure.sum / measure.count
    return max(0.0, spread / (measure.count - 1))


def _incomplete_beta(x: float, a: float) -> float:
    """The regularised incomplete beta function I_x(a, 1/2): both tails of Student's t with 2a degrees of freedom."""
    if x >= 1.0 or x <= 0.0:
        return min(max(x, 0.0), 1.0)
    b = 0.5
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast on one side of the mean alone; the other is its complement.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction (Abramowitz and Stegun 26.5.8), by Lentz's method."""
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _FRACTION_TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _not_zero(1.0 + numerator * d)
            c = _not_zero(1.0 + numerator / c)
            value *= c * d
        if abs(c * d - 1.0) < _FRACTION_END:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
