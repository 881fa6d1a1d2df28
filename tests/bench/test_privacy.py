"""The attack finds what is known to be there, and what it says is the best is what the walk itself does."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from bench.privacy.attack import attack, likelihood
from bench.privacy.crowd import lecture, quiet
from bench.privacy.methods import Method, methods, walk_of
from disclosure.walk import Walk, moved
from tests.disclosure.chances import Draw, Rules, told

TRIALS = 400
SEED = 7


def method(part: str) -> Method:
    return next(each for each in methods(quick=True) if part in each.name)


@pytest.mark.parametrize("name", ["exact", "rounding to 5", "rounding to 10", "cell key by count, ± 5"])
def test_what_is_known_to_tell_everything_does(name: str) -> None:
    assert attack(method(name), quiet(TRIALS), np.random.default_rng(SEED)).advantage > 0.97


def test_noise_that_is_drawn_anew_tells_by_what_it_could_not_have_been() -> None:
    # A value above all that there may be without the device comes once in 51 slots.
    assert attack(method("anew each slot, ± 25"), quiet(TRIALS), np.random.default_rng(SEED)).advantage > 0.8


def test_a_jump_to_the_rounded_truth_is_broken_by_a_lecture() -> None:
    assert attack(method("jump to the rounded truth"), lecture(TRIALS), np.random.default_rng(SEED)).advantage == 1


def test_the_walk_tells_next_to_nothing_of_the_same() -> None:
    found = attack(walk_of(130, 390), lecture(TRIALS), np.random.default_rng(SEED))

    assert found.most is not None
    assert found.most < 0.03


def test_how_likely_a_walk_is_agrees_with_every_draw_that_it_may_make() -> None:
    counts = [3, 9, 14, 6, 0, 11]

    def one_slot(walk: Walk, count: int, draw: Draw) -> Walk:
        return moved(walk, count, width=7, draw=draw)

    start = {Walk(0, threshold): Fraction(1, 7) for threshold in range(7)}
    chances = told(Rules(one_slot, lambda walk: walk.released), start, counts)
    assert len(chances) > 5

    for series, chance in chances.items():
        found = likelihood(np.array([series]), np.array([counts]), width=7)
        assert math.exp(found[0]) == pytest.approx(float(chance))
    never = next(each for each in itertools.product((0, 7), repeat=len(counts)) if each not in chances)
    assert likelihood(np.array([never]), np.array([counts]), width=7)[0] == -math.inf
