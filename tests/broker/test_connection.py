"""One connection's life, over a transport that is no socket, at a node that is real."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
from redis.asyncio import Redis

from broker.protocol.reasons import Refusal
from broker.session.acknowledgements import READ_AHEAD_BYTES
from broker.session.client import State
from broker.session.connection import Connection
from core.kinds import Role
from tests.broker.conftest import RunningNode, TwoNodes, has, put_user
from tests.conftest import eventually
from tests.mqtt.wire import (
    DISCONNECT,
    PINGREQ,
    Ack,
    Connack,
    Kind,
    Pingresp,
    Publish,
    Received,
    Suback,
    Will,
    ack,
    connect,
    parse,
    publish,
    subscribe,
    unsubscribe,
)
from tests.raw_streams import raw_messages

ACCEPTED = Connack(session_present=False, code=0)


class FakeTransport:
    """Keeps what is written, and closes in the next turn of the event loop, as asyncio's do."""

    def __init__(self) -> None:
        self.written = bytearray()
        self._reading = True
        self.closed = False
        self.aborted = False
        self.connection: Connection | None = None

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._lost)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self._reading

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        assert self._reading
        self._reading = False

    def resume_reading(self) -> None:
        assert not self._reading
        self._reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.1", 1) if name == "peername" else default

    @property
    def packets(self) -> list[Received]:
        """What was written, taken apart."""
        found, data = [], bytes(self.written)
        while data:
            length, start = data[1] & 0x7F, 2
            while data[start - 1] >= 0x80:
                length |= (data[start] & 0x7F) << 7 * (start - 1)
                start += 1
            found.append(parse(data[0], data[start : start + length]))
            data = data[start + length :]
        return found

    def _lost(self) -> None:
        if self.connection is not None:
            self.connection.connection_lost(None)


class Client:
    """A connection to a node, and its fake transport."""

    def __init__(self, node: RunningNode) -> None:
        self.transport = FakeTransport()
        self.connection = self.transport.connection = node.node.new_connection()
        # It needs no more of a transport than FakeTransport has.
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def receive(self, *packets: bytes) -> None:
        """What the node's side of it receives at once."""
        self.connection.data_received(b"".join(packets))

    async def until(self, true: Callable[[list[Received]], bool]) -> list[Received]:
        await eventually(lambda: has(lambda: true(self.transport.packets)))
        return self.transport.packets

    async def answers(self, count: int) -> list[Received]:
        return await self.until(lambda packets: len(packets) >= count)


@pytest.fixture
async def clients(node: RunningNode) -> AsyncIterator[Callable[[], Client]]:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(node))
        return made[-1]

    yield make
    for client in made:
        client.transport.close()


Clients = Callable[[], Client]

CONVERSATION = (
    connect("cut", will=Will("will", b"x" * 200)),
    subscribe(1, ("a/#", 1), ("$share/no", 1)),
    publish("car-iotp", b"x" * 300, qos=1, packet_id=2),
    publish("a/b", b"y", qos=1, packet_id=3),
    publish("car-iotp", b"z", qos=2, packet_id=4),
    ack(Kind.PUBREL, 4),
    unsubscribe(5, "another"),
    publish("a/b", b"", qos=0),
    publish("elsewhere", b"", qos=1, packet_id=6),
    PINGREQ,
)
ANSWERS = [
    ACCEPTED,
    Suback(1, (1, 0x80)),
    Ack(Kind.PUBACK, 2),
    Ack(Kind.PUBACK, 3),
    Ack(Kind.PUBREC, 4),
    Ack(Kind.PUBCOMP, 4),
    Ack(Kind.UNSUBACK, 5),
    Ack(Kind.PUBACK, 6),
    Pingresp(),
]
MESSAGES = [Publish("a/b", b"y", 1, packet_id=1), Publish("a/b", b"")]


