"""Each packet of MQTT 3.1.1; those that break it are in tests/mqtt/breaking.py, arbitrary bytes in tests/fuzz."""

import re
from collections.abc import Callable
from functools import partial

import pytest

from broker.protocol.packets import (
    Connect,
    PacketType,
    ProtocolViolationError,
    Publish,
    RefusedConnectError,
    Subscribe,
    Unsubscribe,
    Will,
    acknowledgement,
    check_flags,
    connack,
    packet,
    parse_connect,
    parse_empty,
    parse_packet_id,
    parse_publish,
    parse_subscribe,
    parse_unsubscribe,
    publish,
    split_packets,
    suback,
    topic_name,
)
from broker.protocol.reasons import ConnectCode
from tests.mqtt.breaking import BREAKING, Breaking

FAILURE = 128

LIMIT = 1 << 20
CONNECT = b"\0\4MQTT\4\2\0\x3c"
"""A CONNECT of MQTT 3.1.1 as far as its keepalive: clean session, 60 seconds."""


def connect_with(flags: int, payload: bytes = b"\0\1c") -> bytes:
    return b"\0\4MQTT\4" + bytes((flags,)) + b"\0\x3c" + payload


class TestSplitting:
    def test_all_complete_packets_come_out_and_the_rest_stays(self) -> None:
        data = b"\xc0\0" + b"\x30\5\0\1abc" + b"\x32\x0a\0"
        assert split_packets(data, LIMIT) == ([(0xC0, b""), (0x30, b"\0\1abc")], b"\x32\x0a\0")

    @pytest.mark.parametrize("rest", [b"", b"\x30", b"\x30\x80", b"\x30\xff\xff", b"\x30\x05\0\1ab"])
    def test_what_is_not_complete_waits(self, rest: bytes) -> None:
        assert split_packets(rest, LIMIT) == ([], rest)

    @pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000])
    def test_a_length_of_one_to_three_bytes_is_understood(self, size: int) -> None:
        assert split_packets(packet(0x30, b"x" * size), LIMIT) == ([(0x30, b"x" * size)], b"")

    def test_a_length_of_four_bytes_is_understood(self) -> None:
        assert split_packets(b"\x30\x81\x80\x80\0x", LIMIT) == ([(0x30, b"x")], b"")
        whole = packet(0x30, b"x" * 2_097_152)
        assert whole[:5] == b"\x30\x80\x80\x80\1"
        assert split_packets(whole, 1 << 22) == ([(0x30, whole[5:])], b"")

    @pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\x7f", b"\x30\x63", b"\xc0\0\x30\x63\0\1a"])
    def test_a_packet_over_the_limit_is_refused_before_it_has_arrived(self, data: bytes) -> None:
        with pytest.raises(ProtocolViolationError, match="over the limit of 100"):
            split_packets(data, 100)

    def test_a_packet_of_just_the_limit_is_not(self) -> None:
        assert split_packets(packet(0x30, b"x" * 98), 100)[0] == [(0x30, b"x" * 98)]


class TestFlags:
    @pytest.mark.parametrize("packet_type", [each for each in PacketType if each is not PacketType.PUBLISH])
    def test_each_type_has_flags_of_its_own_and_no_others(self, packet_type: PacketType) -> None:
        right = 2 if packet_type in {PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE} else 0
        for flags in range(16):
            first_byte = packet_type << 4 | flags
            if flags == right:
                assert check_flags((first_byte, b""), 4) is packet_type
            else:
                with pytest.raises(ProtocolViolationError, match=r"MQTT-2\.2\.2-2"):
                    check_flags((first_byte, b""), 4)

    def test_a_request_of_mqtt_3_1_may_be_a_second_attempt(self) -> None:
        assert check_flags((0x8A, b""), 3) is PacketType.SUBSCRIBE
        assert check_flags((0x6A, b""), 3) is PacketType.PUBREL
        with pytest.raises(ProtocolViolationError):
            check_flags((0xC8, b""), 3)

    def test_those_of_a_publish_are_read_with_it(self) -> None:
        assert check_flags((0x3F, b""), 4) is PacketType.PUBLISH


class TestPublish:
    @pytest.mark.parametrize(
        ("first_byte", "body", "expected"),
        [
            (0x30, b"\0\1a", Publish("a", 0, 0, duplicate=False, retain=False, payload=b"")),
            (0x31, b"\0\3a/bxyz", Publish("a/b", 0, 0, duplicate=False, retain=True, payload=b"xyz")),
            (0x3A, b"\0\1a\1\2xyz", Publish("a", 0x102, 1, duplicate=True, retain=False, payload=b"xyz")),
            (0x34, b"\0\1a\xff\xff", Publish("a", 65_535, 2, duplicate=False, retain=False, payload=b"")),
            (0x30, b"\0\3\xef\xbb\xbf", Publish("\ufeff", 0, 0, duplicate=False, retain=False, payload=b"")),
        ],
    )
    def test_it_is_read(self, first_byte: int, body: bytes, expected: Publish) -> None:
        assert parse_publish((first_byte, body)) == expected


