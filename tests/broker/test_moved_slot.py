"""The slot of all that brokers share moves to another master of a Redis Cluster, while clients publish and receive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.crc import key_slot

from state.sessions import session
from tests.broker.conftest import RunningNode, StartNode, TwoNodes
from tests.conftest import eventually
from tests.mqtt.client import Connection
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.process import RedisProcess

SLOT = key_slot(b"{mqtt}")
PUBLISHERS = 3


@pytest.fixture
async def nodes(cluster: RedisCluster, start_node: StartNode) -> TwoNodes:
    """Two nodes beside a cluster."""
    return TwoNodes(
        await start_node(broker_node="node-1", redis_url=cluster.url),
        await start_node(broker_node="node-2", redis_url=cluster.url),
    )


class Traffic:
    """Persistent publishers at the first node; what each topic was acknowledged, in order."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged: dict[str, list[int]] = {}

    async def begin(self) -> None:
        for number in range(PUBLISHERS):
            client = await self._node.service.connect(f"publisher-{number}", clean=False)
            self._tasks.append(asyncio.create_task(self._publish(client, f"t/{number}")))

    async def _publish(self, client: Connection, topic: str) -> None:
        done = self.acknowledged[topic] = []
        while not self._ending:
            await client.publish(topic, str(len(done)).encode(), qos=1 + len(done) % 2)
            done.append(len(done))

    async def goes_on(self) -> None:
        """Return once each publisher has had some more acknowledged."""
        before = {topic: len(done) for topic, done in self.acknowledged.items()}

        async def more() -> bool:
            return all(len(done) > before.get(topic, 0) + 5 for topic, done in self.acknowledged.items())

        await eventually(more)

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))


@pytest.fixture
async def traffic(nodes: TwoNodes) -> AsyncIterator[Traffic]:
    traffic = Traffic(nodes.first)
    yield traffic
    for task in traffic._tasks:
        task.cancel()


def by_topic(taken: list[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for message in taken:
        found.setdefault(message.topic, []).append(int(message.payload))
    return found


async def other_master(cluster: RedisCluster) -> RedisProcess:
    return await asyncio.to_thread(cluster.other_master, "{mqtt}")


def is_so(probe: Callable[[], object]) -> Callable[[], Any]:
    async def ask() -> bool:
        return bool(probe())

    return ask


async def test_nothing_is_lost_and_nothing_comes_twice_while_the_slot_moves(
    nodes: TwoNodes, cluster: RedisCluster, traffic: Traffic
) -> None:
    away = await nodes.second.service.subscriber(("t/+", 2), client_id="away", clean=False)
    await away.disconnect()
    reader = await nodes.second.service.subscriber(("t/+", 2), client_id="reader", clean=False)
    taken: list[Any] = []

    async def read() -> None:
        while True:
            taken.append(await reader.take())

    reading = asyncio.create_task(read())
    await traffic.begin()
    for _ in range(2):
        await traffic.goes_on()
        target = await other_master(cluster)
        source = await asyncio.to_thread(cluster.begin_move, SLOT, target)
        # With a part of the keys on each side no script runs: it would see half of a session.
        await asyncio.to_thread(cluster.move_keys, SLOT, source, target, limit=8)
        await eventually(is_so(lambda: nodes.first.node.cluster.publisher.problem))
        await asyncio.to_thread(cluster.move_keys, SLOT, source, target)
        await asyncio.to_thread(cluster.finish_move, SLOT, target)
        assert await asyncio.to_thread(cluster.master_of, session("reader")) is target
    await traffic.goes_on()
    await traffic.end()
    await eventually(is_so(lambda: len(taken) == traffic.count))
    reading.cancel()
    await asyncio.wait([reading])
    await reader.nothing_more()
    assert by_topic(taken) == traffic.acknowledged
    back = await nodes.first.service.connect("away", clean=False)
    assert back.session_present
    assert by_topic([await back.take() for _ in range(traffic.count)]) == traffic.acknowledged
    await back.nothing_more()
    for node in (nodes.first, nodes.second):
        await eventually(is_so(lambda node=node: node.node.problem is None))  # type: ignore[misc]
        assert node.node.cluster.dropped.queue_length == 0
