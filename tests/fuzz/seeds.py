"""Input of every kind, which fuzzing starts from: well-formed, but for the packets that break the standard."""

import asyncio
import base64
import gzip
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

from backup.sealing import seal
from tests.backup.snapshots import SMALL, TOLD
from tests.broker.frames import CLOSE, PING, PONG, TEXT, close, frame, request
from tests.mqtt.breaking import BREAKING
from tests.mqtt.wire import DISCONNECT, PINGREQ, Kind, Will, ack, connect, publish, subscribe, unsubscribe
from tests.simulator.fit_files import fit
from tests.simulator.recordings import walk
from tests.simulator.tracks.test_kml import WHEN, kml, placemark, track_of
from tests.simulator.tracks.test_nmea import GGA, RMC, sentence
from tests.simulator.tracks.test_tcx import point, tcx

SEALED_KEY, SEALED_PATH = b"k" * 32, "redis/20260301T120000Z-0001/main-0"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

TRACKS = Path(__file__).parents[1] / "field" / "tracks"
CAMPUS_FILES = Path(__file__).parents[1] / "geofence" / "field"


def mqtt_packets() -> list[bytes]:
    """One packet each, of all kinds that a client sends."""
    return [
        connect("c", keepalive=1),
        connect("c", clean=False, keepalive=1, user="user", password=b"password"),
        connect("c", keepalive=1, will=Will("will/topic", b"gone", 2, retain=True)),
        connect("c", keepalive=1, protocol="MQIsdp", level=3),
        publish("car-iotp", b"payload"),
        publish("car-iotp/bus", b"payload", qos=1, packet_id=1),
        publish("notices/größe", b"\0\xff" * 70, qos=2, packet_id=65_535, dup=True, retain=True),
        *(ack(kind, 7) for kind in (Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP)),
        subscribe(9, ("a/+/b", 1), ("#", 2), ("$SYS/#", 0)),
        unsubscribe(10, "a/+/b", "#"),
        PINGREQ,
        DISCONNECT,
    ]


def websockets() -> list[bytes]:
    """Whole conversations of a client."""
    packets = mqtt_packets()
    return [
        request() + frame(b"".join(packets)),
        request("/", Sec_WebSocket_Protocol="mqttv3.1") + b"".join(frame(packet) for packet in packets),
        request() + frame(packets[0][:5], fin=False) + frame(b"ping", PING) + frame(packets[0][5:], 0),
        request() + frame(b"pong", PONG) + close(1000, b"bye"),
        request() + frame(b"x" * 300) + frame(b"", CLOSE),
        request() + frame(b"text", TEXT),
    ]


def proxy_headers() -> list[bytes]:
    """Headers of both versions, with the beginning of what follows."""
    return [
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1883\r\n" + PINGREQ,
        b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 1883\r\n",
        b"PROXY UNKNOWN\r\n",
        SIGNATURE + b"\x21\x11\0\x0c" + bytes(range(12)) + PINGREQ,
        SIGNATURE + b"\x21\x21\0\x29" + bytes(range(36)) + b"\4\0\2xy",
        SIGNATURE + b"\x20\0\0\0",
    ]


def payloads() -> list[bytes]:
    """What devices send."""
    point = {"type": "Point", "coordinates": [-8.57, 52.67]}
    properties = {"device_id": "bus", "timestamp": "2026-03-01T12:00:00Z", "accuracy": 5, "speed": 1.5, "heading": 90}
    feature = {"type": "Feature", "geometry": point, "properties": properties}
    documents: list[object] = [
        point,
        feature,
        {"type": "FeatureCollection", "features": [feature, feature | {"properties": None}]},
        feature | {"properties": {"device_id": "größe", "timestamp": 1_770_000_000_000}},
        # What cannot be used, and is looked through for places.
        {"_type": "location", "lat": 51.9, "lon": "-8.47", "tst": 1_770_000_000, "acc": 5, "tid": "b1"},
        {"type": "GeometryCollection", "geometries": [{"type": "LineString", "coordinates": [[-8.57, 52.67], [0, 0]]}]},
        feature | {"bbox": [-8.57, 52.67, -8.56, 52.68], "properties": {"speed": "fast", "home": "51.9,-8.47"}},
    ]
    documents += _in_words_of_apps(feature)
    texts = [json.dumps(document).encode() for document in documents]
    return [
        *texts,
        *map(base64.b64encode, texts),
        *map(gzip.compress, texts),
        base64.b64encode(gzip.compress(texts[0])),
    ]


