"""A batch is cut into parts of bounded work, whatever is thought of it beforehand."""

from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import Position
from state import effect_parts
from state.effect_parts import Outside, Part, Room, parts, work_of_each
from tests.conftest import NOON
from tests.kinds_of_tests import CAR

ROOM = Room(0, 1, ZoneInfo("Europe/Dublin"), lambda device: device[::-1], 10_000)


def position(number: int, zone: int, minutes_ago: int) -> Position:
    return Position(
        kind=CAR,
        device=f"{number:032x}",
        observed_at=NOON - minutes_ago * 60_000,
        received_at=NOON,
        longitude=-8.57,
        latitude=52.67,
        zones=("campus", f"zone-{zone}"),
        cell="gc3gsuxx",
    )


def batch(count: int, zones: int) -> list[Position]:
    random = Random(5)  # noqa: S311 - repeatable, not secret
    return [position(random.randrange(2000), random.randrange(zones), random.randrange(3)) for _ in range(count)]


def holds(made: list[Part], positions: list[Position], outside: list[Outside]) -> None:
    """Everything is in one part, in its order, and none is more than 100 commands but those of one position."""
    times = [at for part in made for at in part.fields["at"]]
    assert times == [each.observed_at for each in positions]
    assert sum(len(part.fields["outside"]) for part in made) == len(outside)
    assert all(part.work <= 100 or part.positions + len(part.fields["outside"]) == 1 for part in made)


some_positions = st.lists(st.builds(position, st.integers(0, 20), st.integers(0, 9), st.integers(0, 3000)), max_size=40)
some_outside = st.lists(st.builds(lambda number: Outside(CAR, f"{number:032x}", NOON), st.integers(0, 99)), max_size=40)


@given(some_positions, some_outside, st.floats(0, 1000))
def test_whatever_each_is_thought_to_be_all_is_there_once_and_no_part_is_too_much(
    positions: list[Position], outside: list[Outside], thought: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effect_parts, "MAX_WORK", 100)
        holds(parts(positions, outside, ROOM, now=NOON, work_each=thought), positions, outside)


def test_a_batch_like_the_one_before_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions in many zones take two parts; that one is too much is found out when it is made."""
    made = 0
    make = effect_parts._part

    def counting(*args: object) -> Part:
        nonlocal made
        made += 1
        return make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(effect_parts, "_part", counting)
    first = parts(batch(500, 500), [], ROOM, now=NOON)
    assert (len(first), made) == (2, 3)
    made = 0
    assert len(parts(batch(500, 500), [], ROOM, now=NOON, work_each=work_of_each(first))) == made == 2
