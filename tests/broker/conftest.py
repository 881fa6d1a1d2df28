"""Nodes in the test's own process, on free ports, beside a real Redis."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from broker.auth.passwords import Passwords, hash_password
from broker.auth.users import Authenticator, User, Users
from broker.cluster import follower
from broker.metrics import BrokerMetrics
from broker.node import Node
from broker.node_metrics import describe
from broker.session.connection import Connection as NodeConnection
from broker.settings import BrokerSettings
from broker.transport.listeners import listening
from core.clock import system_clock
from core.kinds import Role
from runtime.service import Stop, work_until_stopped
from state.client import open_redis
from tests.conftest import eventually, free_port
from tests.mqtt.client import Connection, Service
from tests.mqtt.wire import Publish
from tests.oracle.durable import DurableRedis, durable_redis

PASSWORD = b"right"


@dataclass
class RunningNode:
    """A node that serves, and clients of it; `stop` ends it in order."""

    node: Node
    settings: BrokerSettings
    metrics: BrokerMetrics
    stopped: Stop
    running: asyncio.Task[None]
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.service = Service([("127.0.0.1", self.settings.broker_port)])

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where there is none yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def refused(self, reason: str) -> float:
        return self.counted("broker_refused_total", reason=reason)

    def connection(self, client_id: str) -> NodeConnection:
        """The node's own side of a client's connection."""
        return self.node.clients[client_id]

    async def stop(self) -> None:
        self.stopped.set()
        await self.running


StartNode = Callable[..., Awaitable[RunningNode]]


@asynccontextmanager
async def running_node(url: str, **settings: Any) -> AsyncIterator[RunningNode]:
    chosen = {"broker_node": "node-1", "broker_port": free_port(), "mqtt_allow_anonymous": True, **settings}
    own = BrokerSettings(redis_url=url, **chosen)
    kinds = own.kinds()
    async with open_redis(own) as client:
        authenticator = Authenticator(
            users=Users(client),
            kinds=kinds,
            allow_anonymous=own.mqtt_allow_anonymous,
            clock=time.monotonic,
            passwords=Passwords(clock=time.monotonic, max_waiting=own.mqtt_logins_waiting),
        )
        metrics = BrokerMetrics(kinds)
        node = Node(
            settings=own,
            kinds=kinds,
            client=client,
            authenticator=authenticator,
            metrics=metrics,
            clock=system_clock,
        )
        describe(node)
        stopped = Stop()
        async with listening(own, node.new_connection):
            # As a service: what waits for a Redis that is away is cancelled after a while.
            serving = asyncio.create_task(work_until_stopped({"node": node.run}, stopped))
            running = RunningNode(node, own, metrics, stopped, serving)
            try:
                await eventually(lambda: has(lambda: node.problem is None or running.running.done()))
                yield running
            finally:
                running.service.drop_all()
                await running.stop()
                authenticator.close()
                assert not node.tasks
                assert not node.connecting


@pytest.fixture
async def start_node(
    redis_server: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartNode]:
    """Starts a node with the given settings; without `redis_url`, beside an empty Redis.

    A test that has a Redis of its own asks for that first: so it is still there when the node ends.
    """
    del redis_client  # it empties Redis
    monkeypatch.setattr(follower, "BLOCK_MS", 50)
    async with AsyncExitStack() as stack:

        async def start(redis_url: str = redis_server, **settings: Any) -> RunningNode:
            return await stack.enter_async_context(running_node(redis_url, **settings))

        yield start


@pytest.fixture
async def node(start_node: StartNode) -> RunningNode:
    return await start_node()


@dataclass(frozen=True, slots=True)
class TwoNodes:
    first: RunningNode
    second: RunningNode


@pytest.fixture
async def nodes(start_node: StartNode) -> TwoNodes:
    """Two nodes of one cluster."""
    return TwoNodes(await start_node(broker_node="node-1"), await start_node(broker_node="node-2"))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    made = Path(tempfile.mkdtemp(prefix="broker-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def own_redis(short_folder: Path) -> AsyncIterator[DurableRedis]:
    """A Redis of this test alone, which may go away and come back."""
    async with durable_redis(short_folder) as redis:
        yield redis


async def has(probe: Callable[[], Any]) -> bool:
    """For `eventually`: whether something holds that needs no waiting."""
    return bool(probe())


async def put_user(redis_client: Redis, name: str, role: Role, password: bytes = PASSWORD) -> None:
    await Users(redis_client).put([User(name, role.name, hash_password(password))])


async def next_publish(connection: Connection) -> Publish:
    """The next packet, which has to be a PUBLISH; without its identifier, so that it can be compared."""
    message = await connection.take()
    return Publish(message.topic, message.payload, message.qos, message.retain, message.dup)
