"""The walk: what it tells of one device, exactly, and that it follows."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disclosure.walk import Walk, begun, moved, shown
from tests.disclosure.chances import Draw, Rules, advantage, arrival, branches, followed, told


def rules(width: int) -> Rules[Walk]:
    def one_slot(walk: Walk, count: int, draw: Draw) -> Walk:
        return moved(walk, count, width=width, draw=draw)

    return Rules(one_slot, lambda walk: walk.released)


def fresh(width: int, released: int = 0) -> dict[Walk, Fraction]:
    return {Walk(released, threshold): Fraction(1, width) for threshold in range(width)}


def never(size: int) -> int:
    raise AssertionError(f"a number below {size} was drawn")


def changes(series: tuple[int, ...]) -> int:
    return sum(one != other for one, other in itertools.pairwise(series))


def test_it_begins_at_nobody_with_any_threshold() -> None:
    assert branches(lambda draw: begun(width=4, draw=draw)) == {
        Walk(0, 0): Fraction(1, 4),
        Walk(0, 1): Fraction(1, 4),
        Walk(0, 2): Fraction(1, 4),
        Walk(0, 3): Fraction(1, 4),
    }


def test_it_stays_until_an_edge_is_reached_and_draws_nothing_meanwhile() -> None:
    walk = Walk(released=120, threshold=19)

    # 120 + 40 + 19, and 120 - 40 - 100.
    for count in (178, 0, 150, -19):
        assert moved(walk, count, width=120, draw=never) is walk
    assert moved(walk, 179, width=120, draw=lambda _: 7) == Walk(240, 7)
    assert moved(walk, -20, width=120, draw=lambda _: 7) == Walk(0, 7)


def test_it_takes_one_step_a_slot_however_many_come() -> None:
    assert moved(Walk(0, 0), 5000, width=120, draw=lambda _: 3) == Walk(120, 3)


def test_a_threshold_of_a_larger_width_is_drawn_anew_when_the_setting_has_changed() -> None:
    assert moved(Walk(240, 119), 240, width=60, draw=lambda size: size - 1) == Walk(240, 59)
    assert moved(Walk(10, 119), 0, width=30, draw=lambda _: 29) == Walk(0, 29)


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(30, 130), st.integers(0, 1000))
def test_what_is_released_is_a_multiple_of_the_width_and_never_less_than_nobody(
    counts: list[int], width: int, seed: int
) -> None:
    draw = random.Random(seed).randrange  # noqa: S311 - the same at every run
    walk = begun(width=width, draw=draw)
    for count in counts:
        before, walk = walk, moved(walk, count, width=width, draw=draw)
        assert walk.released >= 0
        assert walk.released % width == 0
        assert abs(walk.released - before.released) in {0, width}
        assert 0 <= walk.threshold < width


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_count_that_stays_is_followed_to_within_the_band(count: int, seed: int) -> None:
    draw = random.Random(seed).randrange  # noqa: S311 - the same at every run
    walk = begun(width=60, draw=draw)
    for _ in range(200):
        walk = moved(walk, count, width=60, draw=draw)
    # 20 of slack and 59 of threshold.
    assert abs(walk.released - count) < 80


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 15), min_size=1, max_size=5), st.integers(0, 4), st.integers(3, 7), st.sampled_from([1, -1])
)
def test_one_that_comes_or_leaves_tells_at_most_one_in_the_thresholds_that_are_left_and_one_in_the_width_a_step(
    counts: list[int], at: int, width: int, by: int
) -> None:
    before, after = counts[:at], counts[at:]
    for series, states in followed(rules(width), fresh(width), before).items():
        chance = sum(states.values(), Fraction())
        # All that can be known until then: what was told, and each count.
        known = {state: part / chance for state, part in states.items()}
        without = told(rules(width), known, after)
        with_it = told(rules(width), known, [count + by for count in after])
        last = series[-1] if series else 0
        steps = sum((part * changes((last, *each)) for each, part in without.items()), Fraction())

        assert advantage(without, with_it) <= Fraction(1, len(known)) + steps / width


@settings(max_examples=5)
@given(st.lists(st.integers(-14, 14), min_size=1, max_size=4), st.permutations(range(-14, 15, 7)))
def test_waiting_and_moving_to_and_fro_tell_nothing_more(others: list[int], again: list[int]) -> None:
    # 20 of slack; there are ten devices to move beyond it, before and afterwards.
    counts = [60 + each for each in [*others, 30, *again, 30, *others]]

    assert arrival(rules(60), fresh(60, released=60), counts, len(others)) == Fraction(1, 60)


def test_twenty_thresholds_that_were_tried_leave_a_hundred() -> None:
    # 40 of slack, and twenty devices beyond it: with none of 21 thresholds the count has stepped.
    left = {walk: Fraction(1, 99) for walk in fresh(120) if walk.threshold > 20}

    assert arrival(rules(120), left, [60, 60], 1) == Fraction(1, 99)
    # Who looks before that is known has one in 120; and where it has stepped, one in 120 once more.
    assert arrival(rules(120), fresh(120), [60, 60], 1) == Fraction(1, 120) + Fraction(21, 120) * Fraction(1, 120)


def test_both_edges_move_together_so_that_a_count_that_goes_to_both_sides_tells_no_more() -> None:
    swing = [30, 30 + 11, 30 - 12, 30 + 13, 30 - 14]

    assert arrival(rules(30), fresh(30, released=30), swing, 0) < Fraction(13, 300)


def test_less_than_the_least_is_not_shown() -> None:
    assert shown(0, 5) is None
    assert shown(120, 5) == 120
    assert shown(0, 0) == 0


@pytest.mark.parametrize("width", [30, 31, 120, 1000])
def test_a_band_is_as_wide_wherever_it_is_drawn(width: int) -> None:
    def reached(threshold: int, direction: int) -> int:
        walk = Walk(10_000, threshold)
        return next(
            far
            for far in itertools.count()
            if moved(walk, 10_000 + direction * far, width=width, draw=lambda _: 0) is not walk
        )

    widths = {reached(threshold, 1) + reached(threshold, -1) for threshold in (0, 1, width // 2, width - 1)}
    assert len(widths) == 1