@pytest.mark.parametrize("seed", range(12))
async def test_however_the_bytes_are_cut_the_answers_are_the_same_and_in_their_order(
    clients: Clients, redis_client: Redis, seed: int
) -> None:
    data, client = b"".join(CONVERSATION), clients()
    random = Random(seed)  # noqa: S311 - it is to be repeatable
    if seed == 0:
        cuts = list(range(1, len(data)))
    else:
        cuts = sorted(random.sample(range(1, len(data)), random.choice([1, 3, 20])))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.receive(data[start:end])
        if random.random() < 0.3:
            await asyncio.sleep(0)
    packets = await client.answers(len(ANSWERS) + len(MESSAGES))
    assert [packet for packet in packets if not isinstance(packet, Publish)] == ANSWERS
    assert [packet for packet in packets if isinstance(packet, Publish)] == MESSAGES
    assert [message.payload for message in await raw_messages(redis_client)] == [b"x" * 300, b"z"]


async def test_nothing_is_handled_before_the_client_is_let_in(clients: Clients, redis_client: Redis) -> None:
    client = clients()
    await redis_client.client_pause(200, all=True)
    client.receive(connect("early"), publish("car-iotp", b"1", qos=1, packet_id=1))
    assert client.connection.state is State.CONNECTING
    assert not client.transport.packets
    assert await client.answers(2) == [ACCEPTED, Ack(Kind.PUBACK, 1)]


async def test_nothing_of_a_client_that_is_refused_is_handled(
    clients: Clients, node: RunningNode, redis_client: Redis
) -> None:
    client = clients()
    client.receive(connect("refused", user="nobody", password=b""), publish("car-iotp", b"1", qos=1, packet_id=1))
    assert await client.until(lambda _: client.connection.state is State.CLOSED) == [
        Connack(session_present=False, code=4)
    ]
    assert not await raw_messages(redis_client)
    assert not node.node.clients


