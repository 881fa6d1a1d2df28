"""How likely everything is that a walk may tell, exactly: each number that may be drawn is."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State", bound=Hashable)
Draw = Callable[[int], int]
Told = tuple[int, ...]
"""What was told, slot by slot."""
Chances = dict[Told, Fraction]


class _DrawnError(Exception):
    """A number was asked for that is not among those which are given."""


def branches(step: Callable[[Draw], State]) -> dict[State, Fraction]:
    """What a step may come to, and how likely."""
    found: dict[State, Fraction] = {}
    ways: list[tuple[tuple[int, ...], Fraction]] = [((), Fraction(1))]
    while ways:
        numbers, chance = ways.pop()
        left, sizes = list(numbers), list[int]()

        def draw(size: int, left: list[int] = left, sizes: list[int] = sizes) -> int:
            if left:
                return left.pop(0)
            sizes.append(size)
            raise _DrawnError

        try:
            state = step(draw)
        except _DrawnError:
            ways += [((*numbers, number), chance / sizes[0]) for number in range(sizes[0])]
        else:
            found[state] = found.get(state, Fraction()) + chance
    return found


class Rules(NamedTuple, Generic[State]):
    """How counts are released."""

    moved: Callable[[State, int, Draw], State]
    shown: Callable[[State], int]


def followed(
    rules: Rules[State], start: Mapping[State, Fraction], counts: Sequence[int]
) -> dict[Told, dict[State, Fraction]]:
    """Of each series that may be told of these counts: the states that it may leave, and how likely each is with it."""
    now: dict[Told, dict[State, Fraction]] = {(): dict(start)}
    for count in counts:
        after: dict[Told, dict[State, Fraction]] = {}
        for series, states in now.items():
            for state, chance in states.items():

                def step(draw: Draw, state: State = state, count: int = count) -> State:
                    return rules.moved(state, count, draw)

                for following, part in branches(step).items():
                    reached = after.setdefault((*series, rules.shown(following)), {})
                    reached[following] = reached.get(following, Fraction()) + chance * part
        now = after
    return now


def told(rules: Rules[State], start: Mapping[State, Fraction], counts: Sequence[int]) -> Chances:
    """How likely each series is."""
    return {series: sum(states.values(), Fraction()) for series, states in followed(rules, start, counts).items()}


def advantage(one: Chances, other: Chances) -> Fraction:
    """What the best guess between the two is worth: true less false positives."""
    return sum((max(Fraction(), chance - other.get(series, Fraction())) for series, chance in one.items()), Fraction())


def arrival(rules: Rules[State], start: Mapping[State, Fraction], counts: Sequence[int], at: int) -> Fraction:
    """What the best guess is worth whether one more came at a slot, and stayed."""
    with_it = [count + (slot >= at) for slot, count in enumerate(counts)]
    return advantage(told(rules, start, counts), told(rules, start, with_it))
