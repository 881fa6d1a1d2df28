"""Who is silent, takes nothing, or never finishes a packet has to go; who is not listened to is none of these."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from broker.session.connection import Connection as NodeConnection
from broker.session.deadlines import overdue
from broker.session.outgoing import Outgoing
from tests.broker.conftest import RunningNode, StartNode, has
from tests.broker.frames import request
from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.mqtt.client import Connection
from tests.mqtt.wire import PINGREQ, Connack, connect, publish, subscribe

HALF = 60_000


async def never_reads(node: RunningNode, keepalive: int) -> asyncio.Task[None]:
    """A client that publishes to a topic of its own without an end, and reads nothing."""
    own = socket.create_connection(("127.0.0.1", node.settings.broker_port))
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.settimeout(15)

    def flood() -> None:
        with own:
            own.sendall(connect("deaf", keepalive=keepalive) + subscribe(1, ("own", 0)))
            try:
                while True:
                    own.sendall(publish("own", b"x" * HALF))
            except OSError:
                return

    return asyncio.create_task(asyncio.to_thread(flood))


@pytest.mark.parametrize(
    ("keepalive", "settings"), [(1, {}), (0, {"mqtt_write_timeout": 0.5}), (3600, {"mqtt_write_timeout": 0.5})]
)
async def test_who_publishes_to_itself_and_never_reads_has_to_go(
    start_node: StartNode, keepalive: int, settings: dict[str, float]
) -> None:
    node = await start_node(**settings)
    other = await node.service.connect()
    flooding = await never_reads(node, keepalive)
    await eventually(lambda: has(lambda: node.refused("slow_consumer") == 1))
    await flooding
    assert await other.is_open()
    await eventually(lambda: has(lambda: len(node.node.connections) == 1))


class Transport:
    def __init__(self) -> None:
        self.left = 100

    def get_write_buffer_size(self) -> int:
        return self.left

    def get_extra_info(self, name: str, default: object = None) -> object:
        assert name == "socket"
        return default


def test_who_takes_a_little_now_and_then_is_alive() -> None:
    transport = Transport()
    outgoing = Outgoing(transport, 0.0)
    assert outgoing.untaken_for(transport, 5.0) == 5.0
    transport.left = 99
    assert outgoing.untaken_for(transport, 6.0) == 0.0
    transport.left = 150
    assert outgoing.untaken_for(transport, 7.0) == 1.0, "more was written"
    transport.left = 149
    assert outgoing.untaken_for(transport, 9.0) == 0.0


async def open_connection(node: RunningNode, *, keepalive: int) -> tuple[Connection, NodeConnection]:
    client = await node.service.connect("a", keepalive=keepalive)
    return client, node.connection("a")


@pytest.mark.parametrize("stop", ["waiting for Redis", "too fast for its user"])
async def test_who_is_not_read_is_neither_silent_nor_late(node: RunningNode, stop: str) -> None:
    client, connection = await open_connection(node, keepalive=10)
    await client.send(publish("t", b"x" * 100)[:50])
    await eventually(lambda: has(lambda: len(connection.incoming) == 50))
    later = node.node.now() + 1000
    late = overdue(connection, later)
    assert late is not None
    assert late[0] == "keepalive"
    connection.read_no_more()
    connection.throttled = stop == "too fast for its user"
    assert overdue(connection, later) is None
    # The time in which nobody listened does not count afterwards.
    before = connection.seen, connection.incoming.since
    connection._not_read_since -= 500
    connection.throttled = False
    connection.read_on()
    assert connection.seen - before[0] >= 500
    assert connection.incoming.since - before[1] >= 500
    connection.read_no_more()


async def test_a_packet_that_is_never_complete_ends_its_connection_also_without_a_keepalive(
    start_node: StartNode,
) -> None:
    node = await start_node(mqtt_packet_timeout=0.5)
    idle, _ = await open_connection(node, keepalive=0)
    late = await node.service.connect(keepalive=0)
    await late.send(PINGREQ + publish("t", b"x" * 100)[:-1])
    await late.receive()
    await late.closed()
    assert node.refused("unfinished") == 1
    assert await idle.is_open()


async def test_unfinished_packets_of_one_address_do_not_cost_another_its_connection(start_node: StartNode) -> None:
    node = await start_node(mqtt_unfinished_bytes=262_144, broker_proxy_protocol=True)

    async def half_sent(address: str, size: int) -> Connection:
        client = await node.service.dial()
        await client.send(f"PROXY TCP4 {address} 127.0.0.1 1 1\r\n".encode() + connect("", keepalive=0))
        assert isinstance(await client.receive(), Connack)
        await client.send(publish("t", b"x" * 100_000)[:size])
        return client

    other = await half_sent("192.0.2.2", 90_000)
    flood = [await half_sent("192.0.2.1", HALF) for _ in range(10)]
    await eventually(lambda: has(lambda: node.refused("unfinished") == 8))
    assert node.node.registry.unfinished == 90_000 + 2 * HALF
    assert node.counted("broker_unfinished_bytes") == 90_000 + 2 * HALF
    assert not await other.is_closed_within(0.1)
    for client in flood:
        client.writer.transport.abort()
    await eventually(lambda: has(lambda: node.node.registry.unfinished == 90_000))


async def test_what_waits_while_a_client_is_let_in_counts_as_unfinished(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(mqtt_unfinished_bytes=262_144)
    await redis_client.client_pause(3000, all=True)
    clients = [await node.service.dial() for _ in range(5)]
    for number, client in enumerate(clients):
        await client.send(connect(f"a-{number}"))
        await client.send(publish("t", b"x" * HALF), publish("t", b"x" * HALF))
    await eventually(lambda: has(lambda: node.refused("unfinished") == 3))
    assert node.node.registry.unfinished <= 262_144


def parts_of_a_handshake() -> list[bytes]:
    whole = request()
    return [whole[position : position + 1] for position in range(len(whole) - 1)]


def parts_of_a_frame() -> list[bytes]:
    # A mask of zeros, and the first bytes of a CONNECT that has 255.
    return [request(), b"\x82\xfe\xff\xff\0\0\0\0", b"\x10", b"\xff", b"\x01", *[b"x"] * 100]


@pytest.mark.parametrize("parts", [parts_of_a_handshake, parts_of_a_frame])
async def test_who_is_slow_over_a_websocket_has_no_more_time_for_its_connect(
    start_node: StartNode, parts: Callable[[], list[bytes]]
) -> None:
    node = await start_node(mqtt_connect_timeout=0.5, broker_ws_port=free_port())
    reader, writer = await asyncio.open_connection("127.0.0.1", node.settings.broker_ws_port)
    for part in parts():
        writer.write(part)
    await eventually(lambda: has(lambda: node.refused("connect_timeout") == 1))
    async with asyncio.timeout(WAIT_SECONDS):
        with suppress(ConnectionError):
            await reader.read()
    writer.close()
    assert not node.node.connections
