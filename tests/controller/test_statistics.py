"""The two tests of a canary, held against values that are known."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.statistics import fisher, slower, welch
from state.apps import Measure


def measure(values: list[float]) -> Measure:
    return Measure(count=len(values), sum=sum(values), sum_of_squares=sum(value * value for value in values))


@pytest.mark.parametrize(
    ("errors", "answers", "errors_old", "answers_old", "p"),
    [
        # Fisher's own example, the lady tasting tea: three of four cups by chance, 17 of 70.
        (3, 4, 1, 4, 17 / 70),
        (4, 4, 0, 4, 1 / 70),
        (8, 10, 1, 6, 0.024475524),
        (5, 100, 0, 1900, 2.8374444e-07),
        (1, 100, 20, 1900, 0.66132847),
        (50, 1000, 40, 1000, 0.16584465),
        (0, 10, 5, 10, 1.0),
    ],
)
def test_errors_compare_as_fisher_says(errors: int, answers: int, errors_old: int, answers_old: int, p: float) -> None:
    assert fisher(errors, answers, errors_old, answers_old) == pytest.approx(p, rel=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_sum_is_that_of_whole_numbers(answers: int, answers_old: int, data: st.DataObject) -> None:
    errors, errors_old = data.draw(st.integers(0, answers)), data.draw(st.integers(0, answers_old))
    total, bad = answers + answers_old, errors + errors_old
    ways = sum(comb(bad, x) * comb(total - bad, answers - x) for x in range(errors, min(bad, answers) + 1))
    exact = float(Fraction(ways, comb(total, answers)))
    assert fisher(errors, answers, errors_old, answers_old) == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_with_a_version_that_answered_nothing_nothing_is_compared() -> None:
    assert fisher(0, 0, 5, 100) == 1.0
    assert fisher(5, 5, 0, 0) == 1.0


def test_more_errors_than_answers_are_a_mistake_of_who_asks() -> None:
    with pytest.raises(ValueError, match="6 errors of 5"):
        fisher(6, 5, 0, 10)


def test_a_version_is_slower_where_more_answers_are_beyond_the_old_ones_95th_percentile() -> None:
    old, new = (900, 60, 30, 10, 0, 0, 0, 0, 0, 0), (80, 5, 15, 0, 0, 0, 0, 0, 0, 0)
    found = slower(new, old)
    # 900 of 1,000 are below 95 %, 960 are not: so up to 10 ms is not slow.
    assert (found.edge, found.share, found.share_old) == (1, 0.15, 0.04)
    assert found.p == pytest.approx(4.759845e-05, rel=1e-6)


def test_where_the_old_one_is_as_slow_as_can_be_told_none_is_slower() -> None:
    assert slower((0, 0, 100), (0, 0, 100)).p == 1.0
    assert slower((), (1, 2)).p == 1.0


def test_means_compare_as_welch_says() -> None:
    one = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    other = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    # A published example: t = -2.46, two-sided p = 0.021.
    assert 2 * welch(measure(other), measure(one)) == pytest.approx(0.021, abs=0.0005)
    assert welch(measure(one), measure(other)) == pytest.approx(1 - 0.0105, abs=0.0005)


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    # From tables of Student's t. Both versions have as many values: n of them leave 2n - 2 degrees of freedom.
    [(2.228139, 10, 0.025), (4.302653, 2, 0.025), (1.372184, 10, 0.1), (2.085963, 20, 0.025), (3.551808, 20, 0.001)],
)
def test_the_tail_of_students_t_is_that_of_tables(t: float, freedom: int, p: float) -> None:
    count = freedom // 2 + 1
    # Both have variance 1: so the means are t times the standard error apart.
    spread = float(count - 1)
    mean = t * (2 / count) ** 0.5
    new = Measure(count=count, sum=mean * count, sum_of_squares=spread + mean * mean * count)
    assert welch(new, Measure(count=count, sum=0.0, sum_of_squares=spread)) == pytest.approx(p, rel=1e-4)


def test_without_two_values_or_any_spread_means_are_not_compared() -> None:
    assert welch(measure([5.0]), measure([1.0, 2.0])) == 1.0
    assert welch(measure([5.0, 5.0]), measure([1.0, 1.0])) == 1.0


@pytest.mark.parametrize("spread", [1e-322, 1e-300, 1e-160, 1e-30])
def test_means_whose_spread_is_tiny_compare_too(spread: float) -> None:
    high, low = (Measure(count=3, sum=total, sum_of_squares=total * total / 3 + spread) for total in (1e-200, -1e-200))
    assert 0.0 <= welch(high, low) <= 0.5 <= welch(low, high) <= 1.0


def test_means_that_are_as_far_apart_as_can_be_are_no_chance() -> None:
    high = Measure(count=2, sum=1e30, sum_of_squares=5e59)
    low = Measure(count=2, sum=0.0, sum_of_squares=1e-322)
    assert welch(high, low) == 0.0
    assert welch(low, high) == 1.0


_BOUNDED = st.builds(
    Measure,
    count=st.integers(0, 10**12),
    sum=st.one_of(st.floats(-1e30, 1e30), st.floats(-10, 10)),
    sum_of_squares=st.one_of(st.floats(0, 1e60), st.floats(0, 1e-200), st.floats(0, 1e3)),
)


@given(_BOUNDED, _BOUNDED)
def test_whatever_was_measured_a_probability_comes_of_it(one: Measure, other: Measure) -> None:
    assert 0.0 <= welch(one, other) <= 1.0
