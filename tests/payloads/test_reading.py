import base64
import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from core.errors import InvalidMessageError, Reason
from payloads import Fix, Refusal, Sender, read
from tests.conftest import NOON

AHEAD_MS = 300_000

POINT = {"type": "Point", "coordinates": [-8.57, 52.67]}


def encoded(document: object) -> bytes:
    return base64.b64encode(json.dumps(document).encode())


def feature(geometry: object = POINT, **properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"device_id": "bus", **properties}}


def sender(own: str | None = None, max_age: int | None = None) -> Sender:
    return Sender(own, None, "anonymous", NOON, max_age)


def fixes(payload: bytes, own: str | None = None) -> list[Fix]:
    found = []
    for outcome in read(payload, sender(own)):
        assert isinstance(outcome, Fix)
        found.append(outcome)
    return found


def refusal(payload: bytes, own: str | None = None) -> InvalidMessageError:
    """Why a message as a whole, or its only member, cannot be used."""
    (found,) = read(payload, sender(own))
    assert isinstance(found, Refusal)
    return found.error


DEEP = b'{"type":"Feature","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"  ", Reason.NOT_JSON),
        (b"not base64!", Reason.NOT_BASE64),
        (b"%%%", Reason.NOT_BASE64),
        (base64.b64encode(b"?>?>")[:-1], Reason.NOT_JSON),
        (base64.urlsafe_b64encode(b"\xfb\xff\xfe"), Reason.NOT_JSON),
        (base64.b64encode(b"not json"), Reason.NOT_JSON),
        (base64.b64encode(b'{"type": "Feature", "name": "\xff"}'), Reason.NOT_JSON),
        (base64.b64encode(DEEP), Reason.NOT_JSON),
        (base64.b64encode(b'{"type":"Point","coordinates":[NaN,52]}'), Reason.NOT_JSON),
        (base64.b64encode(b'{"type":"Point","coordinates":[Infinity,52]}'), Reason.NOT_JSON),
        (base64.b64encode(b'{"type":"Point","coordinates":[1e999,52]}'), Reason.BAD_COORDINATES),
        (encoded(7), Reason.NOT_GEOJSON),
        (encoded([]), Reason.NOT_GEOJSON),
        (encoded({}), Reason.NOT_GEOJSON),
        (encoded({"type": 7}), Reason.NOT_GEOJSON),
        (encoded({"type": "Car"}), Reason.NOT_GEOJSON),
        (encoded({"type": "FeatureCollection"}), Reason.NOT_GEOJSON),
        (encoded({"type": "FeatureCollection", "features": {}}), Reason.NOT_GEOJSON),
        (encoded({"type": "FeatureCollection", "features": [7]}), Reason.NOT_GEOJSON),
        (encoded({"type": "FeatureCollection", "features": [POINT]}), Reason.NOT_GEOJSON),
        (encoded({"type": "Feature", "geometry": None, "properties": {}}), Reason.NOT_GEOJSON),
        (encoded({"type": "Feature", "geometry": 7, "properties": {}}), Reason.NOT_GEOJSON),
        (encoded({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}), Reason.NOT_A_POINT),
        (encoded(feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]})), Reason.NOT_A_POINT),
        (encoded(feature({"type": "Point"})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": []})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": [1]})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": ["1", "2"]})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": [True, 2]})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": [180.1, 0]})), Reason.BAD_COORDINATES),
        (encoded(feature({"type": "Point", "coordinates": [0, -90.1]})), Reason.BAD_COORDINATES),
        (encoded({"type": "Feature", "geometry": POINT, "properties": 7}), Reason.BAD_PROPERTY),
        (encoded(feature(device_id="")), Reason.BAD_PROPERTY),
        (encoded(feature(device_id="x" * 129)), Reason.BAD_PROPERTY),
        (encoded(feature(device_id=" ")), Reason.BAD_PROPERTY),
        (encoded(feature(device_id=7.5)), Reason.BAD_PROPERTY),
        (encoded(feature(device_id=True)), Reason.BAD_PROPERTY),
        (encoded(feature(speed="fast")), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp="yesterday")), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp="2026-03-01T12:00:00")), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp="2026-02-30T12:00:00Z")), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp=True)), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp=-1)), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp=10**30)), Reason.BAD_PROPERTY),
        (encoded(feature(timestamp=NOON + AHEAD_MS + 1)), Reason.FUTURE_TIMESTAMP),
        (encoded(POINT), Reason.NO_DEVICE),
        (encoded(feature(device_id=None)), Reason.NO_DEVICE),
    ],
)
def test_what_cannot_be_used_has_a_reason(payload: bytes, reason: Reason) -> None:
    assert refusal(payload).reason == reason


def test_a_reason_never_repeats_where_or_who() -> None:
    told = refusal(encoded(feature({"type": "Point", "coordinates": [-8.571234, 95.5]}, device_id="secret-bus")))
    assert "8.571234" not in str(told)
    assert "secret-bus" not in str(told)


def test_500_features_are_read_and_501_are_too_many() -> None:
    collection = {"type": "FeatureCollection", "features": [feature(timestamp=NOON - n) for n in range(500)]}
    assert [fix.observed_at for fix in fixes(encoded(collection))] == [NOON - n for n in range(500)]
    collection["features"].append(feature())  # type: ignore[attr-defined]
    assert refusal(encoded(collection)).reason == Reason.TOO_MANY_FEATURES


