"""A node in the test's own process, on a free port, beside a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.node import Node
from broker.settings import BrokerSettings
from core.listening import listening_socket
from core.runtime import Stop
from tests.conftest import NOON, free_port


@dataclass(frozen=True, slots=True)
class RunningNode:
    port: int
    ingest: Ingest
    metrics: BrokerMetrics
    node: Node


@pytest.fixture
def broker_settings() -> BrokerSettings:
    return BrokerSettings(
        broker_port=free_port(), mqtt_allow_anonymous=True, mqtt_connect_timeout=5, raw_max_length=1000
    )


@pytest.fixture
async def node(redis_client: Redis, broker_settings: BrokerSettings) -> AsyncIterator[RunningNode]:
    ingest = Ingest(client=redis_client, partitions=1, max_length=broker_settings.raw_max_length)
    metrics = BrokerMetrics()
    node = Node(
        settings=broker_settings,
        listener=listening_socket("127.0.0.1", broker_settings.broker_port, setting="BROKER_PORT"),
        ingest=ingest,
        metrics=metrics,
        clock=lambda: NOON,
    )
    stop = Stop()
    appending = asyncio.create_task(ingest.run(stop))
    await node.start()
    yield RunningNode(broker_settings.broker_port, ingest, metrics, node)
    await node.shutdown()
    stop.set()
    await appending
