from typing import Any

import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.protocol.message import Message
from tests.broker.cluster.conftest import Running, Start, delivered


async def retained(node: Running, topic_filter: str = "#") -> dict[str, bytes]:
    (found,) = await node.cluster.retained.matching([topic_filter])
    return {message.topic: message.payload for message in found}


async def put(node: Running, topic: str, payload: bytes, *, anonymous: bool = False) -> None:
    message = Message(topic, payload, 1, retain=True, anonymous=anonymous)
    await node.cluster.publisher.publish([Publish(message)])


async def counted(redis_client: Redis) -> tuple[Any, Any]:
    return await redis_client.hgetall("retained:bytes:{mqtt}"), await redis_client.smembers("retained:anonymous:{mqtt}")


async def recounted(redis_client: Redis) -> dict[Any, Any]:
    """What `retained:bytes` has to be."""
    anonymous = await redis_client.smembers("retained:anonymous:{mqtt}")
    sizes = {topic: len(topic) + len(value) for topic, value in (await redis_client.hgetall("retained:{mqtt}")).items()}
    return {
        b"all": str(sum(sizes.values())).encode(),
        b"anonymous": str(sum(size for topic, size in sizes.items() if topic in anonymous)).encode(),
    }


@pytest.mark.parametrize("topic", ["car-iotp", "car-iotp/7", "mobile-iotp", "mobile-iotp/a/b"])
@pytest.mark.parametrize("anonymous", [True, False])
async def test_nothing_on_or_below_an_ingest_topic_is_retained(start: Start, *, topic: str, anonymous: bool) -> None:
    here, there = await start("a"), await start("b")
    await here.want("#", positions=True)
    await put(there, topic, b"1", anonymous=anonymous)
    assert await delivered(here, 1) == [b"1"]
    assert await retained(here) == {}
    assert await retained(here, topic) == {}
    assert there.cluster.dropped.retained == 0


async def test_what_an_earlier_version_has_retained_of_positions_goes_when_a_node_joins(
    start: Start, redis_client: Redis
) -> None:
    await redis_client.hset(
        "retained:{mqtt}",
        mapping={"car-iotp": "1", "mobile-iotp/7": "2", "v1/zones": "3", "chat": "4", "car-iotp-2": "5"},
    )
    await start("a")
    assert await redis_client.hgetall("retained:{mqtt}") == {b"v1/zones": b"3", b"chat": b"4", b"car-iotp-2": b"5"}
    assert await counted(redis_client) == (
        {b"all": b"25", b"anonymous": b"16"},
        {b"chat", b"car-iotp-2"},
    )


async def test_anonymous_clients_cannot_take_the_room_of_others(start: Start, redis_client: Redis) -> None:
    node = await start("a", retained_max=10, retained_anonymous_max=3)
    for number in range(10):
        await put(node, f"chat/{number}", b"1", anonymous=True)
    assert node.cluster.dropped.retained == 7
    for number in range(7):
        await put(node, f"v1/zones/{number}", b"2")
    assert node.cluster.dropped.retained == 7
    assert len(await retained(node)) == 10
    await put(node, "v1/zones/7", b"2")
    assert node.cluster.dropped.retained == 8
    assert await redis_client.hgetall("retained:bytes:{mqtt}") == await recounted(redis_client)


async def test_they_have_a_limit_in_bytes_as_well(start: Start, redis_client: Redis) -> None:
    node = await start("a", retained_max_bytes=3000, retained_anonymous_max_bytes=1000)
    await put(node, "chat/1", bytes(600), anonymous=True)
    await put(node, "chat/2", bytes(600), anonymous=True)
    assert set(await retained(node)) == {"chat/1"}
    await put(node, "v1/a", bytes(1900))
    await put(node, "v1/b", bytes(900))
    assert set(await retained(node)) == {"chat/1", "v1/a"}
    assert node.cluster.dropped.retained == 2
    assert await redis_client.hgetall("retained:bytes:{mqtt}") == await recounted(redis_client)


async def test_a_message_without_room_leaves_nothing_older_on_its_topic(start: Start, redis_client: Redis) -> None:
    node = await start("a", retained_max_bytes=1000)
    await put(node, "v1/a", b"old")
    await put(node, "v1/a", bytes(2000))
    assert await retained(node) == {}
    await put(node, "v1/a", b"new")
    assert await retained(node) == {"v1/a": b"new"}
    assert await redis_client.hgetall("retained:bytes:{mqtt}") == await recounted(redis_client)


async def test_a_topic_is_counted_for_whoever_wrote_it_last_and_for_nobody_once_it_is_empty(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a", retained_anonymous_max=1)
    await put(node, "x", b"1", anonymous=True)
    await put(node, "x", b"22")
    await put(node, "y", b"3", anonymous=True)
    await put(node, "x", b"4", anonymous=True)
    assert await retained(node) == {"y": b"3"}
    await put(node, "y", b"", anonymous=True)
    await put(node, "x", b"5", anonymous=True)
    assert await retained(node) == {"x": b"5"}
    assert await counted(redis_client) == (await recounted(redis_client), {b"x"})
    await put(node, "x", b"")
    assert await counted(redis_client) == ({b"all": b"0", b"anonymous": b"0"}, set())


async def test_a_count_that_is_wrong_is_right_again_once_a_node_joins(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    await put(node, "x", b"1", anonymous=True)
    await put(node, "v1/x", b"1")
    right = await recounted(redis_client)
    await redis_client.hset("retained:bytes:{mqtt}", mapping={"all": "7", "anonymous": "9000"})
    await start("b")
    assert await counted(redis_client) == (right, {b"x"})
    await node.cluster._membership.beat()
    usage = node.cluster.usage
    assert (usage.retained, usage.retained_anonymous) == (2, 1)
    assert (usage.retained_bytes, usage.retained_anonymous_bytes) == (int(right[b"all"]), int(right[b"anonymous"]))
