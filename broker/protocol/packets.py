"""The control packets of MQTT 3.1.1 and 3.1: a strict parser without I/O, and what a server sends.

Clauses are those of the OASIS standard MQTT Version 3.1.1. Everything here is as hostile as the network, so whatever is
not exactly as the standard has it raises ProtocolViolationError.
"""

from enum import IntEnum
from typing import NamedTuple

from broker.protocol.reasons import ConnectCode, Refusal
from broker.protocol.topics import filter_problem

MAX_LENGTH_BYTES = 4
MAX_PACKET_ID = 65_535
MQTT_3_1 = 3
MQTT_3_1_1 = 4
_NAMES = {"MQIsdp": MQTT_3_1, "MQTT": MQTT_3_1_1}
_HIGHEST_QOS = 2


class PacketType(IntEnum):
    """The type in the upper four bits of a packet's first byte (2.2.1)."""

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


_FLAGS = {PacketType.PUBREL: 2, PacketType.SUBSCRIBE: 2, PacketType.UNSUBSCRIBE: 2}
"""The lower four bits of the first byte where they are not 0 [MQTT-2.2.2-2]; PUBLISH has a use for them."""


class ProtocolViolationError(Exception):
    """The client broke the protocol or a limit: its connection ends [MQTT-4.8.0-1]."""


class RefusedConnectError(ProtocolViolationError):
    """A CONNECT that is answered with a return code before its connection ends."""

    def __init__(
        self, code: ConnectCode, detail: str, *, reason: Refusal = Refusal.REFUSED_CONNECT, user: str = ""
    ) -> None:
        """`reason` is what it is counted by; `user` who it wanted to be, as far as that may be said."""
        super().__init__(detail)
        self.user = user
        self.code = code
        self.reason = reason


Packet = tuple[int, bytes]
"""The first byte of a packet, and what follows its remaining length. A plain tuple, for there are very many."""


class Publish(NamedTuple):
    """A PUBLISH packet."""

    topic: str
    packet_id: int
    """1 to 65535; 0 at QoS 0."""
    qos: int
    duplicate: bool
    retain: bool
    payload: bytes


class Will(NamedTuple):
    """What is to be published when the connection ends without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """A CONNECT packet."""

    level: int
    """3 for MQTT 3.1, 4 for 3.1.1."""
    client_id: str
    """Empty where the server is to choose one."""
    clean: bool
    keepalive: int
    """Seconds; 0 for none."""
    will: Will | None
    user: str | None
    password: bytes | None


class Subscribe(NamedTuple):
    """A SUBSCRIBE packet."""

    packet_id: int
    filters: list[tuple[str, int]]
    """Topic filters, and the QoS that is asked for."""


class Unsubscribe(NamedTuple):
    """An UNSUBSCRIBE packet."""

    packet_id: int
    filters: list[str]


def split_packets(data: bytes, max_packet: int) -> tuple[list[Packet], bytes]:
    """All complete packets of `data` from its beginning on, and the rest.

    Raises ProtocolViolationError for a malformed length, and for a packet of more than `max_packet` bytes as soon as
    its length is known, so that it is never buffered.
    """
    packets: list[Packet] = []
    position = 0
    size = len(data)
    while position + 1 < size:
        length = data[position + 1]
        start = position + 2
        if length >= 0x80:  # noqa: PLR2004 - the continuation bit
            if start < size and data[start] < 0x80:  # noqa: PLR2004
                # Two bytes: what a position has, and so the commonest.
                length = length & 0x7F | data[start] << 7
                start += 1
            else:
                header = _remaining_length(data, position + 1)
                if header is None:
                    break
                start, length = header
        if start + length - position > max_packet:
            raise ProtocolViolationError(f"a packet of {length} bytes is over the limit of {max_packet}")
        if start + length > size:
            break
        packets.append((data[position], data[start : start + length]))
        position = start + length
    return packets, data[position:]


def first_size(data: bytes | bytearray) -> int:
    """The bytes of the packet that `data` begins with; 0 while its length is not complete.

    Raises ProtocolViolationError.
    """
    header = _remaining_length(data, 1)
    return sum(header) if header else 0


def _remaining_length(data: bytes | bytearray, position: int) -> tuple[int, int] | None:
    """Where the body starts, and its length; None while the length is not complete (2.2.3)."""
    value = 0
    for index in range(MAX_LENGTH_BYTES):
        if position + index >= len(data):
            return None
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return position + index + 1, value
    raise ProtocolViolationError("a remaining length of more than four bytes")


def check_flags(packet: Packet, level: int) -> PacketType:
    """The type of a packet that a client of a protocol level has sent.

    Raises ProtocolViolationError for a reserved type, and for flags that it may not have.
    """
    first_byte = packet[0]
    try:
        packet_type = PacketType(first_byte >> 4)
    except ValueError as error:
        raise ProtocolViolationError(f"a packet of the reserved type {first_byte >> 4}") from error
    flags, allowed = first_byte & 0x0F, _FLAGS.get(packet_type, 0)
    if level == MQTT_3_1 and allowed:
        # In MQTT 3.1, DUP is a flag of every request, and a second attempt has it.
        flags &= ~8
    if packet_type is not PacketType.PUBLISH and flags != allowed:
        raise ProtocolViolationError(f"[MQTT-2.2.2-2] a {packet_type.name} with reserved flags {first_byte & 0x0F:#x}")
    return packet_type


class _Body:
    """Reads the fields of a packet's body in turn."""

    __slots__ = ("_data", "_name", "_position")

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise ProtocolViolationError(f"a {self._name} that ends within a field")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.number()
        if packet_id == 0:
            raise ProtocolViolationError(f"[MQTT-2.3.1-1] a {self._name} with packet identifier 0")
        return packet_id

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return _text(self.binary(), self._name)

    def end(self) -> None:
        if not self.is_at_end:
            raise ProtocolViolationError(f"a {self._name} with {len(self._data) - self._position} bytes too many")

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._data)