def test_a_bad_member_of_a_collection_leaves_its_neighbours_usable() -> None:
    payload = encoded({"type": "FeatureCollection", "features": [feature(), 7, feature(device_id="car")]})
    first, bad, last = read(payload, sender())
    assert isinstance(first, Fix)
    assert first.device_id == "bus"
    assert isinstance(bad, Refusal)
    assert (bad.error.reason, bad.index, bad.member) == (Reason.NOT_GEOJSON, 1, b"7")
    assert isinstance(last, Fix)
    assert last.device_id == "car"


def test_a_device_that_is_logged_in_need_not_name_itself() -> None:
    assert [fix.device_id for fix in fixes(encoded(POINT), own="car-7")] == ["car-7"]


def test_a_device_may_not_speak_for_another_and_a_gateway_may() -> None:
    payload = encoded(feature(device_id="other"))
    assert refusal(payload, own="car-7").reason == Reason.WRONG_DEVICE
    assert [fix.device_id for fix in fixes(payload)] == ["other"]


def test_what_is_older_than_its_sender_may_send_is_refused_with_its_role() -> None:
    old, older = (encoded(feature(timestamp=NOON - age)) for age in (86_400_000, 86_400_001))
    ((fix,), (refused,)) = (read(payload, sender(max_age=86_400_000)) for payload in (old, older))
    assert isinstance(fix, Fix)
    assert isinstance(refused, Refusal)
    assert refused.error.reason == Reason.TOO_OLD
    assert "anonymous" in refused.error.detail


def test_without_a_timestamp_the_time_of_receipt_counts() -> None:
    assert fixes(encoded(feature()))[0].observed_at == NOON


def test_what_a_phone_does_not_know_it_says_as_minus_one() -> None:
    (fix,) = fixes(encoded(feature(speed=-1, heading=-1.0, accuracy=4)))
    assert (fix.speed, fix.heading, fix.accuracy) == (None, None, 4)


@given(
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    altitude=st.none() | st.floats(-500, 9000),
    observed_at=st.integers(100_000_000_000, NOON + AHEAD_MS),
    as_text=st.booleans(),
    device_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128),
    accuracy=st.none() | st.floats(0, 1000),
)
def test_what_was_sent_is_what_is_read(
    *,
    longitude: float,
    latitude: float,
    altitude: float | None,
    observed_at: int,
    as_text: bool,
    device_id: str,
    accuracy: float | None,
) -> None:
    coordinates = [longitude, latitude] if altitude is None else [longitude, latitude, altitude]
    properties: dict[str, object] = {
        "timestamp": format_rfc3339(observed_at) if as_text else observed_at,
        "device_id": device_id,
    }
    if accuracy is not None:
        properties["accuracy"] = accuracy
    payload = encoded(feature({"type": "Point", "coordinates": coordinates}, **properties))
    assert fixes(payload) == [
        Fix(device_id, longitude, latitude, altitude, observed_at, accuracy, speed=None, heading=None)
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
geojson_like = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["Feature", "FeatureCollection", "Point", "Polygon"]) | json_values,
        "geometry": st.fixed_dictionaries({"type": st.just("Point"), "coordinates": json_values}) | json_values,
        "coordinates": st.lists(st.floats(-200, 200), max_size=4) | json_values,
        "features": st.lists(json_values, max_size=4) | json_values,
        "properties": st.fixed_dictionaries(
            {}, optional={"device_id": json_values, "timestamp": json_values, "speed": json_values}
        )
        | json_values,
    },
)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(base64.b64encode) | geojson_like.map(encoded))
def test_any_payload_is_read_or_refused_with_a_reason(payload: bytes) -> None:
    for outcome in read(payload, sender()):
        if isinstance(outcome, Fix):
            assert -180 <= outcome.longitude <= 180
            assert -90 <= outcome.latitude <= 90
            assert 0 <= outcome.observed_at <= NOON + AHEAD_MS


def test_what_is_refused_leaves_nothing_to_the_garbage_collector() -> None:
    lines = [{**feature({"type": "LineString", "coordinates": []})}, feature(device_id=None), {"type": "Feature"}, 7]
    payload = encoded({"type": "FeatureCollection", "features": lines * 25})
    read(payload, sender())
    gc.collect()
    gc.disable()
    try:
        assert len(read(payload, sender())) == 100
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "twice",
    [
        b'"type":"%b","type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}',
        b'"type":"Feature","geometry":{"type":"%b","type":"Point","coordinates":[1,2]}',
    ],
)
@pytest.mark.parametrize("secret", [b"52.6741 -8.5701 bus-304", b"52.6741 - at `$.properties`"])
def test_a_type_that_is_there_twice_brings_no_place_into_the_reason(twice: bytes, secret: bytes) -> None:
    document = b"{" + twice % secret + b',"properties":[7]}'
    for payload in (document, b'{"type":"FeatureCollection","features":[' + document + b"]}"):
        error = refusal(base64.b64encode(payload))
        assert error.reason is Reason.BAD_PROPERTY
        assert "52.6741" not in error.detail
