"""Positions that wait for subscribers: for minutes at the most, whether anybody comes or not."""

import msgspec
import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.cluster.sessions import Queued
from broker.protocol.message import Message
from tests.broker.cluster.conftest import MAX_AGE_MS, Running, Start, Time, keys_of_sessions
from tests.conftest import entries, eventually

MINUTES_MS = MAX_AGE_MS // 10


async def subscribed(start: Start, *filters: str, qos: int = 1, follow: bool = True) -> Running:
    node = await start("a", follow=follow, queue_positions_max_age_ms=MINUTES_MS)
    await node.connect("c", 1)
    await node.subscribe("c", 1, *(filters or ("#",)), qos=qos, ingest=True)
    return node


async def send(node: Running, topic: str, *payloads: bytes, user: str = "demo-car", qos: int = 1) -> None:
    messages = [Publish(Message(topic, payload, qos, user=user)) for payload in payloads]
    await node.cluster.publisher.publish(messages)


async def load(node: Running, *, after: int = 0, count: int = 100) -> list[Queued]:
    return await node.cluster.sessions.load("c", 1, after=after, count=count)


async def test_they_come_in_their_order_with_everything_else(start: Start) -> None:
    node = await subscribed(start)
    for number in range(0, 20, 2):
        await send(node, "car-iotp", bytes([number]))
        await node.publish("x", bytes([number + 1]))
    found: list[Queued] = []
    while some := await load(node, after=found[-1].sequence if found else 0, count=3):
        found += some
    assert [queued.message.payload[0] for queued in found] == list(range(20))
    assert [queued.sequence - found[0].sequence for queued in found] == list(range(20))


async def test_a_queue_says_whose_they_are(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start)
    await send(node, "car-iotp/7", b"1", user="somebody")
    (fields,) = await entries(redis_client, "brief:{mqtt}:c")
    assert msgspec.msgpack.decode(fields[b"b"]) == ["car-iotp/7", b"1", 1, False, False, "somebody", []]


@pytest.mark.parametrize("qos", [1, 2])
async def test_they_are_acknowledged_as_others_are(start: Start, redis_client: Redis, *, qos: int) -> None:
    node = await subscribed(start, qos=qos)
    await send(node, "car-iotp", b"1", b"2", qos=qos)
    first, _ = await load(node)
    if qos == 1:
        await node.cluster.sessions.acknowledge("c", first.sequence)
    else:
        await node.cluster.sessions.received("c", first.sequence)
        await node.cluster.sessions.complete("c", first.sequence)
    assert await redis_client.xlen("brief:{mqtt}:c") == 1
    await node.connect("c", 2)
    assert await node.load("c", 2) == [b"2"]


async def test_what_is_too_old_is_not_delivered_and_other_messages_are(start: Start, time: Time) -> None:
    node = await subscribed(start, follow=False)
    await send(node, "mobile-iotp/1", b"old")
    await node.publish("x", b"x")
    time.now += MINUTES_MS
    await send(node, "mobile-iotp/1", b"young")
    assert [queued.message.payload for queued in await load(node)] == [b"old", b"x", b"young"]
    time.now += 1
    assert [queued.message.payload for queued in await load(node)] == [b"x", b"young"]
    assert node.cluster.dropped.queue_age == 1


async def test_what_is_too_old_goes_when_the_next_comes(start: Start, redis_client: Redis, time: Time) -> None:
    node = await subscribed(start, follow=False)
    await send(node, "car-iotp", b"1", b"2", b"3")
    time.now += MINUTES_MS + 1
    await send(node, "car-iotp", b"4")
    assert await redis_client.xlen("brief:{mqtt}:c") == 1
    assert node.cluster.dropped.queue_age == 3


async def test_what_is_too_old_goes_though_nobody_ever_comes(start: Start, redis_client: Redis, time: Time) -> None:
    node = await subscribed(start)
    await node.publish("x", b"x")
    await send(node, "car-iotp", b"1", b"2")
    await node.cluster.sessions.close("c", 1, forget_will=True)
    time.now += MINUTES_MS + 1

    async def gone() -> bool:
        return not await redis_client.exists("brief:{mqtt}", "brief:{mqtt}:c") and node.cluster.dropped.queue_age == 2

    await eventually(gone)
    assert await redis_client.xlen("queue:{mqtt}:c") == 1


async def test_very_many_go_in_several_steps(
    start: Start, redis_client: Redis, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.cluster.reaper.POSITIONS_AT_ONCE", 10)
    node = await subscribed(start, follow=False)
    await send(node, "car-iotp", *(bytes([number]) for number in range(25)))
    time.now += MINUTES_MS
    await send(node, "car-iotp", b"young")
    assert not await node.cluster._reaper.sweep()
    time.now += 1
    steps = 0
    while await node.cluster._reaper.sweep():
        steps += 1
    assert steps == 3
    assert [queued.message.payload for queued in await load(node)] == [b"young"]
    assert await redis_client.zscore("brief:{mqtt}", "c") == time.now - 1
    time.now += MINUTES_MS
    while await node.cluster._reaper.sweep():
        pass
    assert await redis_client.exists("brief:{mqtt}", "brief:{mqtt}:c") == 0


async def test_they_count_in_bytes_and_number_as_others_do(start: Start, redis_client: Redis) -> None:
    node = await start("a", queue_max_length=3)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "#", ingest=True)
    await node.publish("x", b"1")
    await send(node, "car-iotp", b"2", b"3", b"4")
    assert node.cluster.dropped.queue_length == 1
    before = int(await redis_client.hget("session:{mqtt}:c", "bytes") or 0)
    await node.cluster.sessions.acknowledge("c", (await load(node))[1].sequence)
    assert int(await redis_client.hget("session:{mqtt}:c", "bytes") or 0) < before


async def test_nothing_of_them_is_left_of_a_session_that_is_gone(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start)
    await send(node, "car-iotp", b"1")
    await node.connect("c", 2, clean=True)
    await node.cluster.sessions.close("c", 2, forget_will=True)
    assert await keys_of_sessions(redis_client) == set()
