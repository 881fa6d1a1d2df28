"""A node that is asked to leave: real processes, SIGUSR1, and what clients and operators see."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from redis.asyncio import Redis

from broker import drain
from broker.node import Node
from tests.broker.processes import NodeProcess
from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.mqtt.client import ClosedError, Connection, Service
from tests.mqtt.wire import Kind, Publish, Will, publish
from tests.oracle.durable import DurableRedis
from tests.raw_streams import raw_messages

NOTICE = 0.6
SECONDS = 2.0


class Nodes:
    """A node that drains, another one, and a client's view of each."""

    def __init__(
        self, url: str, folder: Path, *, notice: float = NOTICE, seconds: float = SECONDS, on_term: bool = False
    ) -> None:
        self.url = url
        self.leaving, self.staying = (
            NodeProcess(
                {
                    "BROKER_NODE": name,
                    "BROKER_PORT": str(free_port()),
                    "OPS_PORT": str(free_port()),
                    "REDIS_URL": url,
                    "MQTT_ALLOW_ANONYMOUS": "1",
                    "DRAIN_NOTICE": str(notice),
                    "DRAIN_SECONDS": str(seconds),
                    **({"DRAIN_ON_TERM": "true"} if on_term else {}),
                },
                folder,
            )
            for name in ("leaving", "staying")
        )
        self.at_leaving = Service([("127.0.0.1", self.leaving.port)])
        self.at_staying = Service([("127.0.0.1", self.staying.port)])

    async def start(self) -> None:
        for node in (self.leaving, self.staying):
            await node.start()
        for node in (self.leaving, self.staying):
            await node.until_ready()

    async def end(self) -> None:
        for service in (self.at_leaving, self.at_staying):
            service.drop_all()
        for node in (self.leaving, self.staying):
            await node.leave_nothing()

    def drain(self) -> None:
        self.leaving.send(signal.SIGUSR1)

    async def says_draining(self) -> bool:
        answer = await self.leaving.get("/readyz")
        return (answer.status_code, answer.text) == (httpx.codes.SERVICE_UNAVAILABLE, "draining\n")

    async def has_drained(self) -> None:
        async with asyncio.timeout(NOTICE + SECONDS + WAIT_SECONDS):
            assert await self.leaving.ended() == 0, self.leaving.told()


@asynccontextmanager
async def running(nodes: Nodes) -> AsyncIterator[Nodes]:
    try:
        await nodes.start()
        yield nodes
    finally:
        await nodes.end()


@pytest.fixture
async def nodes(own_redis: DurableRedis, short_folder: Path) -> AsyncIterator[Nodes]:
    async with running(Nodes(own_redis.url, short_folder)) as nodes:
        yield nodes


@pytest.fixture
async def unhurried(own_redis: DurableRedis, short_folder: Path) -> AsyncIterator[Nodes]:
    """Nodes that take ten minutes to end their connections."""
    async with running(Nodes(own_redis.url, short_folder, seconds=600)) as nodes:
        yield nodes


@pytest.fixture
async def announcing(own_redis: DurableRedis, short_folder: Path) -> AsyncIterator[Nodes]:
    """Nodes whose notice is a minute, as long as it may be."""
    async with running(Nodes(own_redis.url, short_folder, notice=60)) as nodes:
        yield nodes


async def ends(client: Connection) -> float:
    """When the node has ended the connection."""
    with pytest.raises(ClosedError):
        await client.receive(limit=NOTICE + SECONDS + WAIT_SECONDS)
    return time.monotonic()


async def test_a_node_that_nobody_is_connected_to_leaves_after_its_notice(unhurried: Nodes) -> None:
    before = time.monotonic()
    unhurried.drain()
    await unhurried.has_drained()
    assert time.monotonic() - before >= NOTICE


async def test_connections_end_and_not_before_the_notice_is_over(nodes: Nodes) -> None:
    clients = [await nodes.at_leaving.connect() for _ in range(20)]
    before = time.monotonic()
    nodes.drain()
    assert min(await asyncio.gather(*[ends(client) for client in clients])) - before >= NOTICE
    await nodes.has_drained()


async def test_connections_end_evenly_over_the_time_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    async def moved_on(seconds: float, _stop: asyncio.Event) -> None:
        nonlocal now
        now += seconds

    class Client:
        def finish(self) -> None:
            ended.append(now)
            del node.connections[id(self)]

    ended: list[float] = []
    closed: list[float] = []
    clients = [Client() for _ in range(20)]
    node = SimpleNamespace(now=lambda: now, connections={id(client): client for client in clients})
    monkeypatch.setattr(drain, "pause", moved_on)
    leaving = drain.Drain(node=cast("Node", node), notice=0.6, seconds=2.0)
    leaving.begin()
    await leaving.run(asyncio.Event(), lambda: closed.append(now))
    assert closed == [0.6]
    quarters = [sum(0.6 + quarter / 2 <= moment < 1.1 + quarter / 2 for moment in ended) for quarter in range(4)]
    assert quarters == [5, 5, 5, 5]


async def test_it_says_at_once_that_it_is_not_ready_and_still_lets_clients_in(announcing: Nodes) -> None:
    announcing.drain()
    await eventually(announcing.says_draining)
    assert (await announcing.leaving.get("/healthz")).status_code == httpx.codes.OK
    assert "broker_draining 1.0" in (await announcing.leaving.get("/metrics")).text
    late = await announcing.at_leaving.connect()
    await late.publish("t", b"taken", qos=1)
    assert await announcing.leaving.stop() == 0, announcing.leaving.told()
    await ends(late)


