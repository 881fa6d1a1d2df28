"""Packets that break the standard, and so end their connection, each once.

test_breaking.py sends them to nodes, tests/broker/test_packets.py to the parser, tests/fuzz starts from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.mqtt.wire import (
    DISCONNECT,
    PINGREQ,
    Kind,
    Will,
    ack,
    connect,
    frame,
    publish,
    string,
    subscribe,
    unsubscribe,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaking:
    """One of them."""

    id: str
    packet: bytes
    clauses: tuple[str, ...]
    """Statements of the standard that it breaks, as clauses.SERVER numbers them."""
    parser: str | None
    """What our parser says of it, a part of the text; None where it takes more than the packet to see what is wrong."""
    first: bool = False
    """Whether it is the first packet of its connection; others follow a CONNECT that was accepted."""
    lenient: bool = False
    """Mosquitto 2.0.11 ignores it, or waits for more."""
    may_be_answered: bool = False
    """Whether a CONNACK with return code 1 may come before the end (3.1.2-1)."""


ENDS, MORE, TOO_LONG, FLAGS = "ends within a field", "bytes too many", "more than four bytes", "MQTT-2.2.2-2"
HEADER = "ends within its header"
FILTER = string("t") + b"\x00"
WHOLE = string("MQTT") + b"\x04\x02\x00\x00" + string("malformed")
WITH_WILL = connect("malformed", will=Will("t", b"gone"))[2:]
ILL_FORMED = {
    "no-utf-8-byte": b"a\xff",
    "ends-within-a-character": b"\xc3",
    "continuation-first": b"\x80a",
    "overlong-two-bytes": b"\xc0\xaf",
    "overlong-three-bytes": b"\xe0\x80\xaf",
    "first-surrogate": b"a\xed\xa0\x80",
    "last-surrogate": b"a\xed\xbf\xbf",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "null": b"a\x00b",
    "overlong-null": b"\xc0\x80",
}
INVALID_FILTERS = {
    "": "4.7.3-1",
    **dict.fromkeys(("a#", "#a", "a/#/b", "##", "a/b#", "#/", "#/a", "/#/", "a/##", "#+", "+#"), "4.7.1-2"),
    **dict.fromkeys(("a+", "+a", "a/+b", "++", "a/b+/c", "a+/#"), "4.7.1-3"),
}


def _headers() -> Iterator[Breaking]:
    """Fixed headers (2.2)."""
    for first in (0x00, 0xF0):
        for is_first in (False, True):
            name = f"reserved-type-{first >> 4}{'-first' if is_first else ''}"
            yield Breaking(id=name, packet=frame(first), clauses=("4.8.0-1",), parser="reserved type", first=is_first)
    yield Breaking(id="reserved-type-15-flags", packet=frame(0xFF), clauses=("4.8.0-1",), parser="reserved type")
    for name, packet, lenient in (
        ("connack", b"\x20\x02\x00\x00", False),
        ("suback", b"\x90\x03\x00\x01\x00", True),
        ("unsuback", b"\xb0\x02\x00\x01", True),
        ("pingresp", b"\xd0\x00", True),
    ):
        yield Breaking(
            id=f"only-a-server-sends-{name}", packet=packet, clauses=("4.8.0-1",), parser=None, lenient=lenient
        )
    for name, first, body, clauses, right, lenient in (
        ("puback", 0x40, b"\x00\x01", (), 0, True),
        ("pubrec", 0x50, b"\x00\x01", (), 0, True),
        ("pubrel", 0x60, b"\x00\x01", ("3.6.1-1",), 2, False),
        ("pubcomp", 0x70, b"\x00\x01", (), 0, True),
        ("subscribe", 0x80, b"\x00\x01" + FILTER, ("3.8.1-1",), 2, False),
        ("unsubscribe", 0xA0, b"\x00\x01" + string("t"), ("3.10.1-1",), 2, False),
        ("pingreq", 0xC0, b"", (), 0, True),
        ("disconnect", 0xE0, b"", ("3.14.1-1",), 0, False),
    ):
        for flags in range(16):
            if flags != right:
                yield Breaking(
                    id=f"{name}-flags-{flags}",
                    packet=frame(first | flags, body),
                    clauses=("2.2.2-2", *clauses),
                    parser=FLAGS,
                    lenient=lenient,
                )
    for flags in range(1, 16):
        yield Breaking(
            id=f"connect-flags-{flags}",
            packet=frame(0x10 | flags, WHOLE),
            clauses=("2.2.2-2",),
            parser=FLAGS,
            first=True,
        )
    for first in (0x10, 0x30, 0x82, 0xC0):
        yield Breaking(
            id=f"length-of-five-bytes-{first:02x}",
            packet=bytes((first, 0x80, 0x80, 0x80, 0x80, 0x01)),
            clauses=("4.8.0-1",),
            parser=TOO_LONG,
        )
    yield Breaking(
        id="length-without-an-end", packet=b"\x30\xff\xff\xff\xff", clauses=("4.8.0-1",), parser=TOO_LONG, lenient=True
    )
    for name, packet in (
        ("publish", publish("t")),
        ("subscribe", subscribe(1, ("t", 0))),
        ("pingreq", PINGREQ),
        ("disconnect", DISCONNECT),
    ):
        yield Breaking(id=f"begins-with-{name}", packet=packet, clauses=("3.1.0-1", "4.8.0-1"), parser=None, first=True)


def _bodies() -> Iterator[Breaking]:
    """Bodies that do not fit their packets, and packet identifiers (2.3.1)."""
    for name, packet, parser, lenient in (
        ("publish-empty", b"\x30\x00", HEADER, False),
        ("publish-half-a-length", b"\x30\x01\x00", HEADER, False),
        ("publish-topic-too-long", b"\x30\x03\x00\x05t", HEADER, False),
        ("publish-without-identifier", b"\x32\x03\x00\x01t", HEADER, False),
        ("publish-half-an-identifier", b"\x32\x04\x00\x01t\x00", HEADER, False),
        ("puback-empty", b"\x40\x00", ENDS, False),
        ("puback-short", b"\x40\x01\x00", ENDS, False),
        ("puback-long", b"\x40\x03\x00\x01\x00", MORE, True),
        ("pubrec-short", b"\x50\x01\x00", ENDS, False),
        ("pubrec-long", b"\x50\x03\x00\x01\x00", MORE, True),
        ("pubrel-short", b"\x62\x01\x00", ENDS, False),
        ("pubrel-long", b"\x62\x03\x00\x01\x00", MORE, True),
        ("pubcomp-short", b"\x70\x01\x00", ENDS, False),
        ("pubcomp-long", b"\x70\x03\x00\x01\x00", MORE, True),
        ("subscribe-empty", b"\x82\x00", ENDS, False),
        ("subscribe-half-an-identifier", b"\x82\x01\x00", ENDS, False),
        ("subscribe-without-qos", b"\x82\x05\x00\x01\x00\x01t", ENDS, False),
        ("subscribe-filter-too-long", b"\x82\x06\x00\x01\x00\x09t\x00", ENDS, False),
        ("subscribe-second-filter-cut", b"\x82\x08\x00\x01\x00\x01t\x00\x00\x01", ENDS, False),
        ("unsubscribe-empty", b"\xa2\x00", ENDS, False),
        ("unsubscribe-filter-too-long", b"\xa2\x05\x00\x01\x00\x09t", ENDS, False),
        ("unsubscribe-second-filter-cut", b"\xa2\x06\x00\x01\x00\x01t\x00", ENDS, False),
        ("pingreq-long", b"\xc0\x01\x00", MORE, True),
        ("disconnect-long", b"\xe0\x01\x00", MORE, False),
    ):
        yield Breaking(id=name, packet=packet, clauses=("4.8.0-1",), parser=parser, lenient=lenient)
    yield Breaking(id="subscribe-without-a-filter", packet=frame(0x82, b"\x00\x07"), clauses=("3.8.3-3",), parser=ENDS)
    yield Breaking(
        id="unsubscribe-without-a-filter", packet=frame(0xA2, b"\x00\x07"), clauses=("3.10.3-2",), parser=ENDS
    )
    for name, packet in (
        ("publish-1", publish("t", qos=1, packet_id=0)),
        ("publish-2", publish("t", qos=2, packet_id=0)),
        ("subscribe", subscribe(0, ("t", 0))),
        ("unsubscribe", unsubscribe(0, "t")),
        *((kind.name.lower(), ack(kind, 0)) for kind in (Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP)),
    ):
        yield Breaking(id=f"identifier-0-{name}", packet=packet, clauses=("2.3.1-1",), parser="MQTT-2.3.1-1")
    for dup in (False, True):
        yield Breaking(
            id=f"publish-both-qos-bits{'-dup' if dup else ''}",
            packet=publish("t", b"payload", qos=3, packet_id=7, dup=dup),
            clauses=("3.3.1-4",),
            parser="MQTT-3.3.1-4",
        )
    yield Breaking(
        id="publish-dup-at-qos-0",
        packet=publish("t", b"payload", dup=True),
        clauses=("3.3.1-2", "4.8.0-1"),
        parser="MQTT-3.3.1-2",
        lenient=True,
    )
    for qos in (3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x81, 0xFF):
        yield Breaking(
            id=f"subscribe-qos-{qos}",
            packet=subscribe(7, ("t", qos)),
            clauses=("3.8.3-4",),
            parser="MQTT-3.8.3-4",
        )
    yield Breaking(
        id="subscribe-one-bad-qos",
        packet=subscribe(7, ("a", 0), ("b", 3), ("c", 1)),
        clauses=("3.8.3-4",),
        parser="MQTT-3.8.3-4",
    )


def _topics() -> Iterator[Breaking]:
    """Topic names and filters (4.7), and strings that are none (1.5.3)."""
    for topic in ("a/#", "#", "+", "a/+/b", "a/+", "a+b", "a#b"):
        for qos in (0, 1, 2):
            yield Breaking(
                id=f"publish-{qos}-to-{topic}",
                packet=publish(topic, b"payload", qos=qos, packet_id=7 if qos else None),
                clauses=("3.3.2-2", "4.7.1-1"),
                parser="MQTT-3.3.2-2",
            )
    for qos in (0, 1, 2):
        yield Breaking(
            id=f"publish-{qos}-to-nothing",
            packet=publish("", b"payload", qos=qos, packet_id=7 if qos else None),
            clauses=("4.7.3-1",),
            parser="MQTT-4.7.3-1",
        )
    for text, statement in INVALID_FILTERS.items():
        parser = f"MQTT-{statement}"
        name = text or "nothing"
        yield Breaking(
            id=f"subscribe-{name}", packet=subscribe(7, (text, 0)), clauses=(statement, "4.7.1-1"), parser=parser
        )
        yield Breaking(id=f"unsubscribe-{name}", packet=unsubscribe(7, text), clauses=(statement,), parser=parser)
    for name, encoded in ILL_FORMED.items():
        statement = "1.5.3-2" if name == "null" else "1.5.3-1"
        clauses = ("1.5.3-1", "1.5.3-2") if name.endswith("null") else ("1.5.3-1",)
        for qos in (0, 1, 2):
            yield Breaking(
                id=f"publish-{qos}-{name}",
                packet=publish(encoded, b"payload", qos=qos, packet_id=7 if qos else None),
                clauses=(*clauses, "3.3.2-1", "4.7.3-2"),
                parser=f"MQTT-{statement}",
            )
        for what, packet, first, more in (
            ("subscribe", subscribe(7, (encoded, 0)), False, ("3.8.3-1", "4.7.3-2")),
            ("unsubscribe", unsubscribe(7, encoded), False, ("3.10.3-1", "4.7.3-2")),
            ("client-identifier", connect(encoded), True, ("3.1.3-4",)),
            ("will-topic", connect("malformed", will=Will(encoded)), True, ("3.1.3-10",)),
            ("user-name", connect("malformed", user=encoded, password=b"any"), True, ("3.1.3-11",)),
            ("protocol-name", connect("malformed", protocol=encoded), True, ()),
        ):
            yield Breaking(
                id=f"{what}-{name}",
                packet=packet,
                clauses=(*clauses, *more),
                parser=f"MQTT-{statement}",
                first=first,
                may_be_answered=what == "protocol-name",
            )


def _connects() -> Iterator[Breaking]:
    """CONNECT packets that are not as section 3.1 says."""
    for name, flags, fields, clauses, parser in (
        ("reserved-flag", 0x03, ("c",), ("3.1.2-3", "3.2.2-6"), "MQTT-3.1.2-3"),
        ("will-qos-3", 0x1E, ("c", "t", "gone"), ("3.1.2-14",), "MQTT-3.1.2-14"),
        ("will-qos-1-without-will", 0x0A, ("c",), ("3.1.2-11", "3.1.2-13"), "MQTT-3.1.2-11"),
        ("will-qos-2-without-will", 0x12, ("c",), ("3.1.2-11", "3.1.2-13"), "MQTT-3.1.2-11"),
        ("will-qos-3-without-will", 0x1A, ("c",), ("3.1.2-11", "3.1.2-13"), "MQTT-3.1.2-11"),
        ("will-retain-without-will", 0x22, ("c",), ("3.1.2-11", "3.1.2-15"), "MQTT-3.1.2-11"),
        ("password-without-user", 0x42, ("c", "password"), ("3.1.2-22",), "MQTT-3.1.2-22"),
        ("will-without-its-flag", 0x02, ("c", "t", "gone"), ("3.1.2-11",), MORE),
        ("user-without-its-flag", 0x02, ("c", "user"), ("3.1.2-18",), MORE),
        ("password-without-its-flag", 0x82, ("c", "user", "password"), ("3.1.2-20",), MORE),
        ("will-flag-alone", 0x06, ("c",), ("3.1.2-9",), ENDS),
        ("will-topic-alone", 0x06, ("c", "t"), ("3.1.2-9",), ENDS),
        ("user-flag-alone", 0x82, ("c",), ("3.1.2-19",), ENDS),
        ("password-flag-alone", 0xC2, ("c", "user"), ("3.1.2-21",), ENDS),
        ("no-client-identifier", 0x02, (), ("3.1.3-3",), ENDS),
        ("will-topic-empty", 0x06, ("c", "", "gone"), ("4.7.3-1",), "MQTT-4.7.3-1"),
        ("will-topic-a/#", 0x06, ("c", "a/#", "gone"), ("4.7.1-1",), "MQTT-3.3.2-2"),
        ("will-topic-a/+/b", 0x06, ("c", "a/+/b", "gone"), ("4.7.1-1",), "MQTT-3.3.2-2"),
        ("will-topic-+", 0x06, ("c", "+", "gone"), ("4.7.1-1",), "MQTT-3.3.2-2"),
        ("will-topic-#", 0x06, ("c", "#", "gone"), ("4.7.1-1",), "MQTT-3.3.2-2"),
    ):
        packet = frame(0x10, string("MQTT") + bytes((4, flags, 0, 0)) + b"".join(map(string, fields)))
        yield Breaking(id=f"connect-{name}", packet=packet, clauses=(*clauses, "3.1.4-1"), parser=parser, first=True)
    # At 10 it is the one without a client identifier.
    for length in (*range(10), *range(11, len(WHOLE))):
        yield Breaking(
            id=f"connect-cut-at-{length}",
            packet=frame(0x10, WHOLE[:length]),
            clauses=("3.1.4-1", "3.2.2-6"),
            parser=ENDS,
            first=True,
        )
    for length in range(len(WHOLE) - 9, len(WITH_WILL)):
        yield Breaking(
            id=f"connect-with-will-cut-at-{length}",
            packet=frame(0x10, WITH_WILL[:length]),
            clauses=("3.1.4-1", "3.1.3-1"),
            parser=ENDS,
            first=True,
        )
    yield Breaking(
        id="connect-more", packet=connect("malformed", more=b"\x00"), clauses=("3.1.4-1",), parser=MORE, first=True
    )
    for protocol in ("hj", "mqtt", "MQTX", "MQTT ", "MQT", "MQTTT", ""):
        yield Breaking(
            id=f"connect-protocol-{protocol!r}",
            packet=connect("malformed", protocol=protocol),
            clauses=("3.1.2-1",),
            parser="MQTT-3.1.2-1",
            first=True,
            may_be_answered=True,
        )


BREAKING = (*_headers(), *_bodies(), *_topics(), *_connects())
