"""MQTT 3.1.1 packets, made before the clock runs: while it does, nothing is left but to copy and to count bytes."""

import base64
import json
from dataclasses import dataclass
from functools import cached_property

PAYLOAD_BYTES = 240
PUBACK_BYTES = 4
CONNACK = b"\x20\x02\x00\x00"
"""Accepted, no session present."""
DISCONNECT = b"\xe0\x00"
KEEPALIVE_SECONDS = 600
"""Longer than any connection here lives; not none, for a broker that watches over a keepalive is to pay for it."""
_QOS_1, _CLEAN_SESSION = 2, 2
_CONTINUES = 0x80


@dataclass(frozen=True)
class Ring:
    """The same `cycle` QoS 1 PUBLISH packets again and again, with the packet ids 1 to `cycle`, all of one size.

    `cycle` is far above what may be unacknowledged, so that no id is used twice at a time.
    """

    topic: str
    cycle: int
    sender: int = 0
    """Of whom the payloads speak; makes those of two rings differ."""

    @cached_property
    def _payloads(self) -> list[bytes]:
        return [_payload(self.sender, number) for number in range(self.cycle)]

    @cached_property
    def packets(self) -> memoryview:
        """Two rounds in one piece, so that any window of up to one round can be cut out whole."""
        round_ = b"".join(
            self.packed(publish(self.topic, payload, packet_id=number + 1))
            for number, payload in enumerate(self._payloads)
        )
        return memoryview(round_ * 2)

    @cached_property
    def packet_bytes(self) -> int:
        """Bytes of each packet."""
        return len(self.packets) // (2 * self.cycle)

    def packed(self, packet: bytes) -> bytes:
        """What is sent for a packet: here the packet itself."""
        return packet

    def cut(self, first: int, count: int) -> memoryview:
        """`count` packets (up to `cycle`) from the one numbered `first`, which may be any number from 0."""
        start = first % self.cycle * self.packet_bytes
        return self.packets[start : start + count * self.packet_bytes]

    def acknowledgements(self, count: int) -> bytes:
        """The PUBACKs of the first `count` packets, in their order [MQTT-4.6.0-2]."""
        round_ = b"".join(b"\x40\x02" + (number + 1).to_bytes(2, "big") for number in range(self.cycle))
        return (round_ * (count // self.cycle + 1))[: count * PUBACK_BYTES]

    def deliveries(self) -> list[bytes]:
        """One round as a subscriber of QoS 0 gets it."""
        return [publish(self.topic, payload) for payload in self._payloads]


def publish(topic: str, payload: bytes, *, packet_id: int | None = None) -> bytes:
    """A PUBLISH of QoS 1, or of QoS 0 where there is no id."""
    if packet_id is None:
        return _packet(0x30, _text(topic) + payload)
    return _packet(0x30 | _QOS_1, _text(topic) + packet_id.to_bytes(2, "big") + payload)


def connect(client_id: str, *, clean_session: bool = True) -> bytes:
    """A CONNECT without user name."""
    variable = _text("MQTT") + bytes((4, _CLEAN_SESSION if clean_session else 0)) + KEEPALIVE_SECONDS.to_bytes(2, "big")
    return _packet(0x10, variable + _text(client_id))


def subscribe(topic_filter: str, *, qos: int = 0) -> bytes:
    """A SUBSCRIBE with packet id 1."""
    return _packet(0x82, b"\x00\x01" + _text(topic_filter) + bytes((qos,)))


def suback(*, qos: int = 0) -> bytes:
    """The answer to `subscribe` where it was granted."""
    return b"\x90\x03\x00\x01" + bytes((qos,))


def _payload(sender: int, number: int) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-8.5690123, 52.6777123]},
        "properties": {"device_id": f"car-{sender}-{number}", "timestamp": 1_772_366_400_000},
    }
    # Base64 makes four bytes of three.
    return base64.b64encode(json.dumps(feature).ljust(PAYLOAD_BYTES // 4 * 3).encode())


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(first_byte: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:
        rest, byte = divmod(rest, _CONTINUES)
        length.append(byte | _CONTINUES if rest else byte)
        if not rest:
            return bytes((first_byte, *length)) + body