class TestConnect:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (CONNECT + b"\0\1c", Connect(4, "c", clean=True, keepalive=60, will=None, user=None, password=None)),
            (
                b"\0\6MQIsdp\3\0\0\0\0\1c",
                Connect(3, "c", clean=False, keepalive=0, will=None, user=None, password=None),
            ),
            # A bridge says so with the upper bit of the level.
            (b"\0\4MQTT\x84\2\0\0\0\1c", Connect(4, "c", clean=True, keepalive=0, will=None, user=None, password=None)),
            (
                connect_with(0xF6, b"\0\0" + b"\0\1w\0\2xy" + b"\0\1u" + b"\0\3\0\xff1"),
                Connect(
                    4,
                    "",
                    clean=True,
                    keepalive=60,
                    will=Will("w", b"xy", 2, retain=True),
                    user="u",
                    password=b"\0\xff1",
                ),
            ),
            (
                connect_with(0x86, b"\0\1c\0\1w\0\0\0\0"),
                Connect(4, "c", clean=True, keepalive=60, will=Will("w", b"", 0, retain=False), user="", password=None),
            ),
        ],
    )
    def test_it_is_read(self, body: bytes, expected: Connect) -> None:
        assert parse_connect(body) == expected

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"\0\4MQTT\5\2\0\0\0\0\1c", ConnectCode.BAD_PROTOCOL),
            (b"\0\4MQTT\3\2\0\0\0\1c", ConnectCode.BAD_PROTOCOL),
            (b"\0\6MQIsdp\4\2\0\0\0\1c", ConnectCode.BAD_PROTOCOL),
            (connect_with(0x00, b"\0\0"), ConnectCode.BAD_CLIENT_ID),
            (b"\0\6MQIsdp\3\2\0\0\0\0", ConnectCode.BAD_CLIENT_ID),
        ],
    )
    def test_one_that_the_standard_has_an_answer_for_gets_it(self, body: bytes, code: ConnectCode) -> None:
        with pytest.raises(RefusedConnectError) as raised:
            parse_connect(body)
        assert raised.value.code is code


class TestSubscriptions:
    def test_a_subscribe_has_filters_each_with_its_qos(self) -> None:
        assert parse_subscribe(b"\1\2\0\3a/+\1\0\1#\2") == Subscribe(0x102, [("a/+", 1), ("#", 2)])

    def test_an_unsubscribe_has_filters(self) -> None:
        assert parse_unsubscribe(b"\0\1\0\3a/+\0\1#") == Unsubscribe(1, ["a/+", "#"])


class TestAcknowledgements:
    def test_they_hold_a_packet_identifier_and_nothing_else(self) -> None:
        assert parse_packet_id("PUBACK", b"\x12\x34") == 0x1234

    def test_a_packet_without_a_body_has_none(self) -> None:
        parse_empty("PINGREQ", b"")


PARSERS: dict[PacketType, Callable[[bytes], object]] = {
    PacketType.CONNECT: parse_connect,
    PacketType.SUBSCRIBE: parse_subscribe,
    PacketType.UNSUBSCRIBE: parse_unsubscribe,
    PacketType.PINGREQ: partial(parse_empty, "PINGREQ"),
    PacketType.DISCONNECT: partial(parse_empty, "DISCONNECT"),
}


def read(data: bytes) -> None:
    """Read one packet as a connection does."""
    ((first_byte, body),), rest = split_packets(data, LIMIT)
    assert not rest
    packet_type = check_flags((first_byte, body), 4)
    if packet_type is PacketType.PUBLISH:
        parse_publish((first_byte, body))
    else:
        PARSERS.get(packet_type, partial(parse_packet_id, packet_type.name))(body)


@pytest.mark.parametrize("breaking", [pytest.param(each, id=each.id) for each in BREAKING if each.parser])
def test_a_packet_that_breaks_the_standard_is_refused_with_what_is_wrong(breaking: Breaking) -> None:
    with pytest.raises(ProtocolViolationError, match=re.escape(breaking.parser or "")) as raised:
        read(breaking.packet)
    assert not isinstance(raised.value, RefusedConnectError)


class TestWhatTheServerSends:
    def test_acknowledgements_have_their_types_flags(self) -> None:
        assert acknowledgement(PacketType.PUBACK, 0x1234) == b"\x40\x02\x12\x34"
        assert acknowledgement(PacketType.PUBREL, 1) == b"\x62\x02\0\1"
        assert acknowledgement(PacketType.UNSUBACK, 65_535) == b"\xb0\x02\xff\xff"

    def test_a_connack_says_whether_there_was_a_session(self) -> None:
        assert connack(ConnectCode.ACCEPTED, session_present=True) == b"\x20\x02\1\0"
        assert connack(ConnectCode.NOT_AUTHORIZED) == b"\x20\x02\0\5"

    def test_a_suback_has_a_code_for_each_filter(self) -> None:
        assert suback(7, [0, 1, 2, FAILURE]) == b"\x90\x06\0\7\0\1\2\x80"

    def test_a_publish_has_a_packet_identifier_above_qos_0(self) -> None:
        assert publish("a", b"x") == b"\x30\4\0\1ax"
        assert publish("a", b"x", qos=0, packet_id=9) == b"\x30\4\0\1ax"
        assert publish("é", b"x", qos=2, packet_id=9, duplicate=True, retain=True) == b"\x3d\7\0\2\xc3\xa9\0\x09x"

    def test_a_topic_name_is_text_without_wildcards(self) -> None:
        assert topic_name("bus/linie 7/größe".encode()) == "bus/linie 7/größe"
        assert topic_name(b"/") == "/"
