"""What a simulated receiver makes of the truth: noise, stated accuracy, irregular times, gaps."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest

from core.kinds import DEFAULT_KINDS
from simulator.campus.chance import chance
from simulator.campus.gps import Reading, readings
from simulator.campus.people import Unit
from simulator.campus.walk import Way

HOUR = 3_600_000
START = 1_795_510_800_000


def unit(*, vehicle: bool = False) -> Unit:
    return Unit(id="one", kind=next(iter(DEFAULT_KINDS)), vehicle=vehicle, skew_ms=0, noise=1.0)


def standing(hours: int, *, indoors: bool) -> Way:
    way = Way()
    way.begin(START, (0.0, 0.0))
    way.stand((0.0, 0.0), START + hours * HOUR, indoors=indoors)
    return way


def said(hours: int, *, indoors: bool, vehicle: bool = False, seeds: int = 1) -> Iterator[Reading]:
    for seed in range(seeds):
        yield from readings(standing(hours, indoors=indoors), unit(vehicle=vehicle), chance(seed))


def spread(found: list[Reading]) -> float:
    return math.sqrt(sum(east * east + north * north for east, north in (one.place for one in found)) / len(found) / 2)


def test_indoors_is_five_times_worse_than_outdoors_for_what_people_carry() -> None:
    outdoors = [one for one in said(8, indoors=False, seeds=20) if one.accuracy < 100]
    indoors = [one for one in said(8, indoors=True, seeds=20) if one.accuracy < 100]
    assert spread(outdoors) == pytest.approx(4.0, rel=0.1)
    assert spread(indoors) == pytest.approx(20.0, rel=0.1)
    assert spread(list(said(8, indoors=True, vehicle=True, seeds=20))) == pytest.approx(4.0, rel=0.1)


def test_the_stated_accuracy_holds_68_of_100_places() -> None:
    for indoors in (False, True):
        found = list(said(8, indoors=indoors, seeds=20))
        held = sum(math.hypot(*one.place) <= one.accuracy for one in found) / len(found)
        assert held == pytest.approx(0.68, abs=0.04)


def test_errors_of_one_moment_and_the_next_are_alike_when_they_are_near() -> None:
    way = Way()
    way.begin(START, (0.0, 0.0))
    way.go([(0.0, 0.0), (0.0, 20_000.0)], 1.4)
    found = list(readings(way, unit(), chance(1)))
    east = [one.place[0] for one in found]
    variance = sum(value * value for value in east) / len(east)
    near = sum(one * other for one, other in pairwise(east)) / len(east) / variance
    # Fixes are six seconds apart: exp(-6/30) is 0.82.
    assert near == pytest.approx(0.82, abs=0.06)


def test_who_moves_reports_every_few_seconds_and_who_stands_every_minute_or_so() -> None:
    way = Way()
    way.begin(START, (0.0, 0.0))
    way.go([(0.0, 0.0), (0.0, 2000.0)], 1.4)
    moving = [other.at_ms - one.at_ms for one, other in pairwise(readings(way, unit(), chance(1)))]
    still = [other.at_ms - one.at_ms for one, other in pairwise(said(8, indoors=False, vehicle=True))]
    assert 5000 <= min(moving) < max(moving) < 20_000
    assert 60_000 <= min(still) < max(still) < 200_000
    assert len(set(still)) > 50


def test_a_phone_dozes_now_and_then_for_minutes() -> None:
    gaps = [other.at_ms - one.at_ms for one, other in pairwise(said(8, indoors=True)) if other.at_ms > one.at_ms]
    assert any(180_000 <= gap <= 900_000 for gap in gaps)


def test_some_devices_go_off_and_some_have_no_signal_for_a_while() -> None:
    gone = silent = 0
    for seed in range(400):
        way = standing(8, indoors=True)
        way.go([(0.0, 0.0), (0.0, 300.0)], 1.4)
        found = list(readings(way, unit(), chance(seed)))
        gone += (
            found[-1].at_ms < START + 7 * HOUR
            or max(other.at_ms - one.at_ms for one, other in pairwise(found)) > 0.5 * HOUR
        )
        silent += not all(one.signal for one in found)
        # On the way out, at the latest, what was kept is sent.
        assert found[-1].signal or found[-1].at_ms < START + 8 * HOUR
    assert 6 <= gone <= 40
    assert 30 <= silent <= 90


def test_who_stands_has_no_speed_and_no_heading_and_who_walks_south_has() -> None:
    assert {(one.speed, one.heading) for one in said(1, indoors=False)} == {(0.0, None)}
    way = Way()
    way.begin(START, (0.0, 0.0))
    way.go([(0.0, 0.0), (0.0, -1000.0)], 1.4)
    assert {(one.speed, one.heading) for one in readings(way, unit(), chance(1))} == {(1.4, 180.0)}
