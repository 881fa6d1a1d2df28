"""The crowd: a function of its seed, on any campus, with any table of kinds."""

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from core.kinds import DEFAULT_KINDS, Kinds
from geofence import Geofence, load_campus
from simulator.campus.crowd import Crowd, Moment
from simulator.campus.fenced import Fenced, History
from tests.kinds.tables import BICYCLE, ONE_KIND, SIX_KINDS, THREE_KINDS, WATCH
from tests.simulator.campuses import BUILDINGS, DAY, HOUR, LOTS, TUESDAY, campus, crowd

ALL = campus(*BUILDINGS, *LOTS)


def fenced(of: Crowd, start_ms: int = TUESDAY, end_ms: int = TUESDAY + DAY) -> Iterator[Fenced]:
    return History(Geofence(ALL)).fenced(of.moments(start_ms, end_ms, by_their_clocks=True))


def devices_by_hour(moments: Iterator[Moment]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for moment in moments:
        found[(moment.at_ms - TUESDAY) // HOUR].add(moment.unit.id)
    return found


def digest(lines: Iterator[Fenced]) -> str:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(f"{line.at} {line.device} {line.zones} {line.longitude:.6f} {line.latitude:.6f}\n".encode())
    return whole.hexdigest()[:16]


def test_a_seed_is_one_crowd_for_ever() -> None:
    assert digest(fenced(crowd())) == "a85a73986af9fc16"
    assert digest(fenced(crowd(seed=8))) != "a85a73986af9fc16"


def test_another_process_with_another_hash_seed_makes_the_same() -> None:
    program = "from tests.simulator.test_crowd import crowd, digest, fenced; print(digest(fenced(crowd())))"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout.strip() == "a85a73986af9fc16"


def test_who_begins_in_the_middle_sees_what_others_see() -> None:
    whole = [moment for moment in crowd().moments(TUESDAY, TUESDAY + DAY) if moment.at_ms >= TUESDAY + 10 * HOUR]
    assert list(crowd().moments(TUESDAY + 10 * HOUR, TUESDAY + DAY)) == whole
    assert len(whole) > 5000


def test_more_devices_leave_those_who_are_there_as_they_are() -> None:
    # But for the last one of the few, whose vehicle may be one too many.
    few = {unit.id for person in crowd(devices=20).people[:-1] for unit in person.units}
    of_few, of_many = (
        [moment for moment in crowd(devices=devices).moments(TUESDAY, TUESDAY + DAY) if moment.unit.id in few]
        for devices in (20, 60)
    )
    assert of_few == of_many


def test_moments_are_in_order_of_true_time_and_lines_in_order_of_their_own() -> None:
    moments = list(crowd().moments(TUESDAY, TUESDAY + DAY))
    assert all(one.at_ms <= other.at_ms for one, other in pairwise(moments))
    assert any(one.by_its_clock_ms > other.by_its_clock_ms for one, other in pairwise(moments))
    lines = list(fenced(crowd()))
    assert all(one.at <= other.at for one, other in pairwise(lines))
    assert all(TUESDAY <= line.at < TUESDAY + DAY for line in lines)


def test_lines_name_the_campus_first_and_have_nothing_outside() -> None:
    fence = Geofence(ALL)
    lines = list(fenced(crowd()))
    assert {zone for line in lines for zone in line.zones} == {"campus", "aula", "books", "chem", "east", "west"}
    for line in lines[::50]:
        (held,) = fence.locate(np.array([line.longitude]), np.array([line.latitude]))
        assert held is not None
        assert line.zones in {held, ("campus",)}
    assert sum(len(line.zones) > 1 for line in lines) > len(lines) / 3


@pytest.mark.parametrize("devices", [1, 2, 3, 17, 100])
def test_there_are_as_many_devices_as_were_asked_for(devices: int) -> None:
    units = [unit for person in crowd(devices=devices).people for unit in person.units]
    assert len(units) == len({unit.id for unit in units}) == devices


def test_nights_are_quiet_and_mornings_full() -> None:
    hours = {
        hour: len(found) for hour, found in devices_by_hour(crowd(devices=200).moments(TUESDAY, TUESDAY + DAY)).items()
    }
    assert hours.get(3, 0) <= 8
    assert hours[11] > 100
    assert hours[13] > 100
    assert hours[17] < hours[11]
    assert hours[20] < hours[11] / 4


def count_on(day: int, month: int) -> int:
    midnight = int(datetime(2026, month, day, tzinfo=UTC).timestamp() * 1000)
    return len({moment.unit.id for moment in crowd(devices=200).moments(midnight, midnight + DAY)})


def test_weekends_holidays_and_vacations_are_quieter_than_a_day_in_term_and_an_open_day_is_full() -> None:
    tuesday, friday, sunday = count_on(24, 11), count_on(27, 11), count_on(22, 11)
    holiday, vacation, open_day = count_on(26, 10), count_on(22, 12), count_on(17, 10)
    assert tuesday > 150
    assert sunday < 30 > holiday
    assert 30 < vacation < 90
    assert friday < tuesday <= open_day


def test_nine_o_clock_stays_nine_o_clock_when_clocks_change() -> None:
    # On 2026-10-25 Dublin goes from UTC+1 to UTC: what is at nine on the 26th is an hour later than on the 24th.
    for_people = crowd(devices=300)
    starts = {}
    for day in (datetime(2026, 10, 20, tzinfo=UTC).date(), datetime(2026, 10, 27, tzinfo=UTC).date()):
        ways = [way for person in for_people.people for _, way in for_people.ways(person, day)]
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        hours = sorted((way.at_ms[0] - midnight) / HOUR for way in ways)
        starts[day.day] = hours[len(hours) // 2]
    assert starts[27] - starts[20] == pytest.approx(1.0, abs=0.4)


def test_a_vehicle_stands_in_a_zone_of_its_kind_while_its_owner_is_in_buildings() -> None:
    lines = [line for line in fenced(crowd()) if TUESDAY + 11 * HOUR <= line.at < TUESDAY + 12 * HOUR]
    cars = [line.zones for line in lines if line.kind == "car"]
    phones = [line.zones for line in lines if line.kind == "mobile"]
    assert sum({"east", "west"} & set(zones) != set() for zones in cars) > 0.8 * len(cars) > 0
    assert sum({"aula", "books", "chem"} & set(zones) != set() for zones in phones) > 0.4 * len(phones) > 0


@pytest.mark.parametrize(
    ("on", "kinds"),
    [
        pytest.param(campus(*BUILDINGS), DEFAULT_KINDS, id="no car parks"),
        pytest.param(campus(*BUILDINGS, *LOTS), THREE_KINDS, id="bicycles without stands"),
        pytest.param(campus(*BUILDINGS, ("rack", "bicycle_park", 0, 0, 12)), THREE_KINDS, id="bicycles with stands"),
        pytest.param(campus(*BUILDINGS, *LOTS), ONE_KIND, id="bicycles alone"),
        pytest.param(campus(*BUILDINGS, *LOTS), SIX_KINDS, id="six kinds"),
        pytest.param(campus(*BUILDINGS), Kinds([WATCH]), id="watches alone"),
        pytest.param(campus(), DEFAULT_KINDS, id="no zones"),
        pytest.param(campus(*LOTS), DEFAULT_KINDS, id="car parks alone"),
        pytest.param(campus(*BUILDINGS, *LOTS, longitude=10.0, latitude=-89.9), DEFAULT_KINDS, id="near a pole"),
        pytest.param(campus(("hut", None, 0, 0, 10), side=40), DEFAULT_KINDS, id="a small one, categories unknown"),
        pytest.param(campus(("edge", "building", 320, 0, 100)), DEFAULT_KINDS, id="a building over the outline"),
        pytest.param(load_campus(None), THREE_KINDS, id="the default"),
    ],
)
def test_any_campus_and_any_kinds_have_a_crowd(on: object, kinds: Kinds) -> None:
    assert isinstance(on, type(ALL))
    moments = crowd(on, kinds=kinds, devices=80).moments(TUESDAY + 8 * HOUR, TUESDAY + 13 * HOUR)
    lines = list(History(Geofence(on)).fenced(moments))
    assert {line.kind for line in lines} == set(kinds.ids)
    destinations = {zone.id for zone in on.zones if zone.category in {"building", None}}
    assert destinations <= {zone for line in lines for zone in line.zones}
    assert len(lines) > 1000


def test_bicycles_have_stands_where_there_are_some_and_stand_at_doors_where_not() -> None:
    with_stands = campus(*BUILDINGS, ("rack", "bicycle_park", 0, 0, 12))
    for on, most in ((with_stands, "rack"), (ALL, None)):
        people = crowd(on, kinds=Kinds([BICYCLE]), devices=40).people
        assert {lot.zone for person in people for lot in person.lots} == ({most} if most else set())


def test_a_line_is_json_that_a_seeder_reads() -> None:
    line = json.loads(msgspec.json.encode(next(fenced(crowd()))))
    assert list(line) == ["at", "device", "kind", "zones", "longitude", "latitude"]
    assert isinstance(line["at"], int)
    assert line["zones"][0] == "campus"
