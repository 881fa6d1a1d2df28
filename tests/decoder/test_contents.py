"""What is kept of a payload that cannot be used: all of it, where each place in it is on the campus; else its shape."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from decoder.batch import BatchDecoder
from decoder.contents import contents
from decoder.shape import shape_of
from tests.conftest import NOON

MAX_CHARACTERS = 400

HERE = (-8.5734, 52.6733)
AWAY = (-8.4706, 51.8979)


def point(place: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(place)}


def feature(geometry: object, **properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"device_id": "bus", **properties}}


def encoded(document: object) -> bytes:
    return base64.b64encode(json.dumps(document).encode())


def variants(place: tuple[float, float]) -> dict[str, bytes]:
    """Unusable messages with a place in them, as apps have sent them."""
    longitude, latitude = place
    wrong = feature(point(place), speed="fast")
    plain = json.dumps(wrong).encode()
    return {
        "no base64": plain,
        "OwnTracks": encoded(
            {"_type": "location", "lat": latitude, "lon": longitude, "tst": "noon", "tid": "b1", "acc": 5, "vel": 3}
        ),
        "OwnTracks, no base64": json.dumps({"_type": "location", "lat": latitude, "lon": longitude}).encode(),
        "words": encoded({"latitude": latitude, "longitude": longitude, "accuracy": 4.5}),
        "within": encoded({"coords": {"latitude": latitude, "longitude": longitude}, "timestamp": 1772366400000}),
        "MultiPoint": encoded({"type": "MultiPoint", "coordinates": [list(place), list(place)]}),
        "LineString": encoded(feature({"type": "LineString", "coordinates": [list(place), list(place)]})),
        "Polygon": encoded(feature({"type": "Polygon", "coordinates": [[list(place)] * 4]})),
        "GeometryCollection": encoded({"type": "GeometryCollection", "geometries": [point(place)]}),
        "texts": encoded(feature({"type": "Point", "coordinates": [str(longitude), str(latitude)]})),
        "texts by name": encoded({"lat": str(latitude), "lng": str(longitude)}),
        "twice": base64.b64encode(encoded(wrong)),
        "a text of JSON": encoded(json.dumps(feature(point(place)))),
        "base64 for addresses": base64.urlsafe_b64encode(json.dumps(wrong | {"name": "???>>>"}).encode()),
        "lines": base64.encodebytes(plain),
        "no padding": base64.b64encode(plain + b" " * ((1 - len(plain)) % 3))[:-2],
        "a wrong property": encoded(feature(point(place), speed="fast")),
        "no type": encoded({"geometry": point(place), "properties": {"device_id": "bus"}}),
        "a list within": encoded({"data": [feature(point(place))]}),
        "bare": encoded(list(place)),
        "box": encoded({"type": "Feature", "bbox": [*place, *place], "geometry": None}),
        "too many": encoded({"type": "FeatureCollection", "features": [point(place)] * 501}),
    }


BROKEN = {
    "cut off": encoded(feature(point(HERE)))[:-23],
    "cut off in a group": encoded(feature(point(HERE)))[:-22],
    "broken": b'{"type": "Feature", "geometry": {"type": "Point", "coordinates": [-8.5734, 52.6733',
    "text": b"lat=52.6733 lon=-8.5734",
    "bytes": bytes(range(256)),
    "nothing": b" ",
    "NMEA": b"$GPGGA,115739.00,5240.3980,N,00834.4040,W,1,08,1.0,25,M,,M,,*5B",
    "text by name": encoded({"position": "52.6733,-8.5734", "device_id": "bus"}),
    "half": encoded({"lat": 52.6733, "device_id": "bus"}),
    "four": encoded({"type": "LineString", "coordinates": [*HERE, *HERE]}),
    "unknown number": encoded(feature(point(HERE), speed="?", secret=51.8979)),
    "unknown text": encoded(feature(point(HERE), speed="?", home="51.8979 -8.4706")),
    "a name": encoded(feature(point(HERE), speed="?", **{"51.8979,-8.4706": "home"})),
    "an id": encoded(feature(point(HERE), speed="?", device_id="51.8979,-8.4706")),
    "a time": encoded(feature(point(HERE), timestamp="52:38:24N 08:39:36W")),
    "degrees": encoded(feature(point(HERE), speed="?", name="51°53'52")),
    "twice a name": base64.b64encode(
        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[-8.4706,51.8979],"coordinates":[-8.5734,52.6733]},'
        b'"properties":{"speed":"?"}}'
    ),
    "deep": b"[" * 30_000,
    "deep and whole": base64.b64encode(b"[" * 400 + b"1" + b"]" * 400),
    "far too many": encoded({"type": "FeatureCollection", "features": [feature(point(HERE))] * 501}),
    "metres": encoded({"type": "Point", "coordinates": [558000, 657000]}),
    "garbage beside base64": encoded(feature(point(HERE))) + b" 51.8979,-8.4706",
}


def letter_of(decoder: BatchDecoder, payload: bytes) -> DeadLetter:
    message = RawMessage("car-iotp/bus", "somebody", "service", NOON, payload)
    batch = decoder.decode([message])
    assert not batch.positions
    (letter,) = batch.dead
    return letter


@pytest.mark.parametrize("name", sorted(variants(HERE)))
def test_a_payload_whose_places_are_on_the_campus_is_kept(decoder: BatchDecoder, name: str) -> None:
    payload = variants(HERE)[name]
    letter = letter_of(decoder, payload)
    assert letter.payload == payload
    assert (letter.topic, letter.user, letter.size) == ("car-iotp/bus", "somebody", len(payload))


@pytest.mark.parametrize("name", sorted(variants(AWAY)))
def test_a_payload_with_a_place_outside_leaves_reason_size_first_level_and_shape(
    decoder: BatchDecoder, name: str
) -> None:
    payload = variants(AWAY)[name]
    letter = letter_of(decoder, payload)
    assert (letter.payload, letter.topic, letter.user, letter.size) == (None, "car-iotp", "", len(payload))
    assert letter.shape
    told = json.dumps(letter.encode(), default=bytes.decode)
    assert not [trace for trace in ("51.8", "8.47", "bus", "somebody") if trace in told]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_cannot_be_understood_is_not_kept(decoder: BatchDecoder, name: str) -> None:
    letter = letter_of(decoder, BROKEN[name])
    assert (letter.payload, letter.topic, letter.user) == (None, "car-iotp", "")
    told = json.dumps(letter.encode(), default=bytes.decode)
    assert not [trace for trace in ("51.8", "8.47", "52.6", "8.57", "5240", "bus") if trace in told]


@pytest.mark.parametrize("away", [AWAY, (-8.5734, 51.8979), (0, 0)])
def test_one_place_outside_is_enough_for_nothing_to_be_kept(decoder: BatchDecoder, away: tuple[float, float]) -> None:
    for document in (
        {"type": "MultiPoint", "coordinates": [list(HERE), list(away)]},
        {"type": "GeometryCollection", "geometries": [point(HERE), point(away)]},
        feature(point(HERE), speed="?", home={"lat": away[1], "lon": away[0]}),
        {"data": [feature(point(HERE)), feature(point(away))]},
    ):
        assert letter_of(decoder, encoded(document)).payload is None


@pytest.mark.parametrize(
    ("envelope", "alone"),
    [
        (lambda features: {"type": "FeatureCollection", "features": features}, lambda feature: feature),
        (list, lambda feature: feature),
        (lambda features: {"locations": features}, lambda feature: {"locations": [feature]}),
    ],
)
def test_of_several_features_each_is_looked_at_alone(
    decoder: BatchDecoder,
    envelope: Callable[[list[dict[str, Any]]], object],
    alone: Callable[[dict[str, Any]], object],
) -> None:
    features = [feature(point(HERE), speed="?"), feature(point(AWAY), speed="?"), feature(point(HERE))]
    message = RawMessage("car-iotp", "", "anonymous", NOON, encoded(envelope(features)))
    batch = decoder.decode([message])
    assert len(batch.positions) == 1
    assert [letter.reason for letter in batch.dead] == [Reason.BAD_PROPERTY] * 2
    here, away = (letter.payload for letter in batch.dead)
    assert json.loads(base64.b64decode(here or b"")) == alone(features[0])
    assert away is None


@pytest.mark.parametrize(
    ("payload", "shape"),
    [
        (
            variants(AWAY)["no base64"],
            "JSON {type: text, geometry: {type: text, coordinates: [2 number]}, properties: {device_id: text, speed: t",
        ),
        (variants(AWAY)["twice"], "base64 of base64 of JSON {type: text, geometry: "),
        (variants(AWAY)["texts"], "base64 of JSON {type: text, geometry: {type: text, coordinates: [2 text]}, "),
        (
            encoded({"lat": 51.9, "LON": -8.5, "my id": {"Bus-7": None}}),
            "base64 of JSON {lat: number, lon: number, ?: {?",
        ),
        (BROKEN["cut off"], "base64, cut off, of broken JSON with type, geometry, coordinates, "),
        (
            encoded(feature(point(HERE)))[:-3],
            "base64, cut off, of broken JSON with type, geometry, coordinates, properties, device",
        ),
        (b'{"type": "Feature", "secret": ', "broken JSON with type, ?"),
        (encoded([1, "a", 2, None, {}, []]), "base64 of JSON [6 number or text or null or ...]"),
        (b"lat=51.9", "text"),
        (b"\xff\xfe", "bytes"),
        (b"", "nothing"),
    ],
)
def test_the_shape_tells_what_an_app_does_wrong(payload: bytes, shape: str) -> None:
    assert contents(payload).shape.startswith(shape)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=10), inner, max_size=8),
    max_leaves=40,
)


@given(value=json_values)
def test_a_shape_is_bounded_and_holds_no_value(value: object) -> None:
    shape = shape_of(value)
    assert len(shape) <= MAX_CHARACTERS
    letters = "".join(character for character in shape if not character.isdigit())
    assert set(letters) <= set("{}[]?:,. _abcdefghijklmnopqrstuvwxyz")


@given(payload=st.binary(max_size=200) | json_values.map(encoded) | st.text(max_size=100).map(str.encode))
def test_no_payload_is_too_strange_to_look_at(payload: bytes) -> None:
    assert len(contents(payload).shape) <= MAX_CHARACTERS + 60


def test_of_what_is_in_gzip_all_is_looked_at_and_what_could_be_hidden_beside_it_is_not_known() -> None:
    here = json.dumps({"lat": 52.67, "lon": -8.57}).encode()
    plain = gzip.compress(here, mtime=0)
    found = contents(plain)
    assert (found.places, found.known) == ([(-8.57, 52.67)], True)
    assert found.shape.startswith("gzip of JSON {")
    named = plain[:3] + b"\x08" + plain[4:10] + b"51.89,-8.47\0" + plain[10:]
    for hidden in (named, plain + b"51.89,-8.47", plain + gzip.compress(b"51.89,-8.47")):
        assert not contents(hidden).known
