"""What apps send, as their documentation and their sources have it: which member becomes what."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import Reason
from payloads import Fix, Ignored, Outcome, Refusal, read
from tests.conftest import NOON
from tests.payloads.messages import LATITUDE, LONGITUDE, POINT, as_json, encoded, feature, fix, sender

FIELD = Path(__file__).parents[1] / "field" / "tracks"
SECONDS = NOON // 1000
AT = "2026-03-01T11:59:30.250Z"
THEN = NOON - 29_750

OWNTRACKS = {
    "_type": "location",
    "lat": LATITUDE,
    "lon": LONGITUDE,
    "tst": SECONDS - 30,
    "acc": 12,
    "alt": 30,
    "vel": 36,
    "cog": 271,
    "tid": "ab",
    "t": "u",
    "batt": 41,
    "bs": 1,
    "vac": 3,
    "conn": "w",
    "inregions": [],
    "created_at": SECONDS,
}
COORDS = {
    "latitude": LATITUDE,
    "longitude": LONGITUDE,
    "accuracy": 3.8,
    "speed": 18.67,
    "speed_accuracy": 0.26,
    "heading": 63,
    "heading_accuracy": 0.28,
    "altitude": 35.7,
    "altitude_accuracy": 3.8,
    "floor": None,
}
LOCATION = {
    "event": "motionchange",
    "is_moving": False,
    "uuid": "0e9a2473",
    "timestamp": AT,
    "odometer": 0,
    "coords": COORDS,
    "activity": {"type": "still", "confidence": 100},
    "extras": {},
    "battery": {"is_charging": False, "level": 0.79},
}
FORWARDED = {
    "position": {
        "id": 7,
        "attributes": {"motion": True},
        "deviceId": 3,
        "protocol": "osmand",
        "valid": True,
        "serverTime": AT,
        "deviceTime": AT,
        "fixTime": "2026-03-01T11:59:30.250+00:00",
        "outdated": False,
        "latitude": LATITUDE,
        "longitude": LONGITUDE,
        "altitude": 35.7,
        "speed": 10,
        "course": 63,
        "accuracy": 0,
    },
    "device": {"id": 3, "name": "Bus", "uniqueId": "48241179", "status": "online"},
}
OVERLAND = {
    "timestamp": "2026-03-01T11:59:30Z",
    "altitude": 80,
    "speed": 4,
    "course": 90,
    "horizontal_accuracy": 30,
    "vertical_accuracy": -1,
    "speed_accuracy": -1,
    "course_accuracy": -1,
    "motion": ["driving", "stationary"],
    "battery_state": "charging",
    "battery_level": 0.8,
    "device_id": "phone",
    "wifi": "",
}
FLAT = {
    "lat": f"{LATITUDE}",
    "lon": f"{LONGITUDE}",
    "timestamp": f"{SECONDS - 30}",
    "acc": "8.5",
    "spd": "1.4",
    "dir": "85.0",
    "alt": "30.0",
    "sat": "9",
    "prov": "gps",
    "batt": "72.0",
    "aid": "a1b2c3",
    "ser": "unknown",
}


LINE = {"type": "LineString", "coordinates": [[LONGITUDE, LATITUDE], [-8.57, 52.67]]}


def overland(**properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": POINT, "properties": OVERLAND | properties}


FIXES: dict[str, tuple[object, list[Outcome]]] = {
    "OwnTracks": (OWNTRACKS, [fix("ab", observed_at=NOON - 30_000, accuracy=12, altitude=30, speed=10, heading=271)]),
    "OwnTracks over HTTP": (
        {
            "_type": "location",
            "lat": LATITUDE,
            "lon": LONGITUDE,
            "tst": SECONDS,
            "topic": "owntracks/jane/phone",
            "tid": "ne",
        },
        [fix("owntracks/jane/phone")],
    ),
    "OwnTracks that does not know": (
        OWNTRACKS | {"acc": 0, "alt": 0, "vel": 0, "cog": 0, "tst": SECONDS},
        [fix("ab", altitude=0, speed=0, heading=0)],
    ),
    "OwnTracks that knows little": (
        {"_type": "location", "lat": LATITUDE, "lon": LONGITUDE, "tst": SECONDS, "tid": "ab", "vel": -1, "cog": -1},
        [fix("ab")],
    ),
    "Traccar Client": (
        {"location": LOCATION, "device_id": "8737767034"},
        [fix("8737767034", observed_at=THEN, accuracy=3.8, altitude=35.7, speed=18.67, heading=63)],
    ),
    "Traccar Client that does not know": (
        {"location": LOCATION | {"coords": COORDS | {"speed": -1, "heading": -1, "accuracy": -1}}, "device_id": 5},
        [fix("5", observed_at=THEN, altitude=35.7)],
    ),
    "Traccar Client, several": (
        {"location": [LOCATION, LOCATION | {"timestamp": NOON}], "device_id": "x"},
        [
            fix("x", observed_at=THEN, accuracy=3.8, altitude=35.7, speed=18.67, heading=63),
            fix("x", accuracy=3.8, altitude=35.7, speed=18.67, heading=63),
        ],
    ),
    "Traccar's server": (FORWARDED, [fix("48241179", observed_at=THEN, altitude=35.7, speed=18520 / 3600, heading=63)]),
    "Overland": (
        {"locations": [overland(), overland(timestamp="2026-03-01T04:59:30-0700", device_id="other")], "current": {}},
        [
            fix("phone", observed_at=NOON - 30_000, accuracy=30, altitude=80, speed=4, heading=90),
            fix("other", observed_at=NOON - 30_000, accuracy=30, altitude=80, speed=4, heading=90),
        ],
    ),
    "Overland that nobody has named": (
        {"locations": [overland(device_id="", unique_id="9C-1", timestamp=AT, speed=-1, course=-1)]},
        [fix("9C-1", observed_at=THEN, accuracy=30, altitude=80)],
    ),
    "Overland with more than places": (
        {
            "locations": [
                overland(action="visit", arrival_date=AT),
                overland(type="trip", mode="bus", start=AT),
                {"type": "Feature", "properties": {"timestamp": AT, "action": "paused"}},
            ]
        },
        [Ignored("action"), Ignored("trip"), Ignored("action")],
    ),
    "Overland without any": ({"locations": []}, []),
    "GPSLogger": (FLAT, [fix("a1b2c3", observed_at=NOON - 30_000, accuracy=8.5, altitude=30, speed=1.4, heading=85)]),
    "GPSLogger with times as in an address": (
        {"lat": LATITUDE, "lon": LONGITUDE, "time": "2026-03-01T11%3A59%3A30.250Z", "device": "Pixel", "spd_kph": "36"},
        [fix("Pixel", observed_at=THEN, speed=10)],
    ),
    "GPSLogger that does not know": (
        FLAT | {"acc": "0.0", "alt": "", "spd": "", "dir": None, "timestamp": SECONDS},
        [fix("a1b2c3")],
    ),
    "Home Assistant's names": (
        {
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
            "device": "Pixel",
            "accuracy": 8,
            "battery": 72,
            "speed": 1.5,
            "direction": 85,
            "altitude": 30,
            "provider": "gps",
            "activity": "",
        },
        [fix("Pixel", accuracy=8, speed=1.5, heading=85, altitude=30)],
    ),
    "a tracker of one's own": (
        {"Lat": LATITUDE, "Lng": LONGITUDE, "device_id": 42, "timestamp": NOON},
        [fix("42")],
    ),
    "GeoJSON of GPSLogger": (
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {
                        "time": AT,
                        "provider": "gps",
                        "time_long": str(THEN),
                        "accuracy": 5.0,
                        "altitude": 30.5,
                        "bearing": 12.5,
                        "speed": 1.0,
                        "device_id": "Pixel",
                    },
                    "geometry": POINT,
                }
            ],
        },
        [fix("Pixel", observed_at=THEN, accuracy=5, altitude=30.5, speed=1, heading=12.5)],
    ),
    "a list of Features": ([feature(), feature(device_id="car")], [fix(), fix("car")]),
    "a list of other things": (
        [OWNTRACKS | {"tst": SECONDS}, {"lat": LATITUDE, "lon": LONGITUDE, "device": "x"}, {"_type": "lwt"}],
        [fix("ab", accuracy=12, altitude=30, speed=10, heading=271), fix("x"), Ignored("lwt")],
    ),
}


@pytest.mark.parametrize("name", FIXES)
def test_what_an_app_sends_is_a_fix_plain_and_in_base64(name: str) -> None:
    document, right = FIXES[name]
    assert read(as_json(document), sender()) == right
    assert read(encoded(document), sender()) == right


@pytest.mark.parametrize(
    "what",
    [
        "beacon",
        "card",
        "cmd",
        "configuration",
        "lwt",
        "request",
        "status",
        "steps",
        "transition",
        "waypoint",
        "waypoints",
    ],
)
def test_what_owntracks_sends_beside_locations_is_ignored_and_so_are_its_places(what: str) -> None:
    assert read(as_json({"_type": what, "lat": 51.9, "lon": -8.47, "tst": SECONDS}), sender()) == [Ignored(what)]


def test_a_position_of_traccars_server_that_is_no_fix_is_ignored() -> None:
    position = FORWARDED["position"] | {"valid": False}
    assert read(as_json({"position": position, "device": FORWARDED["device"]}), sender()) == [Ignored("no_fix")]


NAMED = {
    "OwnTracks": OWNTRACKS | {"topic": "owntracks/jane/phone"},
    "GPSLogger": FLAT,
    "Overland": {"locations": [overland(device_id="", unique_id="9C-1")]},
}


@pytest.mark.parametrize("name", NAMED)
def test_who_is_logged_in_is_the_device_whatever_its_app_calls_itself(name: str) -> None:
    (found,) = read(as_json(NAMED[name]), sender("car-7", "jane/phone"))
    assert isinstance(found, Fix)
    assert found.device_id == "car-7"


@pytest.mark.parametrize("name", NAMED)
def test_a_topic_names_the_device_before_what_its_app_calls_itself(name: str) -> None:
    (found,) = read(as_json(NAMED[name]), sender(None, "jane/phone"))
    assert isinstance(found, Fix)
    assert found.device_id == "jane/phone"


@pytest.mark.parametrize(
    "document",
    [
        feature(device_id="other"),
        feature(device_id=42),
        {"location": LOCATION, "device_id": "other"},
        {"locations": [overland()]},
        {"lat": LATITUDE, "lon": LONGITUDE, "device": "other"},
        FORWARDED,
    ],
)
def test_a_device_may_name_no_other_in_any_form(document: object) -> None:
    (refused,) = read(as_json(document), sender("car-7"))
    assert isinstance(refused, Refusal)
    assert refused.error.reason == Reason.WRONG_DEVICE
    (found,) = read(as_json(document), sender(None, "jane/phone"))
    assert isinstance(found, Fix)
    assert found.device_id in {"other", "42", "phone", "48241179"}


@pytest.mark.parametrize(
    ("document", "reason", "sentence"),
    [
        ({"_type": "encrypted", "data": "..."}, Reason.NOT_GEOJSON, "take the encryption key out"),
        ({"_type": "tomorrow"}, Reason.NOT_GEOJSON, "not known"),
        ({"_type": 7}, Reason.NOT_GEOJSON, "not known"),
        (OWNTRACKS | {"tid": None}, Reason.NO_DEVICE, "no device_id"),
        (OWNTRACKS | {"lat": None}, Reason.BAD_COORDINATES, "missing"),
        (OWNTRACKS | {"lat": "north"}, Reason.BAD_COORDINATES, "no number"),
        (OWNTRACKS | {"lat": 95}, Reason.BAD_COORDINATES, "latitude from -90 to 90"),
        (OWNTRACKS | {"lat": 10**300}, Reason.BAD_COORDINATES, "latitude from -90 to 90"),
        (OWNTRACKS | {"acc": "good"}, Reason.BAD_PROPERTY, "accuracy: not a number"),
        (OWNTRACKS | {"cog": True}, Reason.BAD_PROPERTY, "heading: not a number"),
        (OWNTRACKS | {"tst": NOON * 2}, Reason.FUTURE_TIMESTAMP, "read as milliseconds"),
        ({"location": {"timestamp": AT}, "device_id": "x"}, Reason.NOT_GEOJSON, "without coords"),
        ({"position": [1, 2], "device": None}, Reason.NOT_GEOJSON, "no object"),
        ({"locations": 7}, Reason.NOT_GEOJSON, "no list"),
        (FLAT | {"timestamp": "noon"}, Reason.BAD_PROPERTY, "timestamp: not an RFC 3339"),
        ({"lat": LATITUDE, "device": "x"}, Reason.NOT_GEOJSON, "not a GeoJSON object"),
        ([], Reason.NOT_GEOJSON, "not a GeoJSON object"),
        ([LONGITUDE, LATITUDE], Reason.NOT_GEOJSON, "not a GeoJSON object"),
        ({"locations": [overland()] * 501}, Reason.TOO_MANY_FEATURES, "501 features"),
        ({"location": [LOCATION] * 501, "device_id": "x"}, Reason.TOO_MANY_FEATURES, "501 features"),
        ([{}] * 501, Reason.TOO_MANY_FEATURES, "501 features"),
    ],
)
def test_what_an_app_does_wrong_has_a_reason_that_says_what(document: object, reason: Reason, sentence: str) -> None:
    (refused,) = read(as_json(document), sender())
    assert isinstance(refused, Refusal)
    assert (refused.error.reason, refused.index) == (reason, None)
    assert sentence in refused.error.detail


@pytest.mark.parametrize(
    ("document", "bad", "reason"),
    [
        (
            {"locations": [overland(), overland(speed="fast"), overland()]},
            {"locations": [overland(speed="fast")]},
            Reason.BAD_PROPERTY,
        ),
        ({"locations": [overland(), 7, overland()]}, {"locations": [7]}, Reason.NOT_GEOJSON),
        (
            {"locations": [overland(), {"type": "Feature"}, overland()]},
            {"locations": [{"type": "Feature"}]},
            Reason.NOT_GEOJSON,
        ),
        (
            {"location": [LOCATION, {}, LOCATION], "device_id": "100%b"},
            {"device_id": "100%b", "location": [{}]},
            Reason.NOT_GEOJSON,
        ),
        ([feature(), POINT, feature()], POINT, Reason.NOT_GEOJSON),
        (
            [feature(), {"type": "Feature", "geometry": None}, feature()],
            {"type": "Feature", "geometry": None},
            Reason.NOT_GEOJSON,
        ),
    ],
)
def test_a_bad_member_of_any_envelope_leaves_its_neighbours_usable(
    document: object, bad: object, reason: Reason
) -> None:
    first, refused, last = read(as_json(document), sender())
    assert isinstance(first, Fix)
    assert isinstance(last, Fix)
    assert isinstance(refused, Refusal)
    assert (refused.error.reason, refused.index) == (reason, 1)
    assert json.loads(refused.member or b"") == bad


@pytest.mark.parametrize(
    "document",
    [
        {"locations": [overland(), overland(horizontal_accuracy=7)]},
        {"locations": [overland(device_id="", unique_id="9C-1")] * 2},
        {"location": [LOCATION, LOCATION], "device_id": "x"},
        {"location": [LOCATION, LOCATION], "device_id": 304},
        {"location": [LOCATION, LOCATION], "device_id": 10**100},
        {"location": [LOCATION, LOCATION], "device_id": "\u1f600" * 64},
        [feature(timestamp=SECONDS), FLAT],
    ],
)
def test_a_member_that_was_too_old_is_the_same_position_once_it_is_replayed_alone(document: object) -> None:
    right = read(as_json(document), sender())
    strict = msgspec.structs.replace(sender(), received_at=sender().received_at + 10**9, max_age=1)
    refused = read(as_json(document), strict)
    for each, fix_in_it in zip(refused, right, strict=True):
        assert isinstance(each, Refusal)
        assert read(each.member or b"", sender()) == [fix_in_it]


def test_an_id_that_is_too_long_is_not_written_down_for_each_of_many_positions() -> None:
    for device in ("x" * 50_000, ["x" * 50_000]):
        refused = read(as_json({"location": [LOCATION, LOCATION], "device_id": device}), sender())
        assert [len(each.member or b"") < 1000 for each in refused if isinstance(each, Refusal)] == [True, True]


@pytest.mark.parametrize(
    ("changed", "right"),
    [
        (feature() | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}, fix()),
        (feature() | {"bbox": [170, -10, -170, 10]}, fix()),
        (feature() | {"bbox": [170, -10, 0, -170, 10, 100]}, fix()),
        (feature(anything={"nested": [1, None]}) | {"foreign": 7}, fix()),
        (feature(accuracy=None, speed=None, heading=None, timestamp=None), fix()),
        (feature({"type": "Point", "coordinates": [LONGITUDE, LATITUDE, None]}), fix()),
        (feature({"type": "Point", "coordinates": [LONGITUDE, LATITUDE, 30, 1772366400]}), fix(altitude=30)),
        (feature({"type": "Point", "coordinates": [LONGITUDE, LATITUDE, -20_000]}), fix()),
        (feature(accuracy="12.5", speed="3", heading="90"), fix(accuracy=12.5, speed=3, heading=90)),
        (feature(accuracy=0), fix(accuracy=0)),
        (feature(accuracy=-1, speed=-1, heading=-1), fix()),
        (feature(accuracy=17_000), fix(accuracy=17_000)),
        (feature(accuracy=1e8, speed=1e308, heading=725), fix()),
        (feature(heading=360, speed=1000), fix(heading=360, speed=1000)),
        (feature(device_id=42), fix("42")),
        (feature(device_id=" bus "), fix(" bus ")),
        (feature(timestamp=SECONDS), fix()),
        (feature(timestamp=f"{NOON}"), fix()),
        (feature(timestamp=NOON * 1000), fix()),
        (feature(timestamp=NOON * 1_000_000), fix()),
        (feature(timestamp="2026-03-01t12:00:00.0000000000z"), fix()),
        (feature(timestamp="2026-02-28T23:59:60Z"), fix(observed_at=NOON - 43_200_001)),
        (feature(time="2025-01-01T00:00:00Z", bearing=7, course=7), fix()),
    ],
)
def test_a_feature_may_be_written_a_little_differently(changed: object, right: Fix) -> None:
    assert read(encoded(changed), sender()) == [right]
    assert read(encoded({"type": "FeatureCollection", "features": [changed]}), sender()) == [right]


@pytest.mark.parametrize(
    ("document", "reason", "sentence"),
    [
        (feature(timestamp="2026-03-01T12:00:00"), Reason.BAD_PROPERTY, "no offset from UTC"),
        (feature(timestamp="Sun, 01 Mar 2026 12:00:00 GMT"), Reason.BAD_PROPERTY, "RFC 3339"),
        (feature(timestamp="2026-03-01T24:00:00Z"), Reason.BAD_PROPERTY, "RFC 3339"),
        (feature(timestamp="20260301-01-01T00:00:00Z"), Reason.BAD_PROPERTY, "RFC 3339"),
        (feature(timestamp=2_145_916_800), Reason.FUTURE_TIMESTAMP, "read as seconds"),
        (feature(timestamp=NOON + 360_000), Reason.FUTURE_TIMESTAMP, "read as milliseconds"),
        (feature(timestamp="2026-03-01T12:06:00Z"), Reason.FUTURE_TIMESTAMP, "five minutes"),
        (feature(timestamp=10**30), Reason.BAD_PROPERTY, "too large for nanoseconds"),
        (feature({"type": "Point", "coordinates": ["-8.5734", "52.6733"]}), Reason.BAD_COORDINATES, "send numbers"),
        (
            {"type": "Feature", "id": "bus", "geometry": POINT, "properties": None},
            Reason.NO_DEVICE,
            "put device_id into",
        ),
        (
            feature({"type": "MultiPoint", "coordinates": [[LONGITUDE, LATITUDE]]}),
            Reason.NOT_A_POINT,
            "FeatureCollection",
        ),
        ({"type": "GeometryCollection", "geometries": [POINT]}, Reason.NOT_A_POINT, "FeatureCollection"),
        (feature() | {"type": "FEATURE"}, Reason.NOT_GEOJSON, "with capitals: Feature"),
        (
            {"type": "featurecollection", "features": [feature()]},
            Reason.NOT_GEOJSON,
            "with capitals: FeatureCollection",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_send(document: object, reason: Reason, sentence: str) -> None:
    (refused,) = read(encoded(document), sender())
    assert isinstance(refused, Refusal)
    assert refused.error.reason == reason
    assert sentence in refused.error.detail


@pytest.mark.parametrize(
    "payload",
    [
        as_json(feature(speed=0)).replace(b'"speed": 0', b'"speed": NaN'),
        as_json(feature(speed=0)).replace(b'"speed": 0', b'"speed": -Infinity'),
    ],
)
def test_nan_and_infinity_are_not_json(payload: bytes) -> None:
    (refused,) = read(payload, sender())
    assert isinstance(refused, Refusal)
    assert refused.error.reason == Reason.NOT_JSON


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_a_number_that_nothing_can_hold_is_refused(number: str) -> None:
    (refused,) = read(as_json(feature(speed=0)).replace(b'"speed": 0', b'"speed": ' + number.encode()), sender())
    assert isinstance(refused, Refusal)
    assert refused.error.reason == Reason.BAD_PROPERTY


def test_a_number_of_400_digits_is_an_unknown_speed() -> None:
    payload = as_json(feature(speed=0)).replace(b'"speed": 0', b'"speed": ' + b"9" * 400)
    assert read(payload, sender()) == [fix()]


def test_the_file_of_gpslogger_has_one_fix() -> None:
    (found,) = read((FIELD / "t26-gpslogger.geojson").read_bytes(), sender("car-7"))
    assert found == Fix("car-7", -8.5701, 52.6738, None, 1_550_480_460_000, 5.0, 1.0, 12.5)


def test_the_example_of_owntracks_of_2019_is_too_old_for_a_device_and_nobodys_for_a_gateway() -> None:
    example = b'{"_type":"location","lat":52.67,"lon":-8.57,"tst":1550480460,"acc":12}'
    week = 7 * 86_400_000
    of_a_device, of_a_gateway = (read(example, each) for each in (sender("car-7", max_age=week), sender()))
    for found, reason in ((of_a_device, Reason.TOO_OLD), (of_a_gateway, Reason.NO_DEVICE)):
        assert isinstance(found[0], Refusal)
        assert found[0].error.reason == reason
