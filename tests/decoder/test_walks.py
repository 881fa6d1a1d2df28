"""What a slot makes of walks and windows: by released counts alone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from core.kinds import KindId
from core.windows import Width
from decoder.walks import HOUR_MS, Walking, Walks, decoded, encoded, redrawn, released_of
from disclosure.policy import PrivacySettings
from state.released import Released, ReleasedWindow
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE

POLICY = replace(PrivacySettings(privacy="protected").policy, width=30, campus_width=90)
"""Slacks of 10 and 30: with a threshold of 0 a zone steps at 10 more, and at 39 fewer."""
SLOT = POLICY.slot_ms
DUBLIN = ZoneInfo("Europe/Dublin")
SHAPES = {"campus": "c", "library": "l"}


class Draws:
    """Draws the same, unless told otherwise, and counts how often."""

    def __init__(self, value: int = 0) -> None:
        self.value, self.drawn = value, 0

    def __call__(self, below: int) -> int:
        self.drawn += 1
        assert 0 <= self.value < below
        return self.value


@pytest.fixture
def draws() -> Draws:
    return Draws()


@pytest.fixture
def walking(draws: Draws) -> Walking:
    return Walking(kinds=(CAR, MOBILE), policy=POLICY, timezone=DUBLIN, draw=draws)


def there(**counts: int) -> Callable[[str, KindId], int]:
    """So many phones in each zone, and no cars."""
    return lambda zone, kind: counts.get(zone, 0) if kind == MOBILE else 0


def step(
    walking: Walking,
    before: Walks | None,
    slot: int,
    *,
    shapes: Mapping[str, str] = SHAPES,
    told: Released | None = None,
    recorded: bool = True,
    **counts: int,
) -> tuple[Walks, list[ReleasedWindow]]:
    return walking.step(
        before, told, slot=slot, campus="campus", shapes=shapes, present=there(**counts), recorded=recorded
    )


def phones(walks: Walks, zone: str) -> int:
    return released_of(walks, "one").of(zone, MOBILE)


def test_the_first_slot_of_all_begins_at_zero_and_looks_at_once(walking: Walking) -> None:
    walks, over = step(walking, None, NOON, campus=29, library=10)
    assert (phones(walks, "campus"), phones(walks, "library")) == (0, 30)
    assert over == []


def test_a_zone_steps_by_the_width_and_the_campus_by_its_own(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, campus=30, library=40)
    assert released_of(walks, "one") == Released(NOON, "one", {"campus": {MOBILE: 90}, "library": {MOBILE: 30}})
    walks, _ = step(walking, walks, NOON + SLOT, campus=30, library=40)
    assert phones(walks, "library") == 60


def test_while_no_edge_is_reached_nothing_is_drawn(walking: Walking, draws: Draws) -> None:
    walks, _ = step(walking, None, NOON)
    before = draws.drawn
    for slot in range(1, 50):
        walks, _ = step(walking, walks, NOON + slot * SLOT, library=slot % 10)
    assert draws.drawn == before
    assert released_of(walks, "one").counts == {}


def test_walks_are_the_same_after_they_were_written_and_read(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, library=10)
    assert decoded(encoded(walks)) == walks
    assert decoded(b"\xff\xfe not ours") is None
    assert decoded(b"") is None


def test_a_new_zone_tells_zero_until_the_next_whole_hour(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, library=10)
    for slot in range(1, 120):
        walks, _ = step(walking, walks, NOON + slot * SLOT, shapes=SHAPES | {"gym": "g"}, library=10, gym=500)
        assert phones(walks, "gym") == 0
    walks, _ = step(walking, walks, NOON + HOUR_MS, shapes=SHAPES | {"gym": "g"}, library=10, gym=500)
    assert phones(walks, "gym") == 30


def test_a_zone_with_another_outline_begins_anew_and_the_others_do_not(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, campus=30, library=10)
    walks, _ = step(walking, walks, NOON + SLOT, shapes=SHAPES | {"library": "other"}, campus=30, library=500)
    assert (phones(walks, "campus"), phones(walks, "library")) == (90, 0)


def test_a_zone_that_is_gone_is_not_told(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, campus=30, library=10)
    walks, _ = step(walking, walks, NOON + SLOT, shapes={"campus": "c"}, campus=30)
    assert released_of(walks, "one").counts == {"campus": {MOBILE: 90}}


def test_where_walks_are_lost_they_go_on_from_what_was_told(walking: Walking, draws: Draws) -> None:
    draws.value = 5
    told = Released(NOON, "one", {"library": {MOBILE: 60}})
    walks, _ = step(walking, None, NOON + SLOT, told=told, library=60)
    assert phones(walks, "library") == 60
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {5}


def test_redrawn_walks_tell_the_same_with_new_thresholds(walking: Walking, draws: Draws) -> None:
    walks, _ = step(walking, None, NOON, library=10)
    draws.value = 7
    walks, _ = step(walking, redrawn(walks), NOON + SLOT, library=40)
    assert phones(walks, "library") == 30
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {7}


@pytest.mark.parametrize("width", [40, 25])
def test_thresholds_of_another_width_are_drawn_anew_also_of_a_smaller_one(
    walking: Walking, draws: Draws, width: int
) -> None:
    walks, _ = step(walking, None, NOON, library=10)
    draws.value = 7
    policy = replace(POLICY, width=width, campus_width=3 * width)
    changed = Walking(kinds=(CAR, MOBILE), policy=policy, timezone=DUBLIN, draw=draws)
    after, _ = step(changed, decoded(encoded(walks)), NOON + SLOT, library=30)
    assert phones(after, "library") == 30
    assert {walk.threshold for zone in after.zones.values() for walk in zone.walks.values()} == {7}
    draws.value = 9
    again, _ = step(changed, decoded(encoded(after)), NOON + 2 * SLOT, library=30)
    assert again.zones == after.zones


def windows_of(over: list[ReleasedWindow], width: Width) -> list[ReleasedWindow]:
    return [window for window in over if window.width is width]


def test_a_window_that_is_over_is_the_mean_of_what_was_told_in_it(walking: Walking) -> None:
    walks: Walks | None = None
    over: list[ReleasedWindow] = []
    for slot in range(11):
        # One step in the first slot, a second one in the fourth: 30, 30, 30, 60, 60, ...
        walks, ended = step(walking, walks, NOON + slot * SLOT, library=10 if slot < 3 else 40)
        over += ended
    assert [(window.start, window.counts) for window in windows_of(over, Width.MINUTE)] == [
        (NOON, {"library:mobile": 30}),
        (NOON + 60_000, {"library:mobile": 45}),
        (NOON + 120_000, {"library:mobile": 60}),
        (NOON + 180_000, {"library:mobile": 60}),
        (NOON + 240_000, {"library:mobile": 60}),
    ]
    assert windows_of(over, Width.FIVE_MINUTES) == [
        ReleasedWindow(Width.FIVE_MINUTES, NOON, recorded=True, counts={"library:mobile": 51})
    ]
    assert windows_of(over, Width.HOUR) == []


def test_an_hour_and_a_day_are_means_of_their_slots_and_days_are_those_of_the_campus(walking: Walking) -> None:
    # NOON is 2026-03-02T12:00Z; the day of Dublin ends at midnight, as UTC's.
    walks, _ = step(walking, None, NOON, library=10)
    walks, over = step(walking, walks, NOON + HOUR_MS, library=10)
    assert [window.counts for window in windows_of(over, Width.HOUR)] == [{"library:mobile": 30}]
    midnight = NOON + 12 * HOUR_MS
    walks, over = step(walking, walks, midnight, library=10)
    assert windows_of(over, Width.DAY) == [
        ReleasedWindow(Width.DAY, NOON - 12 * HOUR_MS, recorded=True, counts={"library:mobile": 30})
    ]


def test_slots_in_which_nobody_looked_count_for_nothing(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, library=10)
    walks, _ = step(walking, walks, NOON + 4 * SLOT, library=40)
    _, over = step(walking, walks, NOON + 10 * SLOT, library=40)
    # 30 for one slot and 60 for another; the eight others are not known, and two minutes are no windows at all.
    assert windows_of(over, Width.FIVE_MINUTES)[0].counts == {"library:mobile": 45}
    assert [window.start - NOON for window in windows_of(over, Width.MINUTE)] == [120_000]


def test_a_window_is_recorded_if_anything_could_have_come_in(walking: Walking) -> None:
    walks, _ = step(walking, None, NOON, recorded=False)
    walks, _ = step(walking, walks, NOON + SLOT, recorded=True)
    walks, over = step(walking, walks, NOON + 2 * SLOT, recorded=False)
    assert [window.recorded for window in over] == [True]
    walks, over = step(walking, walks, NOON + 4 * SLOT, recorded=True)
    assert [window.recorded for window in over] == [False]


def test_a_slot_of_five_minutes_fills_five_windows_of_one(draws: Draws) -> None:
    policy = replace(POLICY, slot_ms=300_000)
    walking = Walking(kinds=(CAR, MOBILE), policy=policy, timezone=DUBLIN, draw=draws)
    walks, over = step(walking, None, NOON, library=10)
    assert over == []
    _, over = step(walking, walks, NOON + 300_000, library=10)
    assert [(each.start, each.counts) for each in windows_of(over, Width.MINUTE)] == [
        (NOON + minute * 60_000, {"library:mobile": 30}) for minute in range(5)
    ]
    assert len(windows_of(over, Width.FIVE_MINUTES)) == 1


def test_a_slot_that_lies_across_the_end_of_a_window_counts_in_both_for_its_share(draws: Draws) -> None:
    policy = replace(POLICY, slot_ms=45_000)
    walking = Walking(kinds=(CAR, MOBILE), policy=policy, timezone=DUBLIN, draw=draws)
    walks: Walks | None = None
    over: list[ReleasedWindow] = []
    for slot in range(4):
        # 0 for 45 s, then 30.
        walks, ended = step(walking, walks, NOON + slot * 45_000, library=0 if slot == 0 else 10)
        over += ended
    assert [each.counts for each in windows_of(over, Width.MINUTE)] == [{"library:mobile": 8}, {"library:mobile": 30}]
