"""Walks that were refused, as plainly as they can be put; `tests/disclosure/test_refused.py` breaks each of them.

Both have one threshold for both directions, from 5 on, and show tens.
"""

from collections.abc import Callable
from typing import NamedTuple

SLACK = 5
Draw = Callable[[int], int]


class State(NamedTuple):
    """Of one zone."""

    released: int
    threshold: int


def tens(count: int) -> int:
    """To tens, halves up."""
    return (count + 5) // 10 * 10


def begun(*, width: int, draw: Draw) -> State:
    """Nothing is known yet."""
    return State(0, SLACK + draw(width))


def jumped(state: State, count: int, *, width: int, draw: Draw) -> State:
    """To the rounded truth, whenever the true count is as far away as the threshold."""
    if abs(count - state.released) < state.threshold:
        return state
    return State(tens(count), SLACK + draw(width))


def followed(state: State, count: int, *, width: int, draw: Draw) -> State:
    """By the threshold itself, as often as it is reached; shown is what that is in tens."""
    while abs(count - state.released) >= state.threshold:
        step = state.threshold if count > state.released else -state.threshold
        state = State(state.released + step, SLACK + draw(width))
    return state
