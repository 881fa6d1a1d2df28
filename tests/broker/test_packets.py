from itertools import pairwise

import pytest
from amqtt.mqtt.publish import PublishPacket
from hypothesis import given
from hypothesis import strategies as st

from broker.packets import Packet, ProtocolViolation, acknowledgement, parse_publish, split_packets

LIMIT = 1 << 20
topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+#\0"), min_size=1, max_size=50)


def encoded(topic: str, payload: bytes, qos: int, packet_id: int | None, *, retain: bool = False) -> bytes:
    """amqtt's own codec is the reference."""
    return PublishPacket.build(topic, payload, packet_id, False, qos, retain).to_bytes()  # noqa: FBT003


@given(
    publishes=st.lists(
        st.tuples(topics, st.binary(max_size=300), st.integers(0, 2), st.integers(1, 65535), st.booleans()), max_size=8
    ),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
)
def test_whatever_the_pieces_a_stream_arrives_in_its_packets_are_the_same(
    publishes: list[tuple[str, bytes, int, int, bool]], cuts: list[int]
) -> None:
    stream = b"".join(
        encoded(topic, payload, qos, packet_id if qos else None, retain=retain)
        for topic, payload, qos, packet_id, retain in publishes
    )
    buffer = bytearray()
    packets: list[Packet] = []
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in pairwise(edges):
        buffer += stream[start:end]
        packets += split_packets(buffer, LIMIT)
    assert not buffer
    parsed = [parse_publish(packet) for packet in packets]
    assert [(p.topic, p.payload, p.qos, p.packet_id, p.retain) for p in parsed] == [
        (topic, payload, qos, packet_id if qos else None, retain)
        for topic, payload, qos, packet_id, retain in publishes
    ]


@given(st.binary(max_size=10_000))
def test_garbage_is_refused_or_understood_and_never_anything_else(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        for packet in split_packets(buffer, LIMIT):
            parse_publish(packet)
    except ProtocolViolation:
        return
    assert len(buffer) <= len(data)


def test_a_packet_over_the_limit_is_refused_before_it_has_arrived() -> None:
    with pytest.raises(ProtocolViolation, match="over the limit"):
        split_packets(bytearray(b"\x30\xff\xff\xff\x7f"), LIMIT)


@pytest.mark.parametrize(
    ("packet", "clause"),
    [
        (Packet(0x36, b"\0\1a\0\1"), "MQTT-3.3.1-4"),
        (Packet(0x38, b"\0\1a"), "MQTT-3.3.1-2"),
        (Packet(0x32, b"\0\1a\0\0"), "MQTT-2.3.1-1"),
        (Packet(0x30, b"\0\1\xff"), "MQTT-1.5.3-1"),
        (Packet(0x30, b"\0\0"), "MQTT-4.7.3-1"),
        (Packet(0x30, b"\0\1\0"), "MQTT-1.5.3-2"),
        (Packet(0x30, b"\0\1#"), "MQTT-3.3.2-2"),
        (Packet(0x30, b"\0\5a"), "ends within its header"),
        (Packet(0x30, b"\0"), "ends within its header"),
        (Packet(0x32, b"\0\1a\0"), "ends within its header"),
    ],
)
def test_a_malformed_publish_is_refused_with_the_clause_that_it_breaks(packet: Packet, clause: str) -> None:
    with pytest.raises(ProtocolViolation, match=clause):
        parse_publish(packet)


def test_a_remaining_length_has_four_bytes_at_the_most() -> None:
    with pytest.raises(ProtocolViolation, match="more than four bytes"):
        split_packets(bytearray(b"\x30\xff\xff\xff\xff\x01"), LIMIT)


def test_an_acknowledgement_names_its_packet() -> None:
    assert acknowledgement(0x40, 0x1234) == b"\x40\x02\x12\x34"