def _in_words_of_apps(feature: object) -> list[object]:
    """What the apps send that docs/formats.md names."""
    coords = {"latitude": 52.67, "longitude": -8.57, "accuracy": 5, "speed": -1, "heading": 90, "altitude": 30}
    location = {"timestamp": "2026-03-01T12:00:00.250Z", "coords": coords, "is_moving": False}
    position = {"fixTime": "2026-03-01T12:00:00.000+00:00", "valid": True, "course": 9, **coords}
    course = {"time": "2026-03-01T12:00:00Z", "time_long": "1772366400000", "provider": "gps", "bearing": 12.5}
    properties = {"timestamp": "2026-03-01T12:00:00-0000", "horizontal_accuracy": 30, "course": 90, "device_id": ""}
    point = {"type": "Point", "coordinates": [-8.57, 52.67, None]}
    return [
        {"_type": "lwt", "tst": 1_770_000_000},
        {"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_770_000_000, "topic": "owntracks/a/b", "vel": 36},
        {"location": location, "device_id": "48241179"},
        {"location": [location, location], "device_id": 48_241_179},
        {"position": position, "device": {"uniqueId": "48241179"}},
        {"locations": [{"type": "Feature", "geometry": point, "properties": properties}]},
        {
            "lat": "52.67",
            "lon": "-8.57",
            "time": "2026-03-01T12%3A00%3A00.000Z",
            "acc": "8.5",
            "spd_kph": "5",
            "ser": "x",
        },
        {"type": "Feature", "geometry": point, "properties": course},
        [feature, feature],
    ]


def campus_files() -> list[bytes]:
    """What people have for a campus, in text and not."""
    return [file.read_bytes() for file in sorted(CAMPUS_FILES.iterdir()) if file.suffix != ".md"]


def tracks() -> list[bytes]:
    """Recordings of each format, and packed ones."""
    files = [file.read_bytes() for file in sorted(TRACKS.iterdir())]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for number, file in enumerate(files[::5]):
            # Of a time of its own, so that it is the same archive each day.
            written.writestr(zipfile.ZipInfo(f"{number}"), file)
    files += [
        kml(track_of(walk(3))).encode(),
        kml(placemark(WHEN)).encode(),
        tcx("".join(map(point, walk(3)))).encode(),
    ]
    files += [(sentence(GGA) + sentence(RMC)).encode(), fit(walk(3))]
    return [*files, gzip.compress(files[0], mtime=0), archive.getvalue()]


def sealed_parts() -> list[bytes]:
    """Of backups: empty, small, of several chunks, and one of which the end is missing."""
    texts = [b"", b"text", Random(7).randbytes(70_000)]  # noqa: S311 - the same at every run
    parts = [asyncio.run(_sealed(text)) for text in texts]
    return [*parts, parts[-1][:-20], parts[0] + parts[1]]


async def _sealed(text: bytes) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        yield text

    return b"".join([piece async for piece in seal(pieces(), SEALED_KEY, SEALED_PATH, salt=b"s" * 32)])


ONE_AT_A_TIME = ("payload", "reading", "campus", "track", "snapshot", "sealed")
"""Targets whose input is a whole of its own; of all others, inputs may come one after the other."""

SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "mqtt": lambda: mqtt_packets() + [each.packet for each in BREAKING],
    "websocket": websockets,
    "frames": lambda: [conversation.partition(b"\r\n\r\n")[2] for conversation in websockets()],
    "proxy": proxy_headers,
    "payload": payloads,
    "reading": payloads,
    "campus": campus_files,
    "track": tracks,
    "snapshot": lambda: [SMALL, TOLD],
    "sealed": sealed_parts,
}
"""By the name of the target in `targets`."""


def mutated(data: bytes, random: Random) -> bytes:
    """The same with a few bytes changed, left out, put in or said again."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                changed[place : place + 1] = random.randbytes(1)
            case 1:
                del changed[place : place + random.randint(1, 4)]
            case 2:
                changed[place:place] = random.randbytes(random.randint(1, 4))
            case _:
                changed[place:place] = changed[place : place + random.randint(1, 40)]
    return bytes(changed)
