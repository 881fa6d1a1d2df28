"""What the simulator says is true, and what it reports of it."""

import itertools
import math

import pytest

from geofence import Geofence, load_campus
from simulator.truth import metres_between, moved, standing, true_zones, walking
from tests.conftest import NOON

LIBRARY = (-8.5734, 52.6733)


def test_the_accuracy_of_a_fix_is_the_radius_that_holds_68_of_100() -> None:
    fixes = standing(LIBRARY, start_ms=NOON, seconds=100_000, noise=15, seed=1)
    within = [math.hypot(*metres_between(each.place, (each.fix.longitude, each.fix.latitude))) <= 15 for each in fixes]
    assert len(fixes) == 10_001
    assert 0.67 < sum(within) / len(within) < 0.69
    assert {each.fix.accuracy for each in fixes} == {15}


def test_errors_that_are_correlated_have_the_same_size_and_go_on() -> None:
    fixes = standing(LIBRARY, start_ms=NOON, seconds=100_000, noise=15, seed=2, correlation=0.9)
    errors = [metres_between(each.place, (each.fix.longitude, each.fix.latitude))[0] for each in fixes]
    assert math.sqrt(sum(error**2 for error in errors) / len(errors)) == pytest.approx(9.94, rel=0.1)
    products = [before * after for before, after in itertools.pairwise(errors)]
    assert sum(products) / sum(error**2 for error in errors) == pytest.approx(0.9, abs=0.02)


def test_who_stands_is_in_one_place_and_reports_as_often_as_was_asked() -> None:
    fixes = standing(LIBRARY, start_ms=NOON, seconds=3600, noise=5, seed=3, every=10)
    assert [each.fix.at_ms for each in fixes] == [NOON + 10_000 * number for number in range(361)]
    assert {each.place for each in fixes} == {LIBRARY}
    assert set(true_zones(Geofence(load_campus(None)), fixes)) == {("campus", "glucksman-library")}


def test_who_walks_goes_as_fast_as_was_asked_around_corners_too() -> None:
    corner, end = moved(LIBRARY, 100, 0), moved(LIBRARY, 100, 55)
    fixes = walking([LIBRARY, corner, end], start_ms=NOON, speed=1.4, every=10, noise=0, seed=4)
    places = [metres_between(LIBRARY, each.place) for each in fixes]
    along = [east + north for east, north in places]
    assert along == pytest.approx([14 * number for number in range(12)] + [155], abs=0.01)
    assert all(north == pytest.approx(0, abs=0.01) or east == pytest.approx(100, abs=0.01) for east, north in places)
    assert [each.fix.at_ms for each in fixes] == [NOON + 10_000 * number for number in range(13)]
    reported = [(each.fix.longitude, each.fix.latitude) for each in fixes]
    assert reported == [each.place for each in fixes]


def test_the_same_seed_gives_the_same_fixes_and_another_one_others() -> None:
    one, two, other = (standing(LIBRARY, start_ms=NOON, seconds=60, noise=15, seed=seed) for seed in (5, 5, 6))
    assert one == two
    assert one != other


def test_who_is_outside_is_in_no_zone() -> None:
    away = moved(LIBRARY, 10_000, 0)
    fixes = standing(away, start_ms=NOON, seconds=0, noise=1, seed=7)
    assert true_zones(Geofence(load_campus(None)), fixes) == [None]
