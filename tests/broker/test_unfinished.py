from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from broker.session.incoming import Incoming
from broker.session.unfinished import Unfinished
from tests.mqtt.wire import PINGREQ, publish


@dataclass(eq=False)
class Holder:
    address: str


def test_nobody_has_to_go_as_long_as_there_is_room() -> None:
    unfinished: Unfinished[Holder] = Unfinished(100)
    first, second = Holder("a"), Holder("b")
    assert unfinished.hold(first, 60) == []
    assert unfinished.hold(second, 40) == []
    assert unfinished.hold(first, 0) == []
    assert unfinished.total == 40
    assert unfinished.hold(second, 100) == []


def test_who_holds_most_of_the_address_that_holds_most_has_to_go() -> None:
    unfinished: Unfinished[Holder] = Unfinished(100)
    large, small, other, last = Holder("a"), Holder("a"), Holder("b"), Holder("b")
    unfinished.hold(large, 40)
    unfinished.hold(small, 20)
    unfinished.hold(other, 35)
    assert unfinished.hold(last, 6) == [large]
    assert unfinished.total == 61
    assert unfinished.hold(large, 0) == [], "it holds nothing any more"
    assert unfinished.hold(last, 90) == [last], "whoever grows beyond all others goes itself"
    assert unfinished.total == 55


@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_however_packets_are_cut_they_are_the_same(payloads: list[bytes], data: st.DataObject) -> None:
    packets = [publish("car-iotp", payload) for payload in payloads] + [PINGREQ]
    stream = b"".join(packets)
    incoming, taken, position = Incoming(), [], 0
    while position < len(stream):
        size = data.draw(st.integers(1, 400))
        incoming.add(stream[position : position + size], float(position))
        position += size
        if incoming.may_be_complete:
            taken += incoming.take(1000, float(position))
    assert [(first, body) for first, body in taken] == [
        (packet[0], packet[len(packet) - _body_size(packet) :]) for packet in packets
    ]
    assert all(type(body) is bytes for _, body in taken)
    assert len(incoming) == 0


def _body_size(packet: bytes) -> int:
    return packet[1] if packet[1] < 0x80 else packet[1] & 0x7F | packet[2] << 7


def test_a_packet_that_comes_byte_by_byte_is_looked_at_when_it_is_complete() -> None:
    incoming = Incoming()
    packet = publish("t", b"x" * 10_000)
    incoming.add(packet[:10], 1.0)
    assert incoming.take(100_000, 1.0) == []
    for position in range(10, len(packet)):
        assert not incoming.may_be_complete
        incoming.add(packet[position : position + 1], 2.0)
    assert incoming.since == 1.0
    assert isinstance(incoming._data, bytearray), "it would be copied again and again"
    assert len(incoming.take(100_000, 3.0)) == 1
