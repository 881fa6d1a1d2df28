from itertools import islice

import pytest

from simulator.fix import Fix
from simulator.pacing import MAX_SPEED, paced
from simulator.plan import Plan
from tests.simulator.recordings import MORNING, walk

NOW = MORNING + 1_000_000_000


class FakeTime:
    """Stands still, but for who sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def elapsed(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def only_round(plan: Plan, track: list[Fix]) -> list[Fix]:
    (fixes,) = plan.rounds(track, lambda: NOW)
    return fixes


@pytest.mark.parametrize(("speed", "gap"), [(1, 2.0), (10, 0.2), (0.5, 4.0)])
def test_fixes_come_as_far_apart_as_they_were_recorded_divided_by_the_speed(speed: float, gap: float) -> None:
    time = FakeTime()

    come = list(paced(walk(4, seconds=2), speed=speed, elapsed=time.elapsed, sleep=time.sleep))

    assert come == walk(4, seconds=2)
    assert time.slept == pytest.approx([gap] * 3)


def test_at_full_speed_nothing_waits() -> None:
    time = FakeTime()

    assert list(paced(walk(100), speed=MAX_SPEED, elapsed=time.elapsed, sleep=time.sleep)) == walk(100)
    assert time.slept == []


def test_a_delay_is_caught_up() -> None:
    time = FakeTime()
    come = paced(walk(5), speed=1, elapsed=time.elapsed, sleep=time.sleep)
    next(come)

    time.seconds += 2.5
    list(come)

    assert time.slept == pytest.approx([0.5, 1.0])


def test_a_track_that_goes_back_in_time_does_not_wait_for_it() -> None:
    time = FakeTime()

    list(paced(reversed(walk(3)), speed=1, elapsed=time.elapsed, sleep=time.sleep))

    assert time.slept == []


def test_as_it_is_a_track_keeps_its_order_and_times() -> None:
    assert only_round(Plan(), walk(5)) == walk(5)


def test_a_limit_takes_the_first_fixes() -> None:
    assert only_round(Plan(limit=2), walk(5)) == walk(2)
    assert Plan(limit=2).total(walk(5)) == 2
    assert Plan(limit=9).total(walk(5)) == 5


def test_a_seed_gives_the_same_disorder_every_time() -> None:
    shuffled = only_round(Plan(shuffle=7), walk(50))

    assert shuffled == only_round(Plan(shuffle=7), walk(50))
    assert shuffled != only_round(Plan(shuffle=8), walk(50))
    assert shuffled != walk(50)
    assert sorted(shuffled, key=lambda fix: fix.at_ms) == walk(50)


def test_a_shuffled_track_cannot_be_paced() -> None:
    with pytest.raises(ValueError, match="--shuffle"):
        Plan(shuffle=7, speed=1)


@pytest.mark.parametrize(("speed", "gap"), [(1, 2000), (10, 200), (MAX_SPEED, 2000)])
def test_a_shifted_track_starts_now_and_runs_as_fast_as_it_is_sent(speed: float, gap: int) -> None:
    shifted = only_round(Plan(shift_to_now=True, speed=speed), walk(3, seconds=2))

    assert [fix.at_ms for fix in shifted] == [NOW, NOW + gap, NOW + 2 * gap]
    assert [fix.latitude for fix in shifted] == [fix.latitude for fix in walk(3)]


@pytest.mark.parametrize("speed", [0.5, 1, 10])
def test_a_shifted_track_is_sent_when_its_fixes_say_that_it_is(speed: float) -> None:
    time, plan = FakeTime(), Plan(shift_to_now=True, speed=speed)
    began = time.seconds

    for fix in paced(only_round(plan, walk(5, seconds=2)), speed=plan.pace, elapsed=time.elapsed, sleep=time.sleep):
        assert fix.at_ms - NOW == pytest.approx((time.seconds - began) * 1000)


def test_a_shift_is_refused_where_it_leads_into_a_future_that_nobody_accepts() -> None:
    hour = walk(61, seconds=60)

    with pytest.raises(ValueError, match="60 minutes ahead"):
        only_round(Plan(shift_to_now=True), hour)

    assert len(only_round(Plan(shift_to_now=True, limit=6), hour)) == 6
    assert len(only_round(Plan(shift_to_now=True, speed=10), hour)) == 61


def test_each_round_of_a_loop_starts_at_its_own_now() -> None:
    clock = iter([NOW, NOW + 60_000])

    rounds = list(islice(Plan(loop=True, shift_to_now=True, speed=1).rounds(walk(2), lambda: next(clock)), 2))

    assert [fixes[0].at_ms for fixes in rounds] == [NOW, NOW + 60_000]
    assert Plan(loop=True).total(walk(2)) is None
