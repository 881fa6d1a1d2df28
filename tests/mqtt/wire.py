"""MQTT packets as bytes: any that a client could send, malformed or not, and what a server sends, taken apart.

Independent of the broker, so that the two cannot share a mistake. Clauses are those of MQTT Version 3.1.1.
"""

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """Control packet types (2.2.1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


@dataclass(frozen=True, slots=True)
class Connack:
    session_present: bool
    code: int


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """A PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""

    kind: Kind
    packet_id: int


@dataclass(frozen=True, slots=True)
class Suback:
    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pingresp:
    pass


Received = Connack | Publish | Ack | Suback | Pingresp


@dataclass(frozen=True, slots=True)
class Will:
    topic: str | bytes
    payload: bytes = b"gone"
    qos: int = 0
    retain: bool = False


PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
_ACKS = {Kind.PUBACK: 0, Kind.PUBREC: 0, Kind.PUBREL: 2, Kind.PUBCOMP: 0, Kind.UNSUBACK: 0}


def frame(first: int, body: bytes = b"") -> bytes:
    """A fixed header of the given first byte, the remaining length, and the body (2.2)."""
    length = len(body)
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((first,)) + bytes(encoded) + body


def string(text: str | bytes) -> bytes:
    """A length of two bytes and the text; bytes go out as they are, so that they need not be UTF-8 (1.5.3)."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(2, "big") + encoded


def connect(
    client_id: str | bytes,
    *,
    clean: bool = True,
    keepalive: int = 0,
    will: Will | None = None,
    user: str | bytes | None = None,
    password: bytes | None = None,
    protocol: str | bytes = "MQTT",
    level: int = 4,
    flags: int | None = None,
    more: bytes = b"",
) -> bytes:
    """A CONNECT; `flags` replaces the connect flags that the fields imply, `more` follows the payload."""
    implied = (2 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    payload = string(client_id)
    if will:
        implied |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
        payload += string(will.topic) + string(will.payload)
    payload += b"".join(string(field) for field in (user, password) if field is not None)
    given = implied if flags is None else flags
    return frame(0x10, string(protocol) + bytes((level, given)) + keepalive.to_bytes(2, "big") + payload + more)


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    packet_id: int | None = None,
    retain: bool = False,
    dup: bool = False,
) -> bytes:
    """A PUBLISH; it holds a packet identifier exactly where one is given."""
    identifier = b"" if packet_id is None else packet_id.to_bytes(2, "big")
    return frame(0x30 | dup << 3 | qos << 1 | retain, string(topic) + identifier + payload)


def ack(kind: Kind, packet_id: int, *, flags: int | None = None) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP; `flags` replaces the right ones."""
    return frame(kind << 4 | (_ACKS[kind] if flags is None else flags), packet_id.to_bytes(2, "big"))


def subscribe(packet_id: int, *filters: tuple[str | bytes, int], flags: int = 2) -> bytes:
    """A SUBSCRIBE to topic filters, each with its requested QoS byte."""
    payload = b"".join(string(topic_filter) + bytes((qos,)) for topic_filter, qos in filters)
    return frame(0x80 | flags, packet_id.to_bytes(2, "big") + payload)


def unsubscribe(packet_id: int, *filters: str | bytes, flags: int = 2) -> bytes:
    """An UNSUBSCRIBE from topic filters."""
    return frame(0xA0 | flags, packet_id.to_bytes(2, "big") + b"".join(map(string, filters)))


def parse(first: int, body: bytes) -> Received:
    """A packet that a server sent. Fails where the standard does not let a server send it."""
    kind, flags = Kind(first >> 4), first & 0x0F
    if kind is Kind.PUBLISH:
        return _parse_publish(flags, body)
    assert flags == _ACKS.get(kind, 0), f"[MQTT-2.2.2-1] {kind.name} with flags {flags:04b}"
    if kind is Kind.CONNACK:
        assert len(body) == 2, f"a CONNACK of {len(body)} bytes"
        assert body[0] in {0, 1}, "a CONNACK with reserved flags"
        return Connack(session_present=body[0] == 1, code=body[1])
    if kind in _ACKS:
        assert len(body) == 2, f"a {kind.name} of {len(body)} bytes"
        return Ack(kind, _identifier(body))
    if kind is Kind.SUBACK:
        codes = tuple(body[2:])
        assert set(codes) <= {0, 1, 2, 0x80}, f"[MQTT-3.9.3-2] SUBACK return codes {codes}"
        return Suback(_identifier(body), codes)
    assert kind is Kind.PINGRESP, f"a server must not send {kind.name}"
    assert not body, "a PINGRESP with a body"
    return Pingresp()


def _parse_publish(flags: int, body: bytes) -> Publish:
    qos, dup = flags >> 1 & 3, bool(flags & 8)
    assert qos < 3, "[MQTT-3.3.1-4] a PUBLISH with both QoS bits"
    assert qos or not dup, "[MQTT-3.3.1-2] a PUBLISH of QoS 0 with DUP"
    end = 2 + int.from_bytes(body[:2], "big")
    rest = body[end:]
    topic = body[2:end].decode()
    assert not set(topic) & {"#", "+", "\0"}, f"[MQTT-3.3.2-2] a PUBLISH to {topic!r}"
    packet_id = _identifier(rest) if qos else None
    return Publish(topic, rest[2:] if qos else rest, qos, bool(flags & 1), dup, packet_id)


def _identifier(body: bytes) -> int:
    packet_id = int.from_bytes(body[:2], "big")
    assert len(body) >= 2, "a packet that ends before its identifier"
    assert packet_id, "[MQTT-2.3.1-1] packet identifier 0"
    return packet_id
