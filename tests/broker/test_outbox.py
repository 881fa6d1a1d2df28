"""What goes out to one subscriber from memory: in order, bounded, and with identifiers that are free."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.protocol.message import Message
from broker.session.outbox import Outbox
from tests.mqtt.wire import Ack, Kind, Publish, Received, parse

WINDOW = 3
MAX_BYTES = 100


@dataclass
class Client:
    """What an outbox has written, taken apart."""

    written: list[Received] = field(default_factory=list)
    overflows: int = 0
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = Outbox(
            write=self._write, window=WINDOW, max_bytes=MAX_BYTES, overflow=self._overflow, counts=self.counts
        )

    def send(self, payload: str, qos: int = 1) -> None:
        self.outbox.send(Message("t", payload.encode(), qos), qos)

    def send_retained(self, payload: str, qos: int = 0) -> None:
        self.outbox.send_retained(Message("t", payload.encode(), qos), qos)

    @property
    def payloads(self) -> list[str]:
        return [packet.payload.decode() for packet in self.written if isinstance(packet, Publish)]

    @property
    def identifiers(self) -> list[int]:
        return [packet.packet_id or 0 for packet in self.written if isinstance(packet, Publish)]

    def _write(self, data: bytes) -> None:
        assert data[1] == len(data) - 2, "one packet, and a short one"
        self.written.append(parse(data[0], data[2:]))

    def _overflow(self) -> None:
        self.overflows += 1


@pytest.fixture
def client() -> Client:
    return Client()


def test_so_many_messages_are_under_way_and_the_rest_waits_in_its_order(client: Client) -> None:
    for number in range(6):
        client.send(str(number))
    assert client.payloads == ["0", "1", "2"]
    client.outbox.puback(client.identifiers[1])
    assert client.payloads == ["0", "1", "2", "3"]
    for packet_id in (client.identifiers[0], client.identifiers[2], client.identifiers[3]):
        client.outbox.puback(packet_id)
    assert client.payloads == ["0", "1", "2", "3", "4", "5"]


def test_a_message_of_qos_0_does_not_overtake_what_waits(client: Client) -> None:
    for number in range(4):
        client.send(str(number))
    client.send("4", qos=0)
    assert client.payloads == ["0", "1", "2"]
    client.outbox.puback(client.identifiers[0])
    assert client.payloads == ["0", "1", "2", "3", "4"]


def test_a_message_of_qos_0_is_not_held_up_by_what_is_under_way(client: Client) -> None:
    for number in range(WINDOW):
        client.send(str(number))
    client.send("3", qos=0)
    assert client.payloads == ["0", "1", "2", "3"]
    assert client.identifiers[3] == 0


def test_nothing_is_written_while_the_connection_takes_no_more(client: Client) -> None:
    client.outbox.pause()
    client.send("0", qos=0)
    client.send("1")
    assert not client.written
    client.outbox.resume()
    assert client.payloads == ["0", "1"]


def test_what_is_retained_goes_out_first_in_its_order_and_what_was_held_after_it(client: Client) -> None:
    client.outbox.hold()
    client.send("new 1")
    client.send_retained("retained 1", qos=1)
    client.send("new 2", qos=0)
    client.send_retained("retained 2")
    client.outbox.let_go()
    assert client.payloads == ["retained 1", "retained 2", "new 1", "new 2"]
    flags = [packet.retain for packet in client.written if isinstance(packet, Publish)]
    assert flags == [True, True, False, False]


def test_what_is_retained_goes_out_first_also_where_the_connection_takes_no_more_for_a_while(client: Client) -> None:
    client.outbox.hold()
    client.send("new 1")
    client.outbox.pause()
    client.send("new 2", qos=0)
    client.send_retained("retained 1", qos=1)
    client.send_retained("retained 2")
    client.outbox.let_go()
    client.outbox.resume()
    assert client.payloads == ["retained 1", "retained 2", "new 1", "new 2"]


def test_what_is_retained_keeps_its_order_where_the_window_is_full(client: Client) -> None:
    client.outbox.hold()
    for number in range(5):
        client.send_retained(f"retained {number}", qos=1)
    client.send("new")
    client.outbox.let_go()
    for index in range(6):
        client.outbox.puback(client.identifiers[index])
    assert client.payloads == [*(f"retained {number}" for number in range(5)), "new"]


def test_a_qos_2_message_keeps_its_identifier_until_pubcomp(client: Client) -> None:
    client.send("0", qos=2)
    packet_id = client.identifiers[0]
    client.outbox.puback(packet_id)  # not the answer to a message of QoS 2
    client.outbox.pubcomp(packet_id)  # nor that, yet
    assert client.outbox.under_way
    client.outbox.pubrec(packet_id)
    client.outbox.pubrec(packet_id)
    assert client.written[1:] == [Ack(Kind.PUBREL, packet_id)] * 2
    client.outbox.pubcomp(packet_id)
    assert not client.outbox.under_way


def test_acknowledgements_of_nothing_change_nothing(client: Client) -> None:
    client.send("0")
    client.outbox.puback(999)
    client.outbox.pubcomp(999)
    assert list(client.outbox.under_way) == client.identifiers
    # A client that still waits for a PUBREL of an earlier life may finish.
    client.outbox.pubrec(999)
    assert client.written[-1] == Ack(Kind.PUBREL, 999)


def test_more_than_the_limit_waiting_is_told_and_less_is_not(client: Client) -> None:
    client.outbox.pause()
    client.send("x" * 49)
    client.send("x" * 49)
    assert client.overflows == 0
    client.send("", qos=0)
    assert client.overflows == 1


def test_what_has_gone_out_does_not_count_any_more(client: Client) -> None:
    for _ in range(10):
        client.outbox.pause()
        client.send("x" * 90, qos=0)
        client.outbox.resume()
    assert client.overflows == 0
    assert len(client.payloads) == 10


def test_identifiers_are_free_and_never_0_also_after_all_65_535(client: Client) -> None:
    client.send("held")
    held = client.identifiers[0]
    for number in range(70_000):
        client.send("")
        packet = client.written.pop()
        assert isinstance(packet, Publish)
        assert packet.packet_id
        assert packet.packet_id != held, f"used while it is under way, after {number} messages"
        client.outbox.puback(packet.packet_id)


class Acknowledging(Client):
    """A client that acknowledges what it gets, one packet after the other, when it is told to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outbox._max_bytes = 10_000
        self.answered = 0

    def acknowledge(self) -> None:
        if self.answered == len(self.written):
            return
        packet = self.written[self.answered]
        self.answered += 1
        if isinstance(packet, Publish) and packet.qos == 1:
            self.outbox.puback(packet.packet_id or 0)
        elif isinstance(packet, Publish) and packet.qos:
            self.outbox.pubrec(packet.packet_id or 0)
        elif isinstance(packet, Ack):
            self.outbox.pubcomp(packet.packet_id)


@given(st.lists(st.sampled_from(["send 0", "send 1", "send 2", "acknowledge", "pause", "resume"]), max_size=60))
@settings(max_examples=200)
def test_every_message_goes_out_once_in_its_order_whatever_the_client_does(steps: list[str]) -> None:
    client = Acknowledging()
    do = {"acknowledge": client.acknowledge, "pause": client.outbox.pause, "resume": client.outbox.resume}
    sent: list[str] = []
    for step in steps:
        if step in do:
            do[step]()
        else:
            sent.append(str(len(sent)))
            client.send(sent[-1], int(step[-1]))
        assert len(client.outbox.under_way) <= WINDOW
    client.outbox.resume()
    while client.answered < len(client.written):
        client.acknowledge()
    assert client.payloads == sent
    assert not client.outbox.under_way
