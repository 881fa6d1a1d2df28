"""The work of one script is bounded, whatever comes at once: Redis does nothing else meanwhile."""

from redis.asyncio import Redis

from broker.cluster.batch import Guard, Part, Routed, build, split
from broker.cluster.publisher import Publish
from broker.cluster.routes import Plan
from broker.protocol.message import Message
from core.kinds import DEFAULT_KINDS
from tests.broker.cluster.conftest import MAX_AGE_MS, Running, Start, Time
from tests.redis_servers.clients import calls


def routed(
    count: int, *, payload: bytes = b"1", retain: bool = False, guarded: bool = False, to: int = 0
) -> list[Routed]:
    wanted = (1, ("x",))
    plan = Plan((), (), dict.fromkeys((f"c{number}" for number in range(to)), wanted))
    return [
        Routed(Message("x", payload, 2), Guard("c", number) if guarded else None, plan, retain=retain)
        for number in range(count)
    ]


def copied(part: Part) -> int:
    """Bytes that a script puts into queues."""
    return sum(len(part.blobs[blob - 1]) * len(clients) for _, blob, _, clients, _ in part.queues)


def test_very_many_messages_are_dealt_with_in_several_scripts() -> None:
    assert [len(some) for some in split(routed(26_000))] == [6000, 6000, 6000, 6000, 2000]
    assert [len(some) for some in split(routed(2000, retain=True))] == [545, 545, 545, 365]
    assert [len(some) for some in split(routed(2000, guarded=True))] == [1000, 1000]
    assert list(split([])) == []


def test_a_message_for_very_many_is_copied_in_several_scripts_according_to_its_size() -> None:
    assert [len(part.queues[0][3]) for part in build(routed(1, to=5000), DEFAULT_KINDS)] == [500] * 10
    parts = build(routed(1, payload=bytes(65_536), to=300), DEFAULT_KINDS)
    assert [len(part.queues[0][3]) for part in parts] == [100, 100, 100]
    parts = build(routed(40, payload=bytes(30_000), to=30), DEFAULT_KINDS)
    assert all(copied(part) < 8_000_000 for part in parts)
    assert sum(len(clients) for part in parts for _, _, _, clients, _ in part.queues) == 40 * 30


async def test_messages_of_one_call_are_new_or_not_whatever_they_are_split_into(start: Start) -> None:
    node = await start("a")
    await node.connect("c", 1)
    guards = [*range(1, 2001), *range(1, 1001), *range(2001, 2501)]
    publishes = [Publish(Message("x", b"1", 2, retain=True), guard=("c", number)) for number in guards]
    assert await node.cluster.publisher.publish(publishes) == [True] * 2000 + [False] * 1000 + [True] * 500


async def looks(client: Redis) -> int:
    return (await calls(client))["xrange"]


async def full(start: Start, messages: int) -> Running:
    node = await start("a", follow=False, queue_max_length=messages)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x", ingest=True)
    await node.publish("x", *(b"1" for _ in range(messages)))
    return node


async def test_a_full_queue_is_looked_at_only_when_something_in_it_may_be_too_old(
    start: Start, redis_client: Redis, time: Time
) -> None:
    node = await full(start, 5)
    before = await looks(redis_client)
    await node.publish("x", *(b"2" for _ in range(50)))
    assert await looks(redis_client) == before
    assert node.cluster.dropped.queue_length == 50
    time.now += MAX_AGE_MS + 1
    await node.publish("x", *(b"3" for _ in range(50)))
    assert await node.load("c", 1) == [b"3"] * 5
    assert (node.cluster.dropped.queue_age, node.cluster.dropped.queue_length) == (5, 95)


async def test_what_has_no_age_keeps_nothing_else(start: Start, time: Time) -> None:
    node = await start("a", follow=False, queue_max_length=3)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x")
    await node.publish("r", b"retained", retain=True)
    await node.cluster.sessions.enqueue_retained("c", 1, [("r", 1)])
    await node.publish("x", b"1", b"2", b"3")
    assert node.cluster.dropped.queue_length == 1
    time.now += MAX_AGE_MS + 1
    await node.publish("x", b"4", b"5", b"6")
    assert await node.load("c", 1) == [b"retained", b"4", b"5"]
