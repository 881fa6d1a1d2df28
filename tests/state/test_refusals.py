"""Which nodes are told of what was refused: those where somebody has subscribed, whatever the filter."""

from collections.abc import Sequence
from typing import cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import Redis

from broker.protocol.topics import TopicTree, filter_problem
from state.mqtt import Scripts
from state.nodes import Nodes, inbox, interest
from state.queued import Message
from state.refusals import Refusals, filters_of, own_topic, topic_of_kind
from tests.kinds_of_tests import CAR

messages = msgspec.msgpack.Decoder(list[Message])
levels = st.sampled_from(["$SYS", "devices", "a", "b", "", "refused", "é", "$x"])
topics = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters = st.lists(levels | st.sampled_from(["+", "#"]), min_size=1, max_size=6).map("/".join)


def is_true_of(topic_filter: str, topic: str) -> bool:
    tree: TopicTree[str, None] = TopicTree()
    tree.set(topic_filter, "", None)
    return next(tree.match(topic), None) is not None


@given(topic=topics, others=st.lists(filters, max_size=30))
@example(topic="$SYS/broker/refused/car", others=["$SYS/#", "$SYS/+/refused/+", "#", "+/broker/refused/car"])
@example(topic="devices/a/refused", others=["#", "devices/#", "devices/a/refused/#", "+/+/+", "+/#"])
def test_the_filters_of_a_topic_are_those_that_a_node_takes_for_true_and_no_others(
    topic: str, others: list[str]
) -> None:
    found = list(filters_of(topic))
    assert len(set(found)) == len(found)
    assert all(filter_problem(each) is None for each in found)
    assert all(is_true_of(each, topic) for each in found)
    for other in others:
        if filter_problem(other) is None:
            assert (other in found) == is_true_of(other, topic)


def test_there_are_as_many_as_a_script_can_look_up() -> None:
    assert len(list(filters_of("$SYS/broker/refused/car"))) == 23
    assert len(list(filters_of("devices/car-7/refused"))) == 23


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("car-7", "devices/car-7/refused"),
        ("$SYS", "devices/$SYS/refused"),
        ("ann lee", "devices/ann lee/refused"),
        ("é", "devices/é/refused"),
        ("", None),
        ("a/b", None),
        ("/", None),
        ("+", None),
        ("a+", None),
        ("#", None),
        ("a#b", None),
    ],
)
def test_a_device_has_a_topic_of_its_own_unless_its_name_is_more_than_one_level(user: str, topic: str | None) -> None:
    assert own_topic(user) == topic


def test_services_have_one_for_each_kind() -> None:
    assert topic_of_kind(CAR) == "$SYS/broker/refused/car"


async def subscribed(client: Redis, node: str, *wanted: str) -> None:
    """A node, as it joins and advertises."""
    await Nodes(client, Scripts(client)).join(node)
    for each in wanted:
        await client.sadd(interest(node), each)


async def told(client: Redis, node: str) -> list[tuple[str, bytes]]:
    found = cast("Sequence[tuple[bytes, dict[bytes, bytes]]]", await client.xrange(inbox(node)))
    entries = [message for _, fields in found for message in messages.decode(fields[b"m"])]
    assert all((each.qos, each.retain) == (0, False) for each in entries)
    return [(each.topic, each.payload) for each in entries]


OWN, OTHER, OF_CARS = "devices/a/refused", "devices/b/refused", "$SYS/broker/refused/car"


@pytest.mark.parametrize(
    ("wanted", "topics"),
    [
        ([], []),
        (["#"], [OWN, OTHER]),
        (["$SYS/#"], [OF_CARS]),
        (["$SYS/broker/refused/car", "$SYS/#"], [OF_CARS]),
        (["devices/a/refused"], [OWN]),
        (["devices/+/refused", OF_CARS], [OWN, OTHER, OF_CARS]),
        (["devices/c/refused", "$SYS/broker/refused/mobile", "car-iotp/#", "v1/#"], []),
    ],
)
async def test_a_node_is_told_what_somebody_there_wants(
    redis_client: Redis, wanted: list[str], topics: list[str]
) -> None:
    await subscribed(redis_client, "n:1", *wanted)
    await subscribed(redis_client, "n:2", "other")
    sent = [(OWN, b"1"), (OTHER, b"2"), (OF_CARS, b"3"), (OWN, b"4")]
    assert await Refusals(redis_client).publish(sent) == 0
    found = await told(redis_client, "n:1")
    assert sorted(found) == sorted(each for each in sent if each[0] in topics)
    # Of one topic in their order.
    assert [payload for topic, payload in found if topic == OWN] == ([b"1", b"4"] if OWN in topics else [])
    assert await told(redis_client, "n:2") == []
    assert (await redis_client.get("carried:{mqtt}") or b"0") == (b"1" if topics else b"0")


async def test_where_there_is_no_node_nothing_happens(redis_client: Redis) -> None:
    assert await Refusals(redis_client).publish([(OWN, b"1")]) == 0
    assert await redis_client.keys("*") == []


async def test_a_node_that_is_cleared_up_after_is_told_nothing(redis_client: Redis) -> None:
    await subscribed(redis_client, "n:1", "#")
    await redis_client.hset("nodes:{mqtt}", "n:1", "-")
    assert await Refusals(redis_client).publish([(OWN, b"1")]) == 0
    assert await redis_client.exists(inbox("n:1")) == 0


async def test_an_inbox_with_a_mebibyte_takes_no_refusals_and_they_are_counted(redis_client: Redis) -> None:
    await subscribed(redis_client, "n:1", "#")
    await subscribed(redis_client, "n:2", "#")
    await redis_client.hset("node:{mqtt}:n:1", mapping={"sent": 1024 * 1024 + 5, "taken": 5})
    assert await Refusals(redis_client).publish([(OWN, b"1"), (OTHER, b"2")]) == 2
    assert await redis_client.exists(inbox("n:1")) == 0
    assert len(await told(redis_client, "n:2")) == 2


async def test_a_hundred_of_as_many_devices_at_four_nodes_are_a_look_up_each_and_one_more(redis_client: Redis) -> None:
    for number in range(4):
        await subscribed(redis_client, f"n:{number}", "v1/#", *(f"devices/u{each}/refused" for each in range(100)))
    refusals = Refusals(redis_client)
    sent = [(f"devices/u{each}/refused", b"x" * 200) for each in range(100)]
    await redis_client.config_resetstat()
    assert await refusals.publish(sent) == 0
    # The other filters that are true of all of them are asked for once at each node.
    calls = (await redis_client.info("commandstats"))["cmdstat_smismember"]["calls"]
    assert calls == 4 * 101
    assert [len(await told(redis_client, f"n:{number}")) for number in range(4)] == [100] * 4
    await redis_client.config_resetstat()
    assert await refusals.publish([(OF_CARS, b"x")] * 100) == 0
    assert (await redis_client.info("commandstats"))["cmdstat_smismember"]["calls"] == 4
