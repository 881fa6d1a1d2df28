"""MQTT 3.1.1 framing and the PUBLISH packet, parsed in batches from what a socket gave.

Clauses are those of the OASIS standard MQTT Version 3.1.1.
"""

from dataclasses import dataclass

PUBLISH = 3
PUBREL = 6
_MAX_LENGTH_BYTES = 4


class ProtocolViolation(Exception):  # noqa: N818 - the standard's own word
    """The client broke the protocol or a limit: its connection ends [MQTT-4.8.0-1]."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet, split into its fixed header's first byte and what follows the remaining length."""

    first_byte: int
    body: bytes

    @property
    def packet_type(self) -> int:
        """The control packet type, 1 to 14."""
        return self.first_byte >> 4

    @property
    def flags(self) -> int:
        """The four flag bits."""
        return self.first_byte & 0x0F


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH packet."""

    topic: str
    packet_id: int | None
    """1 to 65535, None at QoS 0."""
    qos: int
    duplicate: bool
    retain: bool
    payload: bytes


def split_packets(buffer: bytearray, max_packet: int) -> list[Packet]:
    """Take all complete packets off the front of `buffer`, and leave the rest there.

    Raises ProtocolViolation for a malformed length, and for a packet of more than `max_packet` bytes as soon as its
    length is known, so that it is never buffered.
    """
    packets = []
    position = 0
    size = len(buffer)
    while position < size:
        header = _remaining_length(buffer, position + 1)
        if header is None:
            break
        start, length = header
        if start + length - position > max_packet:
            raise ProtocolViolation(f"a packet of {length} bytes is over the limit of {max_packet}")
        if start + length > size:
            break
        packets.append(Packet(buffer[position], bytes(buffer[start : start + length])))
        position = start + length
    del buffer[:position]
    return packets


def _remaining_length(buffer: bytearray, position: int) -> tuple[int, int] | None:
    """Where the body starts, and its length; None while the length is not complete (2.2.3)."""
    value = 0
    for index in range(_MAX_LENGTH_BYTES):
        if position + index >= len(buffer):
            return None
        byte = buffer[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return position + index + 1, value
    raise ProtocolViolation("a remaining length of more than four bytes")


def parse_publish(packet: Packet) -> Publish:
    """The PUBLISH in a packet of that type. Raises ProtocolViolation where it is malformed."""
    qos = (packet.flags >> 1) & 3
    duplicate = bool(packet.flags & 8)
    if qos == 3:  # noqa: PLR2004
        raise ProtocolViolation("[MQTT-3.3.1-4] a PUBLISH with both QoS bits set")
    if duplicate and qos == 0:
        raise ProtocolViolation("[MQTT-3.3.1-2] a PUBLISH of QoS 0 with the DUP flag")
    body = packet.body
    topic_end = 2 + int.from_bytes(body[:2], "big")
    payload_start = topic_end + (2 if qos else 0)
    if len(body) < payload_start or len(body) < 2:  # noqa: PLR2004 - the length of the topic's length
        raise ProtocolViolation("a PUBLISH that ends within its header")
    packet_id = int.from_bytes(body[topic_end:payload_start], "big") if qos else None
    if packet_id == 0:
        raise ProtocolViolation("[MQTT-2.3.1-1] a PUBLISH with packet identifier 0")
    return Publish(
        topic=_topic_name(body[2:topic_end]),
        packet_id=packet_id,
        qos=qos,
        duplicate=duplicate,
        retain=bool(packet.flags & 1),
        payload=body[payload_start:],
    )


def _topic_name(encoded: bytes) -> str:
    try:
        topic = encoded.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation("[MQTT-1.5.3-1] a topic name that is not UTF-8") from error
    if not topic:
        raise ProtocolViolation("[MQTT-4.7.3-1] an empty topic name")
    if "\0" in topic:
        raise ProtocolViolation("[MQTT-1.5.3-2] a topic name with a null character")
    if "#" in topic or "+" in topic:
        raise ProtocolViolation("[MQTT-3.3.2-2] a topic name with a wildcard")
    return topic


def acknowledgement(first_byte: int, packet_id: int) -> bytes:
    """A PUBACK (0x40), PUBREC (0x50) or PUBCOMP (0x70)."""
    return bytes((first_byte, 2)) + packet_id.to_bytes(2, "big")