def _text(encoded: bytes, where: str) -> str:
    try:
        text = encoded.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolationError(f"[MQTT-1.5.3-1] a {where} with a string that is not UTF-8") from error
    if "\0" in text:
        raise ProtocolViolationError(f"[MQTT-1.5.3-2] a {where} with a null character")
    return text


def topic_name(encoded: bytes) -> str:
    """A topic name. Raises ProtocolViolationError for one that may not be published to."""
    topic = _text(encoded, "topic name")
    if not topic:
        raise ProtocolViolationError("[MQTT-4.7.3-1] an empty topic name")
    if "#" in topic or "+" in topic:
        raise ProtocolViolationError("[MQTT-3.3.2-2] a topic name with a wildcard")
    return topic


def parse_publish(packet: Packet) -> Publish:
    """The PUBLISH in a packet of that type. Raises ProtocolViolationError where it is malformed."""
    first_byte, body = packet
    topic, packet_id, payload = publish_fields(first_byte, body)
    qos = (first_byte >> 1) & 3
    return Publish(topic_name(topic), packet_id, qos, bool(first_byte & 8), bool(first_byte & 1), payload)


def publish_fields(first_byte: int, body: bytes) -> tuple[bytes, int, bytes]:
    """Topic name as it came, packet identifier (0 at QoS 0) and payload of a PUBLISH: all that costs for each of them.

    Raises ProtocolViolationError where it is malformed; whether the topic name is one is left to `topic_name`.
    """
    qos = first_byte & 6
    if len(body) < 2:  # noqa: PLR2004 - the length of the topic's length
        raise ProtocolViolationError("a PUBLISH that ends within its header")
    topic_end = 2 + (body[0] << 8 | body[1])
    if not qos:
        if first_byte & 8:
            raise ProtocolViolationError("[MQTT-3.3.1-2] a PUBLISH of QoS 0 with the DUP flag")
        if len(body) < topic_end:
            raise ProtocolViolationError("a PUBLISH that ends within its header")
        return body[2:topic_end], 0, body[topic_end:]
    if qos == 6:  # noqa: PLR2004 - both bits
        raise ProtocolViolationError("[MQTT-3.3.1-4] a PUBLISH with both QoS bits set")
    start = topic_end + 2
    if len(body) < start:
        raise ProtocolViolationError("a PUBLISH that ends within its header")
    packet_id = body[topic_end] << 8 | body[topic_end + 1]
    if not packet_id:
        raise ProtocolViolationError("[MQTT-2.3.1-1] a PUBLISH with packet identifier 0")
    return body[2:topic_end], packet_id, body[start:]


