"""A defect in one part of a node ends nothing else, and whoever waited for that part is served once it is back."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from runtime import failures
from tests.broker.conftest import RunningNode, StartNode, TwoNodes, has
from tests.conftest import eventually
from tests.mqtt.wire import publish, subscribe
from tests.raw_streams import raw_messages


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_PAUSE_SECONDS", 0.05)


def broken_once(monkeypatch: pytest.MonkeyPatch, target: object, name: str) -> Callable[[], bool]:
    """Let a method fail the next time that it is called; gives whether it has."""
    failed: list[str] = []
    whole = getattr(target, name)

    def broken(*given: Any, **named: Any) -> object:
        if not failed:
            failed.append(name)
            raise ValueError("a defect")
        return whole(*given, **named)

    monkeypatch.setattr(target, name, broken)
    return lambda: bool(failed)


async def test_a_publisher_is_acknowledged_although_its_append_met_a_defect(
    node: RunningNode, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await node.service.connect()
    failed = broken_once(monkeypatch, node.node.ingest._appenders[0], "_send")
    await client.publish("car-iotp", b"payload", qos=1)
    assert failed()
    assert [message.payload for message in await raw_messages(redis_client)] == [b"payload"]
    assert (
        node.node.failures.problem == "stage ingest-0 fails, and is started again: ValueError (the log has its words)"
    )
    assert node.counted("broker_stage_failures_total", stage="ingest-0") == 1


async def test_a_publisher_is_acknowledged_although_the_answer_of_another_met_a_defect(
    node: RunningNode, redis_client: Redis
) -> None:
    client = await node.service.connect()
    lane = node.node.ingest._appenders[0]
    heard: list[str] = []

    def breaks() -> None:
        heard.append("first")
        raise ValueError("a defect")

    lane.append([], breaks)
    await client.publish("car-iotp", b"payload", qos=1)
    assert heard == ["first"]
    assert [message.payload for message in await raw_messages(redis_client)] == [b"payload"]


async def test_a_message_is_published_although_the_publisher_met_a_defect(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = await node.service.subscriber(("t", 1))
    client = await node.service.connect()
    failed = broken_once(monkeypatch, node.node.cluster.publisher, "_next_batch")
    await client.publish("t", b"payload", qos=1)
    assert failed()
    assert (await subscriber.message()).payload == b"payload"


async def test_a_message_that_brings_a_defect_is_the_end_of_its_own_connection_alone(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = node.node.cluster.publisher
    whole, together, batches = publisher._do, asyncio.Event(), []

    async def do(batch: list[Any]) -> None:
        batches.append(len(batch))
        await together.wait()
        if any(message.payload == b"poison" for waiting in batch for message, _ in waiting.messages):
            raise ValueError("a defect")
        await whole(batch)

    monkeypatch.setattr(publisher, "_do", do)
    subscriber = await node.service.subscriber(("t", 1))
    clients = [await node.service.connect() for _ in range(3)]
    # The first is under way alone, and the others wait together.
    for number, (client, payload) in enumerate(zip(clients, (b"first", b"poison", b"last"), strict=True)):
        await client.send(publish("t", payload, qos=1, packet_id=1))
        await eventually(lambda number=number: has(lambda: batches and len(publisher._waiting) == number))  # type: ignore[misc]
    together.set()
    await clients[1].closed()
    assert sorted([(await subscriber.message()).payload for _ in range(2)]) == [b"first", b"last"]
    assert node.refused("defect") == 1
    assert batches == [1, 2, 1, 1]
    assert node.node.failures.problem is None
    await clients[2].disconnect()


async def test_a_subscription_is_known_to_the_others_although_telling_them_met_a_defect(
    nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = broken_once(monkeypatch, nodes.first.node.cluster.sessions, "interest")
    subscriber = await nodes.first.service.subscriber(("t", 1))
    assert failed()
    client = await nodes.second.service.connect()
    await client.publish("t", b"payload", qos=1)
    assert (await subscriber.message()).payload == b"payload"


async def test_a_node_stays_in_the_cluster_although_a_heartbeat_met_a_defect(
    nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = broken_once(monkeypatch, nodes.first.node.cluster._membership, "beat")
    await eventually(lambda: has(failed))
    subscriber = await nodes.first.service.subscriber(("t", 1))
    client = await nodes.second.service.connect()
    await client.publish("t", b"payload", qos=1)
    assert (await subscriber.message()).payload == b"payload"
    await nodes.first.stop()
    assert nodes.first.running.exception() is None


async def test_figures_that_fail_do_not_turn_clients_away(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(sys_interval=1)
    failed = broken_once(monkeypatch, node.node.sys, "update")
    await eventually(lambda: has(failed))
    assert node.node.failures.problem is None
    assert node.node.failures.remark == "stage sys fails, and is started again: ValueError (the log has its words)"
    await node.service.connect()


@pytest.mark.parametrize("part", ["publisher", "sessions", "scripts"])
async def test_who_waits_for_something_that_meets_a_defect_is_not_left_waiting(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    other = await node.service.connect()
    client = await node.service.connect("persistent", clean=False)
    if part == "scripts":
        # Of sessions alone: heartbeats go by the same scripts.
        turns = node.node.cluster.sessions._store._turns
        scripts = SimpleNamespace(send=turns._scripts.send, command=turns._scripts.command)
        monkeypatch.setattr(turns, "_scripts", scripts)
        failed = broken_once(monkeypatch, scripts, "send")
        await client.send(subscribe(1, ("t", 1)))
    elif part == "publisher":
        failed = broken_once(monkeypatch, node.node.cluster.publisher, "publish")
        await client.send(publish("t", b"payload", qos=1, packet_id=1))
    else:
        failed = broken_once(monkeypatch, node.node.cluster.sessions, "subscribe")
        await client.send(subscribe(1, ("t", 1)))
    await client.closed_whatever_came_before()
    assert failed()
    assert node.refused("defect") == 1
    await other.ping()


async def test_a_queue_that_cannot_be_read_ends_its_connection_and_is_there_for_the_next(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = await node.service.connect("persistent", clean=False)
    await subscriber.subscribe(("t", 1))
    client = await node.service.connect()
    failed = broken_once(monkeypatch, node.node.cluster.sessions, "load")
    await client.publish("t", b"payload", qos=1)
    await subscriber.closed_whatever_came_before()
    assert failed()
    again = await node.service.connect("persistent", clean=False)
    assert (await again.message()).payload == b"payload"
