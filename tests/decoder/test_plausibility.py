"""What is hard to believe, found in the positions of an hour: whatever their order, and however often they come."""

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.marks import Mark
from decoder.plausibility import Hour, marked
from tests.conftest import NOON

LIBRARY = (-8.5734003, 52.6733001)
METRE = 1 / 111_195
"""Degrees of latitude; of longitude here it is 0.61 of a metre."""
MINUTE = 60_000


class Sent(NamedTuple):
    """A position of a device."""

    device: str
    at: int
    longitude: float
    latitude: float
    accuracy: float | None = 5.0
    speed: float | None = 1.4


def marks(sent: Iterable[Sent], *, most_devices: int = 100) -> dict[str, set[Mark]]:
    hour = Hour(NOON, most_devices)
    for each in sent:
        hour.add(*each[:4], accuracy=each.accuracy, speed=each.speed)
    return {device: set(found) for device, found in marked(hour.tracks(), most_speed=70.0).items()}


def walk(
    device: str,
    *,
    start: int = NOON,
    fixes: int = 120,
    seconds: float = 10,
    noise: float = 4.0,
    seed: int = 1,
    offset: tuple[float, float] = (0.0, 0.0),
) -> list[Sent]:
    """Along a street to the north with bends, at 1.4 m/s, seen by a receiver with so much noise in metres."""
    source = random.Random(seed)  # noqa: S311 - the same at every run
    found = []
    for number in range(fixes):
        north = 1.4 * seconds * number + source.gauss(0, noise) + offset[1]
        east = 8.0 * (number // 20) + source.gauss(0, noise) + offset[0]
        found.append(
            Sent(
                device,
                start + int(number * seconds * 1000),
                round(LIBRARY[0] + east * METRE / 0.61, 7),
                round(LIBRARY[1] + north * METRE, 7),
            )
        )
    return found


def jumps(device: str, *, number: int, metres: float, seconds: float, accuracy: float | None = 5.0) -> list[Sent]:
    """There and back again."""
    return [
        Sent(
            device,
            NOON + int(step * seconds * 1000),
            LIBRARY[0],
            round(LIBRARY[1] + (step % 2) * metres * METRE, 7),
            accuracy,
        )
        for step in range(number + 1)
    ]


def still(
    device: str, *, minutes: int, speeds: Sequence[float | None], place: tuple[float, float] = LIBRARY
) -> list[Sent]:
    return [
        Sent(device, NOON + minute * MINUTE, *place, 5.0, speeds[minute % len(speeds)]) for minute in range(minutes + 1)
    ]


def test_who_walks_has_no_mark() -> None:
    assert marks([*walk("one"), *walk("two", seed=2), *walk("three", seed=3)]) == {}


def test_three_jumps_that_no_device_can_make_are_a_teleport_and_two_are_one_wrong_fix() -> None:
    assert marks(jumps("a", number=3, metres=800, seconds=10)) == {"a": {Mark.TELEPORT}}
    assert marks(jumps("a", number=2, metres=800, seconds=10)) == {}


def test_what_a_fast_car_can_do_is_no_teleport_and_neither_is_what_accuracy_explains() -> None:
    assert marks(jumps("a", number=9, metres=650, seconds=10)) == {}
    assert marks(jumps("a", number=9, metres=750, seconds=10)) == {"a": {Mark.TELEPORT}}
    assert marks(jumps("a", number=9, metres=750, seconds=10, accuracy=30)) == {}
    assert marks(jumps("a", number=9, metres=715, seconds=10, accuracy=None)) == {}
    assert marks(jumps("a", number=9, metres=725, seconds=10, accuracy=None)) == {"a": {Mark.TELEPORT}}


def test_fixes_that_are_too_inaccurate_say_nothing_of_where_a_device_was() -> None:
    assert marks(jumps("a", number=9, metres=5000, seconds=1, accuracy=101)) == {}
    assert marks(jumps("a", number=9, metres=5000, seconds=1, accuracy=100)) == {"a": {Mark.TELEPORT}}


def test_two_places_at_one_instant_are_far_apart_however_short_the_time() -> None:
    twice = [Sent("a", NOON + step, LIBRARY[0], LIBRARY[1] + far * METRE) for step in range(2) for far in (0, 100)]
    assert marks(twice) == {"a": {Mark.TELEPORT}}


def test_half_an_hour_in_one_very_place_with_changing_speeds_is_frozen() -> None:
    assert marks(still("a", minutes=30, speeds=(0.0, 1.4))) == {"a": {Mark.FROZEN}}
    assert marks(still("a", minutes=29, speeds=(0.0, 1.4))) == {}


def test_what_is_parked_and_says_so_or_says_nothing_is_not_frozen() -> None:
    assert marks(still("a", minutes=59, speeds=(0.0, 0.4))) == {}
    assert marks(still("a", minutes=59, speeds=(None,))) == {}


def test_one_step_in_between_is_a_move() -> None:
    stay = still("a", minutes=50, speeds=(0.0, 1.4))
    stay[25] = stay[25]._replace(latitude=stay[25].latitude + 1e-7)
    assert marks(stay) == {}


def test_a_way_without_noise_is_too_perfect() -> None:
    assert marks(walk("a", noise=0.0)) == {"a": {Mark.PERFECT}}
    assert marks(walk("a", noise=0.03)) == {"a": {Mark.PERFECT}}
    assert marks(walk("a", noise=0.3)) == {}
    assert marks(walk("a", noise=0.0, fixes=50)) == {}, "a short way may be straight by chance"


def test_the_very_places_of_another_later_are_a_replay_and_the_other_has_none() -> None:
    original = walk("original", fixes=40)
    copy = [each._replace(device="copy", at=each.at + 5 * MINUTE) for each in original]
    assert marks([*original, *copy]) == {"copy": {Mark.REPLAYED}}
    assert marks([*original, *copy[:19]]) == {}
    assert marks([*original, *copy[:20]]) == {"copy": {Mark.REPLAYED}}


def test_the_same_places_at_the_same_time_are_no_replay() -> None:
    original = walk("original", fixes=40)
    assert marks([*original, *(each._replace(device="twin", at=each.at + 900) for each in original)]) == {}


def test_places_of_many_others_are_no_replay_of_one() -> None:
    others = [each for number in range(8) for each in walk(f"other-{number}", fixes=5, seed=number)]
    copied = [each._replace(device="copy", at=NOON + 30 * MINUTE + number) for number, each in enumerate(others)]
    assert Mark.REPLAYED not in marks([*others, *copied]).get("copy", set())


def test_six_that_make_the_same_moves_in_the_same_seconds_are_in_lockstep_and_five_are_not() -> None:
    crowd = [walk(f"step-{number}", offset=(3.0 * number, 40.0 * number)) for number in range(6)]
    assert marks(itertools.chain(*crowd)) == {f"step-{number}": {Mark.LOCKSTEP} for number in range(6)}
    assert marks(itertools.chain(*crowd[:5])) == {}


def test_those_who_stand_still_together_are_not_in_lockstep() -> None:
    stays = [still(f"parked-{number}", minutes=59, speeds=(0.0,)) for number in range(20)]
    assert marks(itertools.chain(*stays)) == {}


def test_devices_that_tell_five_decimals_are_not_compared_place_by_place() -> None:
    coarse = [
        each._replace(
            device=f"{each.device}-{number}", longitude=round(each.longitude, 5), latitude=round(each.latitude, 5)
        )
        for number in range(8)
        for each in [*walk("walk", noise=0.0), *still("still", minutes=50, speeds=(0.0, 1.4))]
    ]
    later = [each._replace(device=f"late-{each.device}", at=each.at + 5 * MINUTE) for each in coarse]
    assert marks([*coarse, *later]) == {}


def test_of_more_devices_than_there_is_room_for_as_many_are_judged_and_the_rest_is_counted() -> None:
    hour = Hour(NOON, 3)
    sent = [each for number in range(10) for each in jumps(f"{number}", number=3, metres=800, seconds=10)]
    for each in sent:
        hour.add(*each[:4], accuracy=None, speed=None)
    assert len(hour) == 3
    assert hour.unjudged == 7 * 4
    assert len(marked(hour.tracks(), most_speed=70.0)) == 3


def test_which_devices_are_judged_does_not_depend_on_who_comes_first_and_is_another_choice_each_hour() -> None:
    names = [f"{number:032x}" for number in range(50)]

    def kept(start: int, order: Iterable[str]) -> set[str]:
        hour = Hour(start, 5)
        for device in order:
            hour.add(device, start, *LIBRARY, accuracy=None, speed=None)
        return set(hour.tracks())

    assert kept(NOON, names) == kept(NOON, reversed(names))
    assert kept(NOON, names) != kept(NOON + 3_600_000, names)


def test_of_one_device_a_thousand_positions_are_judged() -> None:
    hour = Hour(NOON, 3)
    for number in range(1200):
        hour.add("a", NOON + number, *LIBRARY, accuracy=None, speed=None)
    assert hour.unjudged == 200
    assert len(hour.tracks()["a"]) == 1000


def test_where_devices_send_very_much_fewer_of_them_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoder.plausibility.hour.MOST_IN_ALL", 100)
    hour = Hour(NOON, 50)
    for number in range(30):
        for device in range(20):
            hour.add(f"{device}", NOON + number, *LIBRARY, accuracy=None, speed=None)
    kept = hour.tracks()
    assert [len(track) for track in kept.values()] == [30, 30, 30]
    assert hour.unjudged == 17 * 30
    alone = Hour(NOON, 50)
    for number in range(150):
        alone.add("a", NOON + number, *LIBRARY, accuracy=None, speed=None)
    assert len(alone.tracks()["a"]) == 150, "one device has its own limit"


def test_an_hour_without_positions_has_no_marks() -> None:
    assert marks([]) == {}
    assert marks([Sent("a", NOON, *LIBRARY)]) == {}


def test_on_the_180th_meridian_a_step_is_a_step() -> None:
    steps = [Sent("a", NOON + step * 1000, 179.9999999 if step % 2 else -179.9999999, 10.0000001) for step in range(20)]
    assert marks(steps) == {}


EVERYBODY = [
    *walk("walker", fixes=60),
    *jumps("jumper", number=5, metres=800, seconds=10),
    *still("frozen", minutes=45, speeds=(0.0, 1.4)),
    *walk("perfect", noise=0.0, seed=9),
    *(each._replace(device="copy", at=each.at + 7 * MINUTE) for each in walk("walker", fixes=60)),
    *(
        each
        for number in range(6)
        for each in walk(f"step-{number}", offset=(3.0 * number, 40.0 * number), seed=4, fixes=30)
    ),
]
EVERY_MARK = {
    "jumper": {Mark.TELEPORT},
    "frozen": {Mark.FROZEN},
    "perfect": {Mark.PERFECT},
    "copy": {Mark.REPLAYED},
    **{f"step-{number}": {Mark.LOCKSTEP} for number in range(6)},
}


@given(st.integers(0, 2**32), st.floats(min_value=0, max_value=1))
def test_any_order_and_any_duplicates_give_the_same_marks(seed: int, share: float) -> None:
    source = random.Random(seed)  # noqa: S311 - the same at every run
    again = [each for each in EVERYBODY if source.random() < share]
    sent = [*EVERYBODY, *again, *again]
    source.shuffle(sent)
    assert marks(sent) == EVERY_MARK


Wild = st.builds(
    Sent,
    device=st.sampled_from("abc"),
    at=st.integers(NOON, NOON + 3_599_999),
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    accuracy=st.none() | st.floats(0, 1e6),
    speed=st.none() | st.floats(0, 1e6),
)


@given(st.lists(Wild, max_size=40), st.integers(0, 2**32))
def test_whatever_devices_send_is_judged_and_always_the_same(sent: list[Sent], seed: int) -> None:
    other = [*sent, *sent[: len(sent) // 2]]
    random.Random(seed).shuffle(other)  # noqa: S311 - the same at every run
    assert marks(other) == marks(sent)


@pytest.mark.parametrize("speed", [float("nan"), float("inf"), 1e308])
def test_speeds_that_are_no_speeds_do_no_harm(speed: float) -> None:
    assert marks(still("a", minutes=50, speeds=(speed,))) == {}
