"""Our parser beside amqtt's packets, and beside any way that a stream may be cut."""

from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, TypeVar

from amqtt.adapters import ReaderAdapter
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload, ConnectVariableHeader
from amqtt.mqtt.packet import MQTTPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from hypothesis import example, given
from hypothesis import strategies as st

from broker.protocol import packets
from broker.protocol.packets import (
    Connect,
    Packet,
    PacketType,
    ProtocolViolationError,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    split_packets,
)
from broker.protocol.reasons import FAILURE
from tests.fuzz.seeds import mqtt_packets

LIMIT = 1 << 20
Result = TypeVar("Result")
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.text(characters, max_size=30)
topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+#\0"), min_size=1, max_size=50)
levels = st.one_of(st.just("+"), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+#/\0")))
filters = st.builds(
    lambda parts, rest: "/".join(parts + rest),
    st.lists(levels, min_size=1, max_size=5).filter(lambda parts: parts != [""]),
    st.sampled_from([[], ["#"]]),
)
packet_ids = st.integers(1, 65_535)


class Buffer(ReaderAdapter):
    """What amqtt reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, count: int = -1) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def feed_eof(self) -> None:
        """Its end is known."""


def amqtt_reads(kind: type[MQTTPacket[Any, Any, Any]], data: bytes) -> Any:  # noqa: ANN401 - amqtt's are generic
    return finished(kind.from_stream(Buffer(data)))


def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of something that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


def one_packet(data: bytes) -> Packet:
    (packet,), rest = split_packets(data, LIMIT)
    assert not rest
    packets.check_flags(packet, packets.MQTT_3_1_1)
    return packet


class TestAnyCut:
    @given(
        order=st.lists(st.integers(0, 100), max_size=12),
        garbage=st.binary(max_size=10),
        cuts=st.lists(st.integers(0, 2000), max_size=8),
    )
    def test_valid_packets_are_the_same_whatever_the_pieces_they_arrive_in(
        self, order: list[int], garbage: bytes, cuts: list[int]
    ) -> None:
        seeds = mqtt_packets()
        sent = [seeds[index % len(seeds)] for index in order]
        stream = b"".join(sent) + garbage
        edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        found: list[Packet] = []
        rest = b""
        try:
            for start, end in pairwise(edges):
                more, rest = split_packets(rest + stream[start:end], LIMIT)
                found += more
        except ProtocolViolationError:
            assert garbage
            return
        joined = b"".join(packets.packet(*packet) for packet in found)
        assert joined[: len(stream) - len(garbage)] == b"".join(sent)

    @given(data=st.binary(min_size=2, max_size=5), more=st.binary(max_size=2000), limit=st.integers(2, 1000))
    def test_never_is_a_packet_or_a_part_of_one_over_the_limit_kept(self, data: bytes, more: bytes, limit: int) -> None:
        rest = b""
        try:
            for index in range(len(data + more)):
                found, rest = split_packets(rest + (data + more)[index : index + 1], limit)
                assert all(len(packets.packet(*packet)) <= limit for packet in found)
                assert len(rest) < max(limit, 5)
        except ProtocolViolationError:
            return


class TestWhatAmqttEncodes:
    @given(
        topic=topics,
        payload=st.binary(max_size=300),
        qos=st.integers(0, 2),
        packet_id=packet_ids,
        retain=st.booleans(),
        duplicate=st.booleans(),
    )
    def test_a_publish_is_read(
        self, topic: str, payload: bytes, qos: int, packet_id: int, *, retain: bool, duplicate: bool
    ) -> None:
        duplicate = duplicate and qos > 0
        data = PublishPacket.build(topic, payload, packet_id if qos else None, duplicate, qos, retain).to_bytes()
        expected = Publish(topic, packet_id if qos else 0, qos, duplicate, retain, payload)
        assert packets.parse_publish(one_packet(data)) == expected

    @given(
        client_id=words.filter(bool),
        clean=st.booleans(),
        keepalive=st.integers(0, 65_535),
        will=st.one_of(
            st.none(), st.builds(Will, topics, st.binary(min_size=1, max_size=99), st.integers(0, 2), st.booleans())
        ),
        user=st.one_of(st.none(), words.filter(bool)),
        password=st.one_of(st.none(), words.filter(bool)),
    )
    def test_a_connect_is_read(
        self, client_id: str, *, clean: bool, keepalive: int, will: Will | None, user: str | None, password: str | None
    ) -> None:
        header = ConnectVariableHeader(keep_alive=keepalive)
        header.clean_session_flag = clean
        payload = ConnectPayload(client_id)
        if will is not None:
            header.will_flag, header.will_qos, header.will_retain_flag = True, will.qos, will.retain
            payload.will_topic, payload.will_message = will.topic, will.payload
        if user is not None:
            header.username_flag, payload.username = True, user
            if password is not None:
                header.password_flag, payload.password = True, password
        data = bytes(ConnectPacket(variable_header=header, payload=payload).to_bytes())
        secret = password.encode() if password is not None and user is not None else None
        assert packets.parse_connect(one_packet(data)[1]) == Connect(4, client_id, clean, keepalive, will, user, secret)

    @given(st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1, max_size=8), packet_ids)
    @example([("+/a/#", 2), ("#", 0), ("/", 1)], 1)
    def test_a_subscribe_and_an_unsubscribe_are_read(self, wanted: list[tuple[str, int]], packet_id: int) -> None:
        data = SubscribePacket.build(wanted, packet_id).to_bytes()
        assert packets.parse_subscribe(one_packet(data)[1]) == Subscribe(packet_id, wanted)
        names = [topic_filter for topic_filter, _ in wanted]
        data = UnsubscribePacket.build(names, packet_id).to_bytes()
        assert packets.parse_unsubscribe(one_packet(data)[1]) == Unsubscribe(packet_id, names)

    @given(packet_ids)
    def test_acknowledgements_are_read_and_are_what_we_send(self, packet_id: int) -> None:
        for kind, packet_type in (
            (PubackPacket, PacketType.PUBACK),
            (PubrecPacket, PacketType.PUBREC),
            (PubrelPacket, PacketType.PUBREL),
            (PubcompPacket, PacketType.PUBCOMP),
        ):
            data = bytes(kind.build(packet_id).to_bytes())
            assert packets.parse_packet_id(packet_type.name, one_packet(data)[1]) == packet_id
            assert packets.acknowledgement(packet_type, packet_id) == data


class TestWhatAmqttReads:
    @given(
        topic=topics,
        payload=st.binary(max_size=300),
        qos=st.integers(0, 2),
        packet_id=packet_ids,
        retain=st.booleans(),
        duplicate=st.booleans(),
    )
    def test_a_publish_of_ours_is_what_we_meant(
        self, topic: str, payload: bytes, qos: int, packet_id: int, *, retain: bool, duplicate: bool
    ) -> None:
        data = packets.publish(topic, payload, qos=qos, packet_id=packet_id, duplicate=duplicate, retain=retain)
        read = amqtt_reads(PublishPacket, data)
        assert (read.topic_name, bytes(read.data or b""), read.qos) == (topic, payload, qos)
        assert (bool(read.retain_flag), bool(read.dup_flag)) == (retain, duplicate)
        assert read.packet_id == (packet_id if qos else None)

    @given(packet_ids, st.lists(st.sampled_from([0, 1, 2, FAILURE]), min_size=1, max_size=200))
    def test_a_suback_of_ours_is_what_we_meant(self, packet_id: int, codes: list[int]) -> None:
        read = amqtt_reads(SubackPacket, packets.suback(packet_id, codes))
        assert (read.variable_header.packet_id, read.payload.return_codes) == (packet_id, codes)
