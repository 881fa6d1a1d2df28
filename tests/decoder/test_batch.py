import base64
import json
from typing import Any

from core.errors import Reason
from core.messages import Kind, RawMessage, Role
from decoder.batch import BatchDecoder
from tests.conftest import NOON
from tests.decoder.conftest import HASHER, LIBRARY, raw

AWAY = (-8.66, 52.63)


def fix(place: tuple[float, float] = LIBRARY, **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(place)},
        "properties": {"device_id": "bus", **properties},
    }


def payload(*features: object) -> bytes:
    document = features[0] if len(features) == 1 else {"type": "FeatureCollection", "features": list(features)}
    return base64.b64encode(json.dumps(document).encode())


def test_a_position_on_the_campus_has_its_zones_and_a_hash_instead_of_a_name(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(timestamp=NOON - 1000, speed=3)), topic="mobile-iotp/x")])
    (position,) = batch.positions
    assert position.zones == ("campus", "glucksman-library")
    assert position.kind == Kind.MOBILE
    assert position.device == HASHER.hash(Kind.MOBILE, "bus")
    assert (position.observed_at, position.received_at, position.speed) == (NOON - 1000, NOON, 3)
    assert (position.longitude, position.latitude) == LIBRARY
    assert batch.totals == {"messages": 1, "positions": 1}


def test_a_position_outside_is_counted_and_nothing_else(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(AWAY)))])
    assert not batch.positions
    assert not batch.dead
    assert batch.totals == {"messages": 1, "outside": 1}


def test_what_is_unusable_outside_the_campus_leaves_neither_payload_nor_topic(decoder: BatchDecoder) -> None:
    bad = payload(fix(AWAY, timestamp=NOON + 3_600_000), fix(timestamp=NOON + 3_600_000))
    batch = decoder.decode([raw(bad, topic="car-iotp/bus")])
    outside, inside = sorted(batch.dead, key=lambda letter: letter.payload or b"")
    assert (outside.reason, outside.payload, outside.topic) == (Reason.FUTURE_TIMESTAMP, None, "car-iotp")
    assert (inside.reason, inside.topic) == (Reason.FUTURE_TIMESTAMP, "car-iotp/bus")
    assert json.loads(base64.b64decode(inside.payload or b""))["geometry"]["coordinates"] == list(LIBRARY)


def test_a_bad_member_becomes_a_dead_letter_of_its_own(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(), {"type": "Feature"}, fix(device_id="car")))])
    assert len(batch.positions) == 2
    assert [(letter.reason, letter.payload) for letter in batch.dead] == [
        (Reason.NOT_GEOJSON, base64.b64encode(b'{"type": "Feature"}'))
    ]


def test_what_the_broker_refused_becomes_a_dead_letter_without_a_payload(decoder: BatchDecoder) -> None:
    refused = RawMessage("car-iotp", "", Role.ANONYMOUS, NOON, b"", refused=Reason.TOO_LARGE)
    (letter,) = decoder.decode([refused]).dead
    assert (letter.reason, letter.payload) == (Reason.TOO_LARGE, None)


def test_a_message_for_another_topic_is_a_dead_letter(decoder: BatchDecoder) -> None:
    (letter,) = decoder.decode([raw(payload(fix()), topic="tram-iotp")]).dead
    assert letter.reason == Reason.UNKNOWN_TOPIC


def test_a_topic_in_a_dead_letter_is_not_longer_than_people_read(decoder: BatchDecoder) -> None:
    (letter,) = decoder.decode([raw(b"%", topic="car-iotp/" + "x" * 60_000)]).dead
    assert len(letter.topic) == 200


def test_an_empty_batch_is_nothing(decoder: BatchDecoder) -> None:
    batch = decoder.decode([])
    assert (batch.positions, batch.dead, batch.totals) == ([], [], {})
