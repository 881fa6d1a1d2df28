"""Some 10,000 bytes of each kind that nobody should send, over TCP and over WebSocket."""

from collections.abc import Callable
from random import Random

from tests.broker.frames import BINARY, PING, frame, request
from tests.fuzz.seeds import mqtt_packets, mutated, websockets
from tests.mqtt.wire import PINGREQ, Kind, Will, ack, connect, publish, subscribe, unsubscribe

SIZE = 10_000
KEEPALIVE = 1
"""Seconds: half as much again, and a connection that sends nothing whole is ended."""
Kinds = dict[str, Callable[[Random], bytes]]


def _connected(random: Random, what: bytes) -> bytes:
    return connect(f"garbage{random.getrandbits(64):x}", keepalive=KEEPALIVE) + what


def _filled(one: Callable[[int], bytes]) -> bytes:
    filled = bytearray()
    number = 0
    while len(filled) < SIZE:
        number += 1
        filled += one(number)
    return bytes(filled)


def _session(random: Random) -> bytes:
    packets = mqtt_packets()
    return _connected(random, _filled(lambda _: mutated(random.choice(packets[4:-1]), random)))


KINDS: Kinds = {
    "random bytes": lambda random: random.randbytes(SIZE),
    "zeros": lambda _: bytes(SIZE),
    "the highest bytes": lambda _: b"\xff" * SIZE,
    "text": lambda _: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (SIZE // 27),
    "another protocol": lambda random: b"\x16\3\1\2\0\1\0\1\xfc\3\3" + random.randbytes(SIZE),
    "a CONNECT with mistakes": lambda random: mutated(random.choice(mqtt_packets()[:4]), random) + bytes(SIZE),
    "a CONNECT that never ends": lambda _: b"\x10\xff\xff\x0f\0\4MQTT\4\2" + bytes(SIZE),
    "a packet that never ends": lambda random: _connected(random, b"\x32\xff\xff\x07\0\3a/b" + bytes(SIZE)),
    "a packet that is too long": lambda random: _connected(random, b"\x30\xff\xff\xff\x7f" + bytes(SIZE)),
    "random bytes after a CONNECT": lambda random: _connected(random, random.randbytes(SIZE)),
    "a session with mistakes": _session,
    "many CONNECTs": lambda random: _connected(random, _filled(lambda number: connect(f"again{number}"))),
    "a will that is not its own": lambda random: (
        connect(
            f"garbage{random.getrandbits(64):x}",
            keepalive=KEEPALIVE,
            will=Will("car-iotp", b"x" * SIZE, 2, retain=True),
        )
        + b"\xf0"
    ),
    "a flood of PINGREQ": lambda random: _connected(random, PINGREQ * (SIZE // 2)),
    "a flood of SUBSCRIBE": lambda random: _connected(
        random, _filled(lambda number: subscribe(number, (f"{number}/+/#", 2), (f"+/{number}", 1)))
    ),
    "a flood of UNSUBSCRIBE": lambda random: _connected(random, _filled(lambda number: unsubscribe(number, "a/#"))),
    "SUBSCRIBE with all filters at once": lambda random: _connected(
        random, subscribe(1, *((f"{number}", 2) for number in range(SIZE // 8)))
    ),
    "QoS 2 without PUBREL": lambda random: _connected(
        random, _filled(lambda number: publish("q", qos=2, packet_id=number))
    ),
    "QoS 2 of one identifier": lambda random: _connected(
        random, _filled(lambda _: publish("q", b"again", qos=2, packet_id=7, dup=True))
    ),
    "retained messages": lambda random: _connected(
        random,
        _filled(lambda number: publish(f"garbage/{number % 50}", b"x" * 50, qos=1, packet_id=number, retain=True)),
    ),
    "acknowledgements of nothing": lambda random: _connected(
        random,
        _filled(lambda number: ack((Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP)[number % 4], number)),
    ),
    "topics of all kinds": lambda random: _connected(
        random, _filled(lambda number: publish("/" * (number % 90) + f"{number}", b"x", qos=1, packet_id=number))
    ),
    "a topic of many levels": lambda random: _connected(random, publish("/" * SIZE) + subscribe(1, ("+/" * 4000, 0))),
}
"""What a client of MQTT sends, by name."""


def _framed(random: Random, data: bytes) -> bytes:
    framed = bytearray(request())
    while data:
        size = random.choice((1, 7, 125, 126, 4000, len(data)))
        framed += frame(data[:size])
        data = data[size:]
    return bytes(framed)


WEBSOCKET_KINDS: Kinds = {
    **{name: lambda random, kind=kind: _framed(random, kind(random)) for name, kind in KINDS.items()},  # type: ignore[misc]
    "no handshake": lambda random: random.randbytes(SIZE),
    "a handshake that never ends": lambda _: b"GET /mqtt HTTP/1.1\r\n" + b"X-Y: z\r\n" * (SIZE // 8),
    "a handshake with mistakes": lambda random: mutated(request(), random) + bytes(SIZE),
    "random frames": lambda random: request() + random.randbytes(SIZE),
    "frames with mistakes": lambda random: (
        request() + _filled(lambda _: mutated(random.choice(websockets()).partition(b"\r\n\r\n")[2], random))
    ),
    "a flood of pings": lambda random: request() + frame(_connected(random, b"")) + frame(b"", PING) * (SIZE // 6),
    "a flood of empty frames": lambda _: request() + frame(b"") * (SIZE // 6),
    "a message that never ends": lambda random: (
        request() + frame(_connected(random, b""), fin=False) + frame(b"", 0, fin=False) * (SIZE // 6)
    ),
    "a frame that never ends": lambda random: (
        request() + frame(_connected(random, b"")) + bytes((0x80 | BINARY, 0xFF)) + b"\x7f" + b"\xff" * 7 + bytes(SIZE)
    ),
}
