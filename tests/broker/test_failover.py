"""Nodes that end, as processes: with SIGKILL and with SIGTERM, and what their clients find on the other node."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.broker.processes import NodeProcess
from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.mqtt.client import ClosedError, Connection, Service
from tests.mqtt.wire import Kind, Publish, Will, ack, publish
from tests.oracle.durable import DurableRedis

WILLS = 20


class Pair:
    """Two nodes, and a client's view of each."""

    def __init__(self, url: str, folder: Path) -> None:
        self.nodes = [
            NodeProcess(
                {
                    "BROKER_NODE": f"node-{number}",
                    "BROKER_PORT": str(free_port()),
                    "OPS_PORT": str(free_port()),
                    "REDIS_URL": url,
                    "DURABILITY": "fsynced",
                    "MQTT_ALLOW_ANONYMOUS": "1",
                    "LOG_LEVEL": "warning",
                },
                folder,
            )
            for number in (1, 2)
        ]
        self.first, self.second = self.nodes
        self.services = [Service([("127.0.0.1", node.port)]) for node in self.nodes]
        self.at_first, self.at_second = self.services

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()
        for node in self.nodes:
            await node.until_ready()

    async def restart_first(self) -> None:
        await self.first.start()
        await self.first.until_ready()

    async def end(self) -> None:
        for service in self.services:
            service.drop_all()
        for node in self.nodes:
            await node.leave_nothing()


@pytest.fixture
async def pair(own_redis: DurableRedis, short_folder: Path) -> AsyncIterator[Pair]:
    pair = Pair(own_redis.url, short_folder)
    try:
        await pair.start()
        yield pair
    finally:
        await pair.end()


async def has_ended(client: Connection) -> None:
    with pytest.raises(ClosedError):
        await client.receive()


async def test_the_wills_of_a_killed_node_are_published_once(pair: Pair) -> None:
    watcher = await pair.at_second.subscriber(("will/#", 1))
    for number in range(WILLS):
        await pair.at_first.connect(will=Will(f"will/{number}", b"gone", 1, retain=True))
    await pair.first.kill()
    # It comes back as another node, which clears up after its former self as well.
    await pair.restart_first()
    # The others wait a while before they take a node for dead.
    first = await watcher.receive(limit=WAIT_SECONDS)
    assert isinstance(first, Publish)
    topics = [first.topic, *[(await watcher.take()).topic for _ in range(WILLS - 1)]]
    assert sorted(topics) == sorted(f"will/{number}" for number in range(WILLS))
    await watcher.nothing_more()
    late = await pair.at_first.subscriber(("will/#", 1))
    assert len(await late.take_payloads(WILLS)) == WILLS


async def test_a_session_moves_to_the_other_node_with_its_messages_in_their_order(pair: Pair) -> None:
    client = await pair.at_first.subscriber(("t/#", 2), client_id="moves", clean=False)
    publisher = await pair.at_second.connect()
    for number in range(10):
        await publisher.publish("t/1", str(number).encode(), qos=1 + number % 2)
    first, second = await client.message(), await client.message()
    assert (first.payload, second.payload) == (b"0", b"1")
    assert first.packet_id
    await client.send(ack(Kind.PUBACK, first.packet_id))
    await client.ping()
    await pair.first.kill()
    # Without waiting until anybody has noticed.
    await publisher.publish("t/2", b"10", qos=1)
    moved = await pair.at_second.connect("moves", clean=False)
    assert moved.session_present
    messages = [await moved.take() for _ in range(10)]
    assert [int(message.payload) for message in messages] == list(range(1, 11))
    assert messages[0].dup
    assert messages[0].packet_id == second.packet_id
    assert not messages[-1].dup
    await moved.nothing_more()
    assert await moved.subscribe(("more", 1)) == (1,)


async def test_a_qos_2_message_is_not_stored_twice_by_two_nodes(pair: Pair) -> None:
    watcher = await pair.at_second.subscriber(("t", 2))
    client = await pair.at_first.connect("twice", clean=False)
    await client.send(publish("t", b"once", qos=2, packet_id=7))
    await client.acknowledged(Kind.PUBREC, 7)
    await pair.first.kill()
    moved = await pair.at_second.connect("twice", clean=False)
    await moved.send(publish("t", b"once", qos=2, packet_id=7, dup=True))
    await moved.acknowledged(Kind.PUBREC, 7)
    await moved.send(ack(Kind.PUBREL, 7))
    await moved.acknowledged(Kind.PUBCOMP, 7)
    assert (await watcher.take()).payload == b"once"
    await watcher.nothing_more()


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
async def test_a_node_that_was_started_again_gets_what_is_published_on_the_other_and_the_reverse(
    pair: Pair, signal: str
) -> None:
    """aedes#775."""
    kept = await pair.at_second.subscriber(("b/+", 1))
    await pair.at_first.subscriber(("a/#", 1))
    for _ in range(2):
        if signal == "SIGKILL":
            await pair.first.kill()
        else:
            assert await pair.first.stop() == 0
        await pair.restart_first()
        subscriber = await pair.at_first.subscriber(("a/#", 1), ("+/b", 2))
        here, there = await pair.at_first.connect(), await pair.at_second.connect()
        await there.publish("a/1", b"from the other", qos=1)
        await there.publish("c/b", b"another", qos=2)
        await here.publish("b/1", b"from the one that was away", qos=1)
        assert await subscriber.take_payloads(2) == [b"from the other", b"another"]
        assert (await kept.take()).payload == b"from the one that was away"
        await kept.nothing_more()


async def test_after_sigterm_wills_and_sessions_are_in_order(pair: Pair) -> None:
    watcher = await pair.at_second.subscriber(("will/#", 1))
    client = await pair.at_first.subscriber(("t", 1), client_id="away", clean=False, will=Will("will/1", b"", 1))
    clean = await pair.at_first.connect(will=Will("will/2", b"", 1))
    await (await pair.at_second.connect()).publish("t", b"unacknowledged", qos=1)
    assert (await client.message()).payload == b"unacknowledged"
    assert await pair.first.stop() == 0, pair.first.told()
    await has_ended(client)
    await has_ended(clean)
    # At once, not when somebody finds that the node is dead.
    assert sorted([(await watcher.take()).topic for _ in range(2)]) == ["will/1", "will/2"]
    await watcher.nothing_more()
    again = await pair.at_second.connect("away", clean=False)
    assert again.session_present
    message = await again.take()
    assert (message.payload, message.dup) == (b"unacknowledged", True)


async def test_a_node_ends_also_while_redis_is_away(pair: Pair, own_redis: DurableRedis) -> None:
    client = await pair.at_first.subscriber(("t", 1), clean=False, will=Will("will"))
    await own_redis.kill()
    await client.send(publish("car-iotp", b"1", qos=1, packet_id=1))
    # Which waits for some seconds at the most.
    assert await pair.first.stop() == 0, pair.first.told()
    await has_ended(client)


async def test_it_tells_operators_whether_it_is_ready(pair: Pair, own_redis: DurableRedis) -> None:
    assert (await pair.first.get("/healthz")).status_code == httpx.codes.OK
    assert "broker_clients 0.0" in (await pair.first.get("/metrics")).text
    await own_redis.kill()
    await eventually(lambda: _answers(pair.first, "/readyz", httpx.codes.SERVICE_UNAVAILABLE))
    assert (await pair.first.get("/healthz")).status_code == httpx.codes.OK
    await own_redis.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await pair.first.until_ready()


async def _answers(node: NodeProcess, path: str, code: int) -> bool:
    return (await node.get(path)).status_code == code
