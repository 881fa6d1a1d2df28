"""States: what is retained below `v1`. The newest message of a topic replaces the ones before, also for who is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.cluster.retained import is_state, state_filters
from broker.cluster.sessions import Queued
from broker.protocol.message import Message
from core.kinds import Role
from state.routes import SubscriptionOptions
from tests.broker.cluster.conftest import MAX_AGE_MS, Running, Start, Time
from tests.conftest import eventually
from tests.kinds_of_tests import CAR_ROLE

EVERYTHING = [("v1/#", 2)]


async def subscribed(start: Start, client_id: str = "c", *filters: str, **options: Any) -> Running:
    """A node with a persistent session, connected as number 1 and subscribed to states."""
    node = await start("a", **options)
    await node.connect(client_id, 1)
    await node.cluster.sessions.subscribe(
        client_id,
        1,
        dict.fromkeys(filters or ("v1/#",), 2),
        persistent=True,
        ingest=False,
        interest=dict.fromkeys(filters or ("v1/#",), SubscriptionOptions(0)),
        states=True,
    )
    return node


async def put(node: Running, topic: str, payload: bytes, qos: int = 1) -> None:
    await node.publish(topic, payload, qos=qos, retain=True)


async def states(
    node: Running,
    connection: int = 1,
    *,
    after: int = 0,
    count: int = 100,
    filters: Sequence[tuple[str, int]] = EVERYTHING,
) -> list[Queued]:
    return await node.cluster.sessions.load("c", connection, after=after, count=count, states=filters)


def messages(found: list[Queued]) -> list[tuple[str, bytes]]:
    return [(queued.message.topic, queued.message.payload) for queued in found]


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (Message("v1/zones", b"1", 1, retain=True), True),
        (Message("v1/zones", b"", 2, retain=True), True),
        (Message("v1/zones", b"1", 0, retain=True), False),
        (Message("v1/zones", b"1", 1), False),
        (Message("v10/zones", b"1", 1, retain=True), False),
        (Message("chat", b"1", 1, retain=True), False),
    ],
)
def test_a_state_is_what_is_retained_below_v1_with_a_qos(message: Message, *, state: bool) -> None:
    assert is_state(message) is state


def test_only_services_get_states_by_filters_that_begin_with_a_wildcard() -> None:
    filters = {"v1/#": 1, "v1": 2, "#": 1, "+/zones": 2, "v1/a": 0, "chat": 1}
    assert state_filters(filters, CAR_ROLE) == [("v1/#", 1), ("v1", 2)]
    assert state_filters(filters, Role.SERVICE) == [("v1/#", 1), ("v1", 2), ("#", 1), ("+/zones", 2)]


async def test_who_comes_back_gets_each_topic_that_has_changed_once_and_as_it_is(start: Start) -> None:
    here, there = await subscribed(start), await start("b")
    await put(there, "v1/a", b"1")
    assert messages(await states(here)) == [("v1/a", b"1")]
    await here.cluster.sessions.close("c", 1, forget_will=True)
    for number in range(2, 50):
        await put(there, "v1/a", str(number).encode())
        await put(here, "v1/b", str(number).encode(), qos=2)
    await there.connect("c", 5)
    found = await states(there, 5)
    assert [queued.message for queued in found] == [
        Message("v1/a", b"49", 1),  # which it has not acknowledged
        Message("v1/a", b"49", 1),
        Message("v1/b", b"49", 2),
    ]
    assert [queued.duplicate for queued in found] == [True, False, False]


async def test_a_session_that_is_away_costs_nothing_for_each_state(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start)
    await node.cluster.sessions.close("c", 1, forget_will=True)
    await put(node, "v1/a", b"1")
    before = {key: await redis_client.dump(key) for key in ("session:{mqtt}:c", "sessions:bytes:{mqtt}")}
    for number in range(100):
        await put(node, "v1/a", bytes([number]) * 1000)
    assert {key: await redis_client.dump(key) for key in ("session:{mqtt}:c", "sessions:bytes:{mqtt}")} == before
    assert await redis_client.exists("queue:{mqtt}:c") == 0
    await node.connect("c", 2)
    assert messages(await states(node, 2)) == [("v1/a", bytes([99]) * 1000)]


async def test_what_is_acknowledged_does_not_come_again(start: Start) -> None:
    node = await subscribed(start)
    await put(node, "v1/a", b"1")
    await put(node, "v1/b", b"1")
    first, second = await states(node)
    await node.cluster.sessions.acknowledge("c", first.sequence)
    await put(node, "v1/a", b"2")
    (third,) = await states(node, after=second.sequence)
    assert messages([third]) == [("v1/a", b"2")]
    await node.connect("c", 2)
    again = await states(node, 2)
    assert [(each.sequence, each.duplicate) for each in again] == [(second.sequence, True), (third.sequence, True)]


async def test_a_topic_that_was_cleared_comes_as_an_empty_message(start: Start) -> None:
    node = await subscribed(start)
    await put(node, "v1/a", b"1")
    await node.cluster.sessions.close("c", 1, forget_will=True)
    await put(node, "v1/a", b"")
    await put(node, "v1/never", b"", qos=2)
    await node.connect("c", 2)
    assert messages(await states(node, 2)) == [("v1/a", b""), ("v1/never", b"")]


async def test_topics_that_were_cleared_are_remembered_up_to_a_limit(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    topics = [f"v1/{number}" for number in range(1010)]
    await node.cluster.publisher.publish([Publish(Message(topic, b"", 1, retain=True)) for topic in topics])
    assert await redis_client.zcard("states:gone:{mqtt}") == 1000
    assert await redis_client.zrange("states:{mqtt}", 0, 0) == [b"v1/10"]
    await put(node, "v1/10", b"1")
    assert await redis_client.zcard("states:gone:{mqtt}") == 999
    assert await redis_client.zcard("states:{mqtt}") == 1000


async def test_very_many_changes_come_in_several_steps(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start)
    topics = [f"v1/{number}" for number in range(450)]
    await node.cluster.publisher.publish([Publish(Message(topic, b"1", 1, retain=True)) for topic in topics])
    found: list[Queued] = []
    while some := await states(node, after=found[-1].sequence if found else 0, count=32):
        found += some
    assert messages(found) == [(topic, b"1") for topic in topics]
    only_the_last = await node.cluster.sessions.load("c", 1, after=found[-1].sequence, count=32)
    assert only_the_last == []
    await redis_client.hset("session:{mqtt}:c", "states", 0)
    found = await states(node, after=found[-1].sequence, count=1, filters=[("v1/449", 1)])
    assert messages(found) == [("v1/449", b"1")]


@pytest.mark.parametrize(
    ("topic_filter", "topics"),
    [
        ("v1", {"v1"}),
        ("v1/#", {"v1", "v1/a", "v1/a/b", "v1//b"}),
        ("v1/+", {"v1/a"}),
        ("v1/+/b", {"v1/a/b", "v1//b"}),
        ("v1/a/#", {"v1/a", "v1/a/b"}),
        ("v1//b", {"v1//b"}),
        ("+/a", {"v1/a"}),
        ("#", {"v1", "v1/a", "v1/a/b", "v1//b"}),
        ("v1/A", set()),
        ("v1/a/b/c", set()),
    ],
)
async def test_filters_match_as_anywhere_else(start: Start, topic_filter: str, topics: set[str]) -> None:
    node = await subscribed(start)
    for topic in ("v1", "v1/a", "v1/a/b", "v1//b"):
        await put(node, topic, b"1")
    assert {topic for topic, _ in messages(await states(node, filters=[(topic_filter, 1)]))} == topics


@pytest.mark.parametrize(("published", "granted", "delivered"), [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 2)])
async def test_a_state_has_the_lower_qos_and_the_highest_of_the_subscriptions(
    start: Start, published: int, granted: int, delivered: int
) -> None:
    node = await subscribed(start)
    await put(node, "v1/a", b"1", qos=published)
    (found,) = await states(node, filters=[("v1/a", 1), ("v1/+", granted), ("v1/#", 1)])
    assert found.message == Message("v1/a", b"1", delivered)


async def test_what_has_changed_before_the_first_subscription_is_not_for_it(start: Start) -> None:
    node = await start("a")
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x")
    await put(node, "v1/a", b"1")
    await node.cluster.sessions.subscribe("c", 1, {"v1/#": 1}, persistent=True, ingest=False, interest={}, states=True)
    assert await states(node) == []
    await put(node, "v1/b", b"2")
    assert messages(await states(node)) == [("v1/b", b"2")]


async def test_a_node_is_told_that_states_have_changed_that_it_wants_for_persistent_sessions_alone(
    start: Start,
) -> None:
    here, there = await subscribed(start), await start("b")
    await there.cluster.publisher.publish([Publish(Message(f"v1/{each}", b"1", 1, retain=True)) for each in "ab"])
    await put(there, "chat", b"1")

    async def told() -> bool:
        return here.local.states == ["v1/a", "v1/b"]

    await eventually(told)
    assert here.local.messages == []


async def test_a_subscriber_that_has_just_come_is_told_as_well(start: Start) -> None:
    slow, there = await start("a"), await start("b", follow=False)
    await there.cluster.routes.update()
    await slow.want("v1/+", qos=0)
    await put(there, "v1/a", b"1")

    async def told() -> bool:
        return "v1/a" in slow.local.states

    await eventually(told)


async def test_what_is_not_retained_is_a_message_like_any_other(start: Start) -> None:
    node = await subscribed(start)
    await node.publish("v1/a", b"1", b"2")
    await node.publish("v1/a", b"3", qos=0, retain=True)
    assert messages(await states(node)) == [("v1/a", b"1"), ("v1/a", b"2")]


async def test_a_state_without_room_is_a_message_like_any_other(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start, retained_max=1)
    await put(node, "v1/a", b"1")
    await put(node, "v1/b", b"2")
    await put(node, "v1/b", b"3")
    assert sorted(messages(await states(node))) == [("v1/a", b"1"), ("v1/b", b"2"), ("v1/b", b"3")]
    assert await redis_client.zrange("states:{mqtt}", 0, -1) == [b"v1/a"]


async def test_a_state_is_never_too_old(start: Start, time: Time) -> None:
    node = await subscribed(start)
    await put(node, "v1/a", b"1")
    (sent,) = await states(node)
    time.now += 10 * MAX_AGE_MS
    await node.connect("c", 2)
    (again,) = await states(node, 2)
    assert (again.sequence, again.message.payload) == (sent.sequence, b"1")


async def test_many_sessions_on_two_nodes_all_come_to_the_newest(start: Start) -> None:
    nodes = [await start("a"), await start("b")]
    for number in range(10):
        await nodes[number % 2].connect(f"c{number}", number)
        await nodes[number % 2].cluster.sessions.subscribe(
            f"c{number}", number, {"v1/#": 1}, persistent=True, ingest=False, interest={}, states=True
        )
    newest: dict[int, dict[str, bytes]] = {number: {} for number in range(10)}

    async def publish(node: Running) -> None:
        for number in range(30):
            await put(node, f"v1/{number % 5}", f"{node.cluster.node}{number}".encode())

    async def follow(number: int) -> None:
        after = 0
        for _ in range(30):
            found = await nodes[number % 2].cluster.sessions.load(
                f"c{number}", number, after=after, count=7, states=EVERYTHING
            )
            for queued in found:
                after = queued.sequence
                newest[number][queued.message.topic] = queued.message.payload
                await nodes[number % 2].cluster.sessions.acknowledge(f"c{number}", queued.sequence)

    await asyncio.gather(*map(publish, nodes), *map(follow, range(10)))
    await asyncio.gather(*map(follow, range(10)))
    (retained,) = await nodes[0].cluster.retained.matching(["v1/#"])
    expected = {message.topic: message.payload for message in retained}
    assert len(expected) == 5
    assert newest == dict.fromkeys(range(10), expected)
