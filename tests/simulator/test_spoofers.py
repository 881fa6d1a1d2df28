"""Spoofers of the crowd: who they are follows from the seed, and marks tell them from those who are honest."""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.clock import parse_rfc3339
from core.kinds import DEFAULT_KINDS, Kinds
from core.marks import Mark
from decoder.plausibility import Hour, marked
from geofence import Geofence, load_campus
from simulator.campus.crowd import Crowd, Moment
from simulator.campus.fleet import Fleet
from simulator.campus.truth import About, read_truth, visits, write_truth
from simulator.device import Publish
from simulator.outline import outline_of
from tests.kinds.tables import ONE_KIND, THREE_KINDS
from tests.simulator.campuses import HOUR, IN_TERM, TUESDAY, campus

FROM, UNTIL = TUESDAY + 9 * HOUR, TUESDAY + 12 * HOUR


def with_spoofers(count: int, *, devices: int = 20, seed: int = 7) -> Crowd:
    return Crowd(
        campus=load_campus(None),
        kinds=DEFAULT_KINDS,
        devices=devices,
        seed=seed,
        calendar=IN_TERM,
        zone=ZoneInfo("Europe/Dublin"),
        spoofers=count,
    )


def marks_of(of: Crowd, start_ms: int, end_ms: int) -> dict[str, set[Mark]]:
    """What the stage judge finds of what devices send of all hours, and the devices without a mark."""
    waiting: list[tuple[str, Publish]] = []
    fleet = Fleet(outline_of(of.campus.as_feature_collection()), lambda *sent: waiting.append(sent), seed=7)
    hours: dict[int, Hour] = {}
    found: dict[str, set[Mark]] = defaultdict(set)
    for moment in of.moments(start_ms, end_ms):
        fleet.moment(moment)
        while waiting:
            device, message = waiting.pop(0)
            for at, longitude, latitude, accuracy, speed in positions_in(message.payload):
                hour = hours.setdefault(at - at % HOUR, Hour(at - at % HOUR, 5000))
                hour.add(device, at, longitude, latitude, accuracy=accuracy, speed=speed)
                found[device] |= set()
            fleet.acknowledged(device, message.packet, moment.at_ms)
    for hour in hours.values():
        for device, marks in marked(hour.tracks(), most_speed=70.0).items():
            found[device] |= marks
    return found


def positions_in(payload: bytes) -> Iterator[tuple[int, float, float, float, float]]:
    message = json.loads(base64.b64decode(payload))
    for feature in message.get("features", [message]):
        properties = feature["properties"]
        longitude, latitude = feature["geometry"]["coordinates"][:2]
        at = parse_rfc3339(properties["timestamp"])
        yield at, longitude, latitude, properties["accuracy"], properties["speed"]


@pytest.mark.timeout(300)
def test_spoofers_are_found_and_at_most_one_in_a_hundred_honest_devices_is_marked() -> None:
    of = with_spoofers(50, devices=400)
    found = marks_of(of, FROM, UNTIL)
    honest = {device: marks for device, marks in found.items() if device not in of.spoofers}
    assert len(honest) > 250
    assert sum(map(bool, honest.values())) <= len(honest) / 100
    right = dict.fromkeys(Mark, 0)
    for device, mark in of.spoofers.items():
        assert found[device] <= {mark}
        right[mark] += len(found[device])
    # Of three of those who replay nothing is seen: whom they follow was there for too short a time.
    assert right == {Mark.TELEPORT: 10, Mark.REPLAYED: 7, Mark.LOCKSTEP: 10, Mark.FROZEN: 10, Mark.PERFECT: 10}


def test_without_spoofers_a_crowd_is_as_it_was_and_with_them_all_others_are() -> None:
    of = with_spoofers(10)
    others = [moment for moment in of.moments(FROM, FROM + HOUR) if moment.unit.id not in of.spoofers]
    assert others == list(with_spoofers(0).moments(FROM, FROM + HOUR))
    assert with_spoofers(0).spoofers == {}


def test_spoofers_are_a_function_of_the_seed_whoever_begins_in_the_middle() -> None:
    def made_up(of: Crowd, start_ms: int) -> list[Moment]:
        return [moment for moment in of.moments(start_ms, FROM + HOUR) if moment.unit.id in of.spoofers]

    whole = made_up(with_spoofers(10), FROM)
    assert made_up(with_spoofers(10), FROM + HOUR // 2) == [each for each in whole if each.at_ms >= FROM + HOUR // 2]
    assert made_up(with_spoofers(10, seed=8), FROM) != whole
    assert {each.unit.id for each in made_up(with_spoofers(5), FROM)} <= {each.unit.id for each in whole}


def test_each_way_has_as_many_and_moments_are_in_order() -> None:
    of = with_spoofers(12)
    ways = list(of.spoofers.values())
    assert [ways.count(mark) for mark in Mark] == [3, 3, 2, 2, 2]
    assert all(one.at_ms <= other.at_ms for one, other in pairwise(of.moments(FROM, FROM + HOUR)))


def test_at_night_nobody_makes_anything_up() -> None:
    of = with_spoofers(20)
    assert not {moment.unit.id for moment in of.moments(TUESDAY, TUESDAY + 7 * HOUR)} & set(of.spoofers)


@pytest.mark.parametrize("kinds", [DEFAULT_KINDS, ONE_KIND, THREE_KINDS], ids=["default", "one", "three"])
def test_any_campus_and_any_table_of_kinds_will_do(kinds: Kinds) -> None:
    of = Crowd(
        campus=campus(),
        kinds=kinds,
        devices=5,
        seed=1,
        calendar=IN_TERM,
        zone=ZoneInfo("Europe/Dublin"),
        spoofers=5,
    )
    seen = {moment.unit.id for moment in of.moments(FROM, FROM + HOUR)}
    assert len(seen & set(of.spoofers)) >= 4


def test_the_truth_says_who_they_are_and_that_they_were_nowhere(tmp_path: Path) -> None:
    of = with_spoofers(5)
    file = tmp_path / "truth.ndjson.gz"
    write_truth(file, About(1, FROM, UNTIL, 20, 7, of.spoofers), visits(of, Geofence(of.campus), FROM, UNTIL))
    about, found = read_truth(file)
    assert about.spoofers == of.spoofers
    assert set(about.spoofers.values()) == set(Mark)
    assert not {visit.device for visit in found} & set(about.spoofers)


def test_a_truth_of_before_has_none(tmp_path: Path) -> None:
    file = tmp_path / "truth.ndjson.gz"
    file.write_bytes(gzip.compress(b'{"schema":1,"start":1,"end":2,"devices":3,"seed":4}\n'))
    assert read_truth(file)[0].spoofers == {}
