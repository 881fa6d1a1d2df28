"""What cannot be used, in many ways: each has one fault, so that nobody can differ about the reason."""

import base64
import gzip
import json
from copy import deepcopy
from random import Random
from typing import Any

from core.errors import Reason
from core.messages import RawMessage

Feature = dict[str, Any]
FUTURE_MS = 301_000

_GEOMETRIES: list[Any] = [
    None,
    7,
    {"type": "Polygon", "coordinates": [[[-8.57, 52.67], [-8.56, 52.67], [-8.56, 52.68], [-8.57, 52.67]]]},
    {"type": "LineString", "coordinates": [[-8.57, 52.67], [-8.56, 52.67]]},
    {"type": "Point"},
    {"type": "Point", "coordinates": [-8.57]},
    {"type": "Point", "coordinates": [None, 52.67]},
    {"type": "Point", "coordinates": ["-8.57", "52.67"]},
    {"type": "Point", "coordinates": [52.67, -98.57]},
    {"type": "Point", "coordinates": [181, 52.67]},
]
_PROPERTIES: list[dict[str, Any]] = [
    {"timestamp": "yesterday"},
    {"timestamp": "2026-03-28T12:00:00"},
    {"timestamp": "2026-03-28T24:00:00Z"},
    {"timestamp": 10**21},
    {"timestamp": True},
    {"device_id": ""},
    {"device_id": "  "},
    {"device_id": True},
    {"device_id": "x" * 129},
    {"accuracy": "good"},
    {"speed": [1]},
]
_PAYLOADS = [
    # Nothing is to be done about the first three: one clears a topic, and the others are no positions.
    b"",
    b'{"_type": "lwt", "tst": 1}',
    base64.b64encode(b'{"_type": "waypoint", "lat": 52.67, "lon": -8.57, "tst": 1}'),
    b'{"_type": "encrypted", "data": "AAAA"}',
    b'{"_type": "location", "lat": 52.67, "tid": "xx"}',
    b'{"locations": {}}',
    b'{"location": {"coords": {"latitude": 95, "longitude": -8.57}}, "device_id": "xx"}',
    gzip.compress(b'{"type": "Feature"}', mtime=0)[:-7],
    gzip.compress(b" " * 65_537, mtime=0),
    '{"type": "Feature"}'.encode("utf-16"),
    b"%%%",
    b"e30",
    b"eyJ0\neXBl",
    b"\xff\xfe",
    b"-_-_",
    base64.b64encode(b'{"type": "Feature", '),
    base64.b64encode(b'{"type": "\xff"}'),
    base64.b64encode(b'{"type": "Point", "coordinates": [NaN, 52.67]}'),
    base64.b64encode(b'{"type": "Point", "coordinates": [-8.57, -Infinity]}'),
    base64.b64encode(b"[]"),
    base64.b64encode(b"42"),
    base64.b64encode(b"null"),
    base64.b64encode(b'{"type": "Topology"}'),
    base64.b64encode(b'{"kind": "Feature"}'),
    base64.b64encode(b'{"type": "FeatureCollection"}'),
    base64.b64encode(b'{"type": "FeatureCollection", "features": {}}'),
    base64.b64encode(b'{"type": "MultiPoint", "coordinates": [[-8.57, 52.67]]}'),
    base64.b64encode(json.dumps({"type": "FeatureCollection", "features": [1] * 501}).encode()),
]


def bad_feature(random: Random, good: Feature, received_at: int) -> Any:  # noqa: ANN401 - not even always an object
    """A feature like `good`, with one fault."""
    feature = deepcopy(good)
    match random.randrange(5):
        case 0:
            return random.choice([None, 42, [], {"type": "Topology"}, good["geometry"]])
        case 1:
            feature["geometry"] = random.choice(_GEOMETRIES)
        case 2:
            feature["properties"] |= random.choice(_PROPERTIES)
        case 3:
            # Too old for all but gateways.
            feature["properties"]["timestamp"] = received_at + random.choice([FUTURE_MS, -604_800_001])
        case _:
            feature["properties"] = []
    return feature


def bad_message(random: Random, message: RawMessage, good: Feature) -> RawMessage:
    """A message like `message` of which nothing can be used."""
    topic, role, user, at = message.topic, message.role, message.user, message.received_at
    feature = deepcopy(good)
    match random.randrange(8):
        case 0:
            return RawMessage(topic, user, role, at, b"", Reason.TOO_LARGE)
        case 1:
            return RawMessage("lorry-iotp", user, role, at, _encoded(feature))
        case 2:
            # Nobody says whose it is; or, of a device with a name, another one.
            feature["properties"].pop("device_id", None)
            if user and user != "gateway-1":
                feature["properties"]["device_id"] = "somebody-else"
            return RawMessage(topic, user, role, at, _encoded(feature))
        case 3 | 4:
            bad = bad_feature(random, feature, at)
            # A bare Point may be a good message.
            body = {"type": "FeatureCollection", "features": [bad]} if bad == good["geometry"] else bad
            return RawMessage(topic, user, role, at, _encoded(body))
        case _:
            return RawMessage(topic, user, role, at, random.choice(_PAYLOADS))


def _encoded(body: object) -> bytes:
    return base64.b64encode(json.dumps(body).encode())