def parse_connect(body: bytes) -> Connect:
    """The CONNECT in a packet of that type.

    Raises Refused where the standard has an answer for it, ProtocolViolationError where the connection just ends.
    """
    fields = _Body("CONNECT", body)
    name, level = fields.text(), fields.byte()
    if name not in _NAMES:
        raise ProtocolViolationError(f"[MQTT-3.1.2-1] a CONNECT for the protocol {name[:16]!r}")
    if level & 0x7F != _NAMES[name]:
        raise RefusedConnectError(ConnectCode.BAD_PROTOCOL, f"[MQTT-3.1.2-2] a CONNECT for level {level} of {name}")
    flags = fields.byte()
    if flags & 1:
        raise ProtocolViolationError("[MQTT-3.1.2-3] a CONNECT with its reserved flag set")
    clean, has_will, has_password, has_user = (bool(flags & bit) for bit in (0x02, 0x04, 0x40, 0x80))
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if not has_will and (qos or retain):
        raise ProtocolViolationError("[MQTT-3.1.2-11] a CONNECT with flags of a will, and no will")
    if qos > _HIGHEST_QOS:
        raise ProtocolViolationError("[MQTT-3.1.2-14] a will with both QoS bits set")
    if has_password and not has_user:
        raise ProtocolViolationError("[MQTT-3.1.2-22] a CONNECT with a password, and no user name")
    keepalive = fields.number()
    client_id = fields.text()
    will = Will(topic_name(fields.binary()), fields.binary(), qos, retain) if has_will else None
    user = fields.text() if has_user else None
    password = fields.binary() if has_password else None
    fields.end()
    if not client_id and not clean:
        raise RefusedConnectError(
            ConnectCode.BAD_CLIENT_ID, "[MQTT-3.1.3-8] a session to be kept, without a client identifier"
        )
    if not client_id and level & 0x7F == MQTT_3_1:
        raise RefusedConnectError(ConnectCode.BAD_CLIENT_ID, "MQTT 3.1 has no empty client identifiers")
    return Connect(level & 0x7F, client_id, clean, keepalive, will, user, password)


def parse_subscribe(body: bytes) -> Subscribe:
    """The SUBSCRIBE in a packet of that type. Raises ProtocolViolationError where it is malformed."""
    fields = _Body("SUBSCRIBE", body)
    packet_id = fields.packet_id()
    filters: list[tuple[str, int]] = []
    while not fields.is_at_end or not filters:
        topic_filter, qos = _filter(fields), fields.byte()
        if qos > _HIGHEST_QOS:
            raise ProtocolViolationError(f"[MQTT-3.8.3-4] a SUBSCRIBE with the requested QoS {qos}")
        filters.append((topic_filter, qos))
    return Subscribe(packet_id, filters)


def parse_unsubscribe(body: bytes) -> Unsubscribe:
    """The UNSUBSCRIBE in a packet of that type. Raises ProtocolViolationError where it is malformed."""
    fields = _Body("UNSUBSCRIBE", body)
    packet_id = fields.packet_id()
    filters: list[str] = []
    while not fields.is_at_end or not filters:
        filters.append(_filter(fields))
    return Unsubscribe(packet_id, filters)


def _filter(fields: _Body) -> str:
    topic_filter = fields.text()
    if problem := filter_problem(topic_filter):
        raise ProtocolViolationError(problem)
    return topic_filter


def parse_packet_id(name: str, body: bytes) -> int:
    """The packet identifier of a packet that holds nothing else.

    Raises ProtocolViolationError where it is malformed.
    """
    fields = _Body(name, body)
    packet_id = fields.packet_id()
    fields.end()
    return packet_id


def parse_empty(name: str, body: bytes) -> None:
    """Raises ProtocolViolationError for a packet that should have no body, and has."""
    _Body(name, body).end()


def connack(code: ConnectCode, *, session_present: bool = False) -> bytes:
    """A CONNACK."""
    return bytes((PacketType.CONNACK << 4, 2, session_present, code))


def acknowledgement(packet_type: PacketType, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    return bytes((packet_type << 4 | _FLAGS.get(packet_type, 0), 2, packet_id >> 8, packet_id & 0xFF))


def suback(packet_id: int, codes: list[int]) -> bytes:
    """A SUBACK: a granted QoS or FAILURE for each filter."""
    return packet(PacketType.SUBACK << 4, packet_id.to_bytes(2, "big") + bytes(codes))


def publish(  # a packet has that many fields
    topic: str, payload: bytes, *, qos: int = 0, packet_id: int = 0, duplicate: bool = False, retain: bool = False
) -> bytes:
    """A PUBLISH; `packet_id` counts at QoS 1 and 2 only."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    if qos:
        body += packet_id.to_bytes(2, "big")
    return packet(PacketType.PUBLISH << 4 | duplicate << 3 | qos << 1 | retain, body + payload)


PINGRESP = bytes((PacketType.PINGRESP << 4, 0))


def packet(first_byte: int, body: bytes) -> bytes:
    """Any packet, of its first byte and what follows its remaining length."""
    length = len(body)
    header = bytearray((first_byte,))
    while length >= 0x80:  # noqa: PLR2004 - the continuation bit
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + body