async def test_after_the_notice_nobody_else_comes_in(nodes: Nodes) -> None:
    client = await nodes.at_leaving.connect()
    nodes.drain()

    async def is_refused() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", nodes.leaving.port)
        except ConnectionRefusedError:
            return True
        writer.transport.abort()
        return False

    await eventually(is_refused)
    assert await client.is_open()
    await nodes.has_drained()


async def test_nothing_that_was_acknowledged_is_lost_and_nothing_in_hand_is_left_unacknowledged(nodes: Nodes) -> None:
    clients = [await nodes.at_leaving.connect() for _ in range(8)]
    acknowledged: list[set[int]] = [set() for _ in clients]

    async def publish_until_closed(number: int, client: Connection) -> None:
        with suppress(ClosedError):
            for packet_id in itertools.count(1):
                await client.send(publish("car-iotp", f"{number}/{packet_id}".encode(), qos=1, packet_id=packet_id))
                await client.acknowledged(Kind.PUBACK, packet_id)
                acknowledged[number].add(packet_id)

    nodes.drain()
    async with asyncio.timeout(NOTICE + SECONDS + 10):
        await asyncio.gather(*[publish_until_closed(number, client) for number, client in enumerate(clients)])
    await nodes.has_drained()
    async with Redis.from_url(nodes.url) as redis:
        kept = {message.payload.decode() for message in await raw_messages(redis)}
    expected = {f"{number}/{packet_id}" for number, ids in enumerate(acknowledged) for packet_id in ids}
    assert len(expected) > 100
    assert expected <= kept
    # What is in the stream was also acknowledged: the node answers what it has taken before it closes.
    assert kept == expected


async def test_a_persistent_session_goes_on_elsewhere_with_its_queue(nodes: Nodes) -> None:
    client = await nodes.at_leaving.subscriber(("t", 1), client_id="moves", clean=False)
    nodes.drain()
    await ends(client)
    await (await nodes.at_staying.connect()).publish("t", b"meanwhile", qos=1)
    again = await nodes.at_staying.connect("moves", clean=False)
    assert again.session_present
    assert (await again.take()).payload == b"meanwhile"


async def test_a_will_is_published_as_for_sigterm(nodes: Nodes) -> None:
    watcher = await nodes.at_staying.subscriber(("will", 1))
    client = await nodes.at_leaving.connect(will=Will("will", b"closed without a DISCONNECT", 1))
    nodes.drain()
    await ends(client)
    message = await watcher.receive()
    assert isinstance(message, Publish)
    assert message.payload == b"closed without a DISCONNECT"
    await nodes.has_drained()


async def test_sigterm_during_a_drain_ends_it_at_once(unhurried: Nodes) -> None:
    client = await unhurried.at_leaving.connect()
    unhurried.drain()
    await eventually(unhurried.says_draining)
    assert await unhurried.leaving.stop() == 0, unhurried.leaving.told()
    await ends(client)


async def test_a_drain_ends_also_while_redis_is_away(nodes: Nodes, own_redis: DurableRedis) -> None:
    client = await nodes.at_leaving.connect()
    await own_redis.kill()
    await client.send(publish("car-iotp", b"1", qos=1, packet_id=1))
    nodes.drain()
    async with asyncio.timeout(NOTICE + SECONDS + 2 * WAIT_SECONDS):
        assert await nodes.leaving.ended() == 0, nodes.leaving.told()


@pytest.fixture
async def in_kubernetes(own_redis: DurableRedis, short_folder: Path) -> AsyncIterator[Nodes]:
    """Nodes that SIGTERM drains, and whose notice is a minute."""
    async with running(Nodes(own_redis.url, short_folder, notice=60, on_term=True)) as nodes:
        yield nodes


async def test_sigterm_drains_where_it_is_told_to_and_the_end_of_the_drain_is_a_good_end(
    own_redis: DurableRedis, short_folder: Path
) -> None:
    async with running(Nodes(own_redis.url, short_folder, on_term=True)) as nodes:
        clients = [await nodes.at_leaving.connect() for _ in range(10)]
        before = time.monotonic()
        nodes.leaving.send(signal.SIGTERM)
        await eventually(nodes.says_draining)
        assert min(await asyncio.gather(*[ends(client) for client in clients])) - before >= NOTICE
        await nodes.has_drained()
        assert " drained " in nodes.leaving.told()


async def test_a_second_sigterm_ends_it_at_once(in_kubernetes: Nodes) -> None:
    client = await in_kubernetes.at_leaving.connect()
    in_kubernetes.leaving.send(signal.SIGTERM)
    await eventually(in_kubernetes.says_draining)
    assert await client.is_open()
    assert await in_kubernetes.leaving.stop() == 0, in_kubernetes.leaving.told()
    await ends(client)


async def test_the_first_sigterm_after_sigusr1_leaves_the_drain_as_it_is(in_kubernetes: Nodes) -> None:
    client = await in_kubernetes.at_leaving.connect()
    in_kubernetes.drain()
    await eventually(in_kubernetes.says_draining)
    in_kubernetes.leaving.send(signal.SIGTERM)
    await client.publish("t", b"taken", qos=1)
    assert await client.is_open()
    in_kubernetes.leaving.check()


async def test_a_node_that_does_not_listen_yet_has_nothing_to_drain(
    own_redis: DurableRedis, short_folder: Path
) -> None:
    await own_redis.kill()
    nodes = Nodes(own_redis.url, short_folder, notice=60, seconds=600, on_term=True)
    try:
        await nodes.leaving.start()

        async def waits() -> bool:
            nodes.leaving.check()
            return "not listening yet" in nodes.leaving.told()

        await eventually(waits, limit=2 * WAIT_SECONDS)
        assert await nodes.leaving.stop() == 0, nodes.leaving.told()
    finally:
        await nodes.leaving.leave_nothing()