async def test_what_waits_for_a_packet_that_takes_its_time_is_bounded(clients: Clients, redis_client: Redis) -> None:
    client = clients()
    await redis_client.client_pause(300, all=True)
    client.receive(connect("greedy"))
    message = publish("car-iotp", b"x" * 1000, qos=1, packet_id=1)
    received = 0
    while client.transport.is_reading():
        client.receive(message)
        received += len(message)
        assert received <= READ_AHEAD_BYTES + len(message)
    await eventually(lambda: has(client.transport.is_reading))
    await client.answers(1 + received // len(message))


async def test_a_client_that_does_not_read_its_acknowledgements_is_not_read(
    clients: Clients, redis_client: Redis
) -> None:
    client = clients()
    client.receive(connect("deaf"))
    await client.answers(1)
    client.connection.pause_writing()
    assert not client.transport.is_reading()
    # What was on its way when reading ended may still come.
    client.receive(publish("car-iotp", b"1", qos=1, packet_id=1))
    await eventually(lambda: raw_messages(redis_client))
    assert not client.transport.is_reading()
    client.connection.resume_writing()
    assert client.transport.is_reading()
    await client.answers(2)


async def test_nothing_is_read_or_written_after_a_disconnect(clients: Clients, redis_client: Redis) -> None:
    client = clients()
    client.receive(connect("leaves"))
    await client.answers(1)
    client.receive(DISCONNECT, publish("car-iotp", b"1", qos=1, packet_id=1), PINGREQ)
    client.receive(PINGREQ)
    await client.until(lambda _: client.connection.state is State.CLOSED)
    assert client.transport.packets == [ACCEPTED]
    assert not await raw_messages(redis_client)


async def test_a_message_before_a_disconnect_is_stored(clients: Clients, redis_client: Redis) -> None:
    client = clients()
    client.receive(connect("leaves"))
    await client.answers(1)
    client.receive(publish("car-iotp", b"1", qos=1, packet_id=1), publish("car-iotp", b"0"), DISCONNECT)
    await client.until(lambda _: client.connection.state is State.CLOSED)
    await eventually(lambda: has(lambda: not client.connection.answers))
    assert [message.payload for message in await raw_messages(redis_client)] == [b"1", b"0"]


@pytest.mark.parametrize("end", ["disconnect", "violation", "abort", "vanish"])
async def test_a_will_is_published_at_every_end_but_a_disconnect(clients: Clients, node: RunningNode, end: str) -> None:
    watcher = await node.service.subscriber(("will", 1))
    client = clients()
    client.receive(connect("mortal", will=Will("will", b"gone", 1)))
    await client.answers(1)
    if end == "disconnect":
        client.receive(DISCONNECT)
    elif end == "violation":
        client.receive(b"\0\0")
    elif end == "abort":
        client.connection.abort(Refusal.KEEPALIVE)
    else:
        client.transport.close()
    await eventually(lambda: has(lambda: client.connection.state is State.CLOSED and not node.node.tasks))
    if end != "disconnect":
        assert (await watcher.take()).payload == b"gone"
    await watcher.nothing_more()


async def test_a_client_that_vanishes_while_it_is_let_in_leaves_nothing(
    clients: Clients, node: RunningNode, redis_client: Redis
) -> None:
    await put_user(redis_client, "gate", Role.GATEWAY)
    for delay in range(8):
        client = clients()
        client.receive(connect("ghost", user="gate", password=b"right"))
        for _ in range(delay * 3):
            await asyncio.sleep(0)
        client.transport.close()
    own = node.node
    await eventually(lambda: has(lambda: not own.connections and not own.connecting and not own.tasks))
    assert not own.admission._users
    assert not own.clients
    assert await _key_is_gone(redis_client, "session:{mqtt}:ghost")


async def test_a_client_that_is_being_let_in_does_not_outlive_its_node(
    clients: Clients, node: RunningNode, redis_client: Redis
) -> None:
    await put_user(redis_client, "gate", Role.GATEWAY)
    client, gone = clients(), clients()
    client.receive(connect("late", user="gate", password=b"right"))
    gone.receive(connect("gone", user="gate", password=b"right"))
    gone.transport.close()
    await node.stop()
    assert client.connection.state is State.CLOSED
    assert not node.node.connecting
    assert not await redis_client.keys("session:{mqtt}:*")


async def _key_is_gone(redis_client: Redis, key: str) -> bool:
    return not await redis_client.exists(key)


async def test_a_client_that_vanishes_while_it_subscribes_is_no_subscriber(
    clients: Clients, node: RunningNode, redis_client: Redis
) -> None:
    client = clients()
    client.receive(connect("ghost"))
    await client.answers(1)
    await redis_client.client_pause(200, all=True)
    client.receive(subscribe(1, ("t", 1)))
    await asyncio.sleep(0)
    client.transport.close()
    await eventually(lambda: has(lambda: not node.node.connections and not node.node.tasks))
    await eventually(lambda: _key_is_gone(redis_client, "routes"))
    assert not node.node.subscriptions.wants("t")


async def test_a_client_that_is_taken_over_while_it_subscribes_ends(nodes: TwoNodes, redis_client: Redis) -> None:
    older = Client(nodes.first)
    older.receive(connect("same", clean=False))
    await older.answers(1)
    newer = Client(nodes.second)
    newer.receive(connect("same", clean=False))
    await newer.answers(1)
    older.receive(subscribe(1, ("t", 1)))
    await older.until(lambda _: older.connection.state is State.CLOSED)
    assert not await redis_client.exists("subscriptions:{mqtt}:same")
    assert newer.connection.state is State.OPEN


async def test_a_client_of_mqtt_3_1_is_told_of_no_refusal_and_of_no_session(clients: Clients) -> None:
    for _ in range(2):
        client = clients()
        client.receive(connect("old", protocol="MQIsdp", level=3, clean=False), subscribe(1, ("t", 1), ("$share/t", 1)))
        assert await client.answers(2) == [ACCEPTED, Suback(1, (1, 0))]


async def test_garbage_ends_its_own_connection_and_raises_nothing(clients: Clients, node: RunningNode) -> None:
    other = await node.service.connect()
    random = Random(1)  # noqa: S311 - it is to be repeatable
    for number in range(300):
        client = clients()
        if number % 2:
            client.receive(connect(f"garbage-{number}"))
            await client.answers(1)
        while not client.transport.closed:
            client.receive(random.randbytes(random.choice([1, 2, 50, 10_000])))
            if len(client.connection.incoming) > 10_000:
                client.transport.close()  # a packet that is only long
    assert await other.is_open()
    assert not node.refused("defect")
