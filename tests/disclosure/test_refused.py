"""Walks that look as good and are not: whoever brings one of them back meets the attack that broke it.

Each is asked what the walk is asked, and the walk is asked beside it.
"""

from fractions import Fraction

from bench.privacy import refused
from disclosure.walk import Walk, moved
from tests.disclosure.chances import Draw, Rules, arrival, branches


def jumps(width: int) -> Rules[refused.State]:
    def one_slot(state: refused.State, count: int, draw: Draw) -> refused.State:
        return refused.jumped(state, count, width=width, draw=draw)

    return Rules(one_slot, lambda state: state.released)


def follows(width: int) -> Rules[refused.State]:
    def one_slot(state: refused.State, count: int, draw: Draw) -> refused.State:
        return refused.followed(state, count, width=width, draw=draw)

    return Rules(one_slot, lambda state: refused.tens(state.released))


def walks(width: int) -> Rules[Walk]:
    def one_slot(walk: Walk, count: int, draw: Draw) -> Walk:
        return moved(walk, count, width=width, draw=draw)

    return Rules(one_slot, lambda walk: walk.released)


def any_threshold(width: int, released: int = 0) -> dict[Walk, Fraction]:
    return {Walk(released, threshold): Fraction(1, width) for threshold in range(width)}


def any_state(width: int, released: int = 0) -> dict[refused.State, Fraction]:
    return branches(lambda draw: refused.State(released, 5 + draw(width)))


def test_a_jump_to_the_rounded_truth_tells_everything_where_others_are_kept_at_an_edge_of_rounding() -> None:
    # Somebody's own devices keep all others at a number that ends in 4. One comes; then a lecture makes the count jump.
    counts = [44, 44, 194]

    assert arrival(jumps(70), any_state(70), counts, 1) == 1
    assert arrival(walks(70), any_threshold(70), counts, 1) == Fraction(23, 1225)


def test_moves_by_the_threshold_in_tens_tell_a_tenth_whenever_the_count_moves_one_by_one() -> None:
    # What is behind the tens is then the true count itself, and one more is beyond an edge of rounding each tenth time.
    counts = [103, *range(104, 126)]

    # It was to be 1 in 20.
    assert arrival(follows(20), any_state(20, released=100), counts, 1) == Fraction(2461, 16000)
    assert arrival(walks(20), any_threshold(20, released=100), counts, 1) < Fraction(12, 100)


def test_one_threshold_for_both_directions_tells_more_the_more_often_the_count_goes_to_both_sides() -> None:
    def swing(slack: int) -> list[int]:
        """A device further each time: with one more only one side is ever reached, and without it both."""
        return [100 + (slack + step if step % 2 else -slack - step) for step in range(6)]

    # Both were to be 1 in 30; the slack is 5, and 10.
    assert arrival(follows(30), any_state(30, released=100), swing(5), 0) > Fraction(9, 100)
    assert arrival(walks(30), any_threshold(30, released=100), swing(10), 0) < Fraction(4, 100)
