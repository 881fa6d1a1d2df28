"""Whatever is sent with a place outside the campus in it, in whatever form, nothing of the place stays in Redis."""

import base64
import gzip
import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.messages import RawMessage
from state.group import Group
from tests.conftest import DEAD, NOON, TOTALS
from tests.decoder.conftest import MakeObserver
from tests.raw_streams import append

LONGITUDE, LATITUDE = -8.470613, 51.897913
"""In Cork."""
DEVICE = "bus-number-304"
HERE = [-8.5734, 52.6733]
TRACES = [b"51.89", b"8.470", b"5189", b"8470", b"5153", b"0828", b"53'52"]
"""How the place shows in the encodings below."""

WAYS: dict[str, Callable[[], Any]] = {
    "pair": lambda: [LONGITUDE, LATITUDE],
    "swapped": lambda: [LATITUDE, LONGITUDE],
    "texts": lambda: [str(LONGITUDE), str(LATITUDE)],
    "text": lambda: f"{LATITUDE},{LONGITUDE}",
    "spaced": lambda: f"{LONGITUDE} {LATITUDE}",
    "named": lambda: {"lat": LATITUDE, "lon": LONGITUDE},
    "in capitals": lambda: {"Latitude": LATITUDE, "Longitude": LONGITUDE},
    "millionths": lambda: {"lat": 51_897_913, "lon": -8_470_613},
    "NMEA": lambda: "5153.87478,N,00828.23678,W",
    "degrees": lambda: "51°53'52.5\"N 8°28'14.2\"W",
    "WKT": lambda: f"POINT ({LONGITUDE} {LATITUDE})",
    "a name": lambda: {f"{LATITUDE},{LONGITUDE}": True},
    "nested": lambda: [[[[LONGITUDE, LATITUDE]]]],
    "with here": lambda: [HERE, [LONGITUDE, LATITUDE]],
    "flat": lambda: [*HERE, LONGITUDE, LATITUDE],
    "a text of JSON": lambda: json.dumps({"lat": LATITUDE, "lon": LONGITUDE}),
}
WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "plain": lambda text: text,
    "twice": lambda text: base64.b64encode(base64.b64encode(text)),
    "for addresses": base64.urlsafe_b64encode,
    "lines": base64.encodebytes,
    "cut off": lambda text: base64.b64encode(text)[:-7],
    "broken": lambda text: text[:-2],
    "garbage after": lambda text: base64.b64encode(text) + b"%",
    "zipped": lambda text: base64.b64encode(gzip.compress(text)),
    "hexadecimal": lambda text: text.hex().encode(),
    "a string": lambda text: base64.b64encode(json.dumps(text.decode()).encode()),
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "binary": lambda text: struct.pack(">dd", LONGITUDE, LATITUDE) + text[:0],
}
PLACES = ["coordinates", "geometry", "location", "home", "speed", "device_id", "timestamp", "accuracy", "name", "bbox"]


def payload(random: Random, way: str, wrapping: str) -> bytes:
    """Never a position: there is always a property that is wrong."""
    value = WAYS[way]()
    name = random.choice(PLACES)
    properties: dict[str, Any] = {"device_id": DEVICE, "heading": "north", "battery": 80}
    feature: dict[str, Any] = {
        "type": random.choice(["Feature", "Point", "MultiPoint", "location", "FeatureCollection"]),
        "geometry": random.choice([None, {"type": "Point", "coordinates": HERE}]),
        "properties": properties,
    }
    match random.randrange(4):
        case 0:
            feature["geometry"] = {"type": random.choice(["Point", "LineString", "GeometryCollection"]), name: value}
        case 1:
            properties[name] = value
        case 2:
            feature[name] = value
        case _:
            feature["features"] = [{"type": "Feature", "geometry": {"coordinates": value}}, dict(feature)]
    return WRAPPINGS[wrapping](json.dumps(feature, ensure_ascii=random.random() < 0.5).encode())


async def everything(client: Redis) -> bytes:
    """Every key and value of a Redis."""
    found: list[Any] = []
    for key in cast("list[bytes]", await client.keys("*")):
        found.append(key)
        match await client.type(key):
            case b"string":
                found.append(await client.get(key))
            case b"hash":
                found.append(await client.hgetall(key))
            case b"set":
                found.append(await client.smembers(key))
            case b"zset":
                found.append(await client.zrange(key, 0, -1, withscores=True))
            case b"stream":
                # Their ids are times of this machine, which may hold any digits.
                found += [fields for _, fields in cast("Any", await client.xrange(key))]
            case other:
                raise AssertionError(other)
    return repr(found).encode()


def layers(data: bytes) -> list[bytes]:
    """The bytes, and what is in them if they are base64."""
    try:
        return [data, *layers(base64.b64decode(data, validate=True))] if data else []
    except ValueError:
        return [data]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(sorted(WAYS)),
    wrapping=st.sampled_from(sorted(WRAPPINGS)),
    seed=st.integers(0, 2**32),
)
async def test_no_unusable_payload_leaves_a_place_outside_the_campus(
    redis_client: Redis,
    observer_of: MakeObserver,
    group_of: Callable[[str], Group],
    way: str,
    wrapping: str,
    seed: int,
) -> None:
    await redis_client.flushall()
    random = Random(seed)  # noqa: S311 - to be repeatable, not secret
    sent = payload(random, way, wrapping)
    observer = observer_of()
    group = group_of("a")
    await group.create()
    topic = random.choice(["car-iotp", f"mobile-iotp/{DEVICE}", f"{LATITUDE},{LONGITUDE}/x"])
    message = RawMessage(topic, DEVICE, random.choice(["car", "service"]), NOON, sent)
    await append(redis_client, message)
    await observer(await group.read(1))
    assert await redis_client.hget(TOTALS, "messages") == b"1"
    kept = await everything(redis_client)
    letters = [fields.get(b"payload", b"") for _, fields in cast("Any", await redis_client.xrange(DEAD))]
    for seen in [kept, *(layer for each in letters for layer in layers(each))]:
        assert not [trace for trace in TRACES if trace in seen], seen
    # A feature on the campus beside one that is not may be kept, and then names its device.
    assert any(letters) or DEVICE.encode() not in kept
