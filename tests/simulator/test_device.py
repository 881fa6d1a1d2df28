"""What a device sends and when, and that nothing outside the campus is ever sent."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point, Polygon

from simulator.device import Device, Policy, Publish, WakeAt
from simulator.fix import Fix
from simulator.message import feature
from simulator.outline import Rings, is_inside, metres_between, outline_of
from tests.simulator.device_runs import plain, run, told_to
from tests.simulator.device_steps import VECTORS, fact_of, features, steps_of, told

START = 1_772_366_400_000


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_a_device_does_what_the_vectors_say(vector: dict[str, Any]) -> None:
    device = Device("phone-7", "mobile-iotp", Policy(**vector.get("policy", {})))

    for fact, *commands in steps_of(vector):
        assert [told(plain(command)) for command in told_to(device, fact_of(fact))] == commands, fact
    for name in ("dropped", "unsent", "inside"):
        if name in vector:
            assert getattr(device, name) == vector[name], name


def test_the_vectors_are_some_forty_with_names_of_their_own() -> None:
    names = [vector["name"] for vector in VECTORS["vectors"]]
    assert len(set(names)) == len(names) >= 40


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["device_id"])
def test_a_message_is_written_as_the_vectors_say(vector: dict[str, Any]) -> None:
    assert feature(Fix(**vector["fix"]), vector["device_id"]) == vector["message"]


@pytest.mark.parametrize("vector", VECTORS["zones"])
def test_the_outline_is_found_in_the_answer_of_the_api(vector: dict[str, Any]) -> None:
    assert outline_of(vector["answer"]) == vector["rings"]


SQUARE: Rings = VECTORS["outlines"]["square"]
longitudes = st.floats(-8.585, -8.545)
latitudes = st.floats(52.665, 52.685)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_nothing_outside_the_campus_is_ever_published_whatever_happens_in_which_order(seed: int) -> None:
    packet, rings = 0, None
    for fact, commands, device in run(seed, 400):
        if fact["fact"] == "outline":
            rings = fact["rings"]
        for command in commands:
            if isinstance(command, Publish):
                packet += 1
                assert command.packet == packet
                for published in features(plain(command)["payload"]):
                    assert rings is not None
                    assert is_inside(rings, *published["geometry"]["coordinates"][:2])
            elif isinstance(command, WakeAt):
                # Never in the past, or a driver would turn in a circle; never for good.
                assert fact["now"] < command.at_ms <= fact["now"] + 300_000
        assert device.unsent <= 12
    assert packet > 0


@given(st.lists(st.tuples(longitudes, latitudes), max_size=40), st.lists(st.integers(0, 39)), st.floats(0, 1))
def test_what_is_inside_arrives_wherever_connections_break(
    places: list[tuple[float, float]], breaks: list[int], chance: float
) -> None:
    device, arrived, sent = Device("phone-7", "mobile-iotp"), set[str](), 0
    now = START
    device.tick(now)
    device.outline(SQUARE, "e1", now)
    for number, (longitude, latitude) in enumerate(places):
        now += 61_000
        commands = device.fix(Fix(longitude, latitude, now), now)
        if number in breaks:
            commands = device.connected(now) + device.lost(now, chance)
        for command in commands:
            sent += isinstance(command, Publish)
    now += 61_000
    device.tick(now)
    waiting = device.connected(now)
    while published := [command for command in waiting if isinstance(command, Publish)]:
        arrived |= {one["properties"]["timestamp"] for one in features(plain(published[0])["payload"])}
        waiting = device.acknowledged(published[0].packet, now)

    assert len(arrived) == sum(is_inside(SQUARE, *place) for place in places)
    assert (device.unsent, device.dropped) == (0, 0)


@pytest.mark.parametrize("device_id", ["phone-7", "\x01" * 128, "🚗" * 128])
def test_a_message_has_64_kib_at_the_most_whatever_the_id(device_id: str) -> None:
    device = Device(device_id, "mobile-iotp", Policy(collection_max=500, unsent_max=1000))
    device.outline([[[-180, -90], [180, -90], [180, 90], [-180, 90]]], None, START)
    now = START
    long = 1.123456789012345e-7
    for number in range(600):
        now = START + number * 61_000
        device.fix(Fix(-100 - long, 50 + long, now + 1, 1000 + long, long, long, long), now)
    [first] = [command for command in device.connected(now) if isinstance(command, Publish)]
    [then] = [command for command in device.acknowledged(first.packet, now) if isinstance(command, Publish)]

    assert 1 < len(features(plain(then)["payload"])) <= 500
    assert len(then.payload) <= 65_536


def test_a_payload_is_standard_base64_of_compact_json() -> None:
    device = Device("phone-7", "mobile-iotp")
    device.outline(SQUARE, None, START)
    device.fix(Fix(-8.57, 52.675, START), START)
    [published] = [command for command in device.connected(START) if isinstance(command, Publish)]

    assert (
        base64.b64decode(published.payload, validate=True)
        == json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [-8.57, 52.675]},
                "properties": {"device_id": "phone-7", "timestamp": "2026-03-01T12:00:00Z"},
            },
            separators=(",", ":"),
        ).encode()
    )


@given(longitudes, latitudes)
def test_a_place_is_inside_as_the_geofence_of_the_decoder_has_it(longitude: float, latitude: float) -> None:
    for shell, *holes in (SQUARE, VECTORS["outlines"]["holed"], VECTORS["outlines"]["triangle"]):
        shape = Polygon(shell, holes)
        if shape.boundary.distance(Point(longitude, latitude)) > 1e-9:
            assert is_inside([shell, *holes], longitude, latitude) == shape.covers(Point(longitude, latitude))


def test_metres_are_those_of_the_ground() -> None:
    # A hundredth of a degree of a meridian is 1,111.95 m; of the parallel of 60 degrees half of that.
    assert metres_between(0, 60, 0, 60.01) == pytest.approx(1111.95, abs=0.01)
    assert metres_between(0, 60, 0.01, 60) == pytest.approx(555.97, abs=0.01)
