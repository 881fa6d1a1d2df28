"""Payloads that are no positions, and bytes that are no MQTT."""

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.positions import encoded, feature, inside
from simulator.misbehaviour.system import System
from simulator.misbehaviour.wire import ClosedError

TOO_LARGE = 70_000
TOO_MANY = 501
HOUR_MS = 3_600_000
NO_PACKETS = {
    "no CONNECT first": b"\xc0\x00",
    "a packet of a type that there is not": b"\xf0\x00",
    "another protocol": b"GET / HTTP/1.1\r\nHost: campus\r\n\r\n",
    "a length without an end": b"\x10\xff\xff\xff\xff\xff",
}


def garbage(system: System, name: str, clock: Clock) -> Answer:
    """What a broken device sends, each once, and connections that speak something else."""
    before, place = system.figures(), inside(system.campus.boundary)
    good = feature(f"{name}-garbage", place, clock())
    line = {**good, "geometry": {"type": "LineString", "coordinates": [place, place]}}
    nowhere = {**good, "geometry": {"type": "Point", "coordinates": [200, 100]}}
    payloads = [
        b"\xff\xfe\xfd",
        b"aGVsbG8",
        encoded("hello"),
        encoded({"type": "Topology"}),
        encoded(line),
        encoded(nowhere),
        encoded(feature(f"{name}-garbage", place, clock(), speed="fast")),
        encoded(feature(None, place, clock())),
        encoded(feature(f"{name}-garbage", place, clock() + HOUR_MS)),
        encoded({"type": "FeatureCollection", "features": [{"type": "Feature"}] * TOO_MANY}),
        b"A" * TOO_LARGE,
    ]
    acknowledged = 0
    for number, payload in enumerate(payloads):
        # A connection each: some are ended.
        with system.wire() as wire:
            wire.connect(f"{name}-garbage-{number}", system.gateway)
            acknowledged += wire.publish(system.kind.topic, payload)
    closed = sum(_is_closed(system, data) for data in NO_PACKETS.values())
    return Answer(
        "garbage",
        f"{len(payloads)} payloads that are no positions, {len(NO_PACKETS)} connections that speak no MQTT",
        [
            f"{acknowledged} acknowledged",
            f"{closed} connections closed",
            *system.changes(before, messages=acknowledged),
        ],
    )


def _is_closed(system: System, data: bytes) -> bool:
    with system.wire() as wire:
        try:
            wire.send(data)
        except ClosedError:
            return True
        return wire.is_closed()
