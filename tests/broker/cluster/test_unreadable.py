"""What nobody of ours wrote into what brokers share goes, with one dead letter for each, and nodes go on."""

from typing import Any, cast

from redis.asyncio import Redis

from core.messages import DeadLetter
from state.nodes import inbox, node_key, wills
from state.sessions import queue, session
from tests.broker.cluster.conftest import Start, delivered
from tests.conftest import entries, eventually

NODES = "nodes:{mqtt}"
RETAINED = "retained:{mqtt}"
ROUTES = "routes:{mqtt}"

BAD = b"\xff"


async def letters(client: Redis) -> list[str]:
    """What dead letters say that it was in."""
    found = [DeadLetter.decode(fields) for fields in await entries(client, "dead:{mqtt}")]
    return sorted(letter.detail.removeprefix("what is in ").partition(" ")[0] for letter in found)


async def test_each_thing_that_cannot_be_read_leaves_one_letter(start: Start, redis_client: Redis) -> None:
    client = cast("Any", redis_client)
    here = await start("a")
    await here.connect("c", 1)
    await here.subscribe("c", 1, "x")
    following = int(await client.hget(session("c"), "next"))
    await client.xadd(queue("c"), {"b": BAD, "a": "9007199254740991"}, id=f"{following}-0")
    await client.hset(session("c"), "next", following + 1)
    await client.hset(RETAINED, mapping={BAD: BAD, "kept/bad": BAD})
    await client.hset(wills(here.cluster.node), "7", BAD)
    await client.hset(ROUTES, mapping={BAD: b"\x92\x01\xc2", "n:": b"\x92\x01\xc2", "s:c\0y": "many"})
    await here.publish("x", b"1")
    assert await here.load("c", 1) == [b"1"]
    assert await here.cluster.retained.matching(["#", "kept/bad"]) == [[], []]
    assert await here.cluster.publisher.publish_will(here.cluster.node, 7) is None
    there = await start("b", follow=False)
    assert await letters(redis_client) == ["queue", "retained", "retained", "routes", "routes", "routes", "will"]
    await there.publish("x", b"2")
    assert await here.load("c", 1, after=following + 1) == [b"2"]
    assert await client.hkeys(RETAINED) == []


async def test_what_cannot_be_read_in_an_inbox_is_skipped_with_a_letter(start: Start, redis_client: Redis) -> None:
    client = cast("Any", redis_client)
    here, there = await start("a"), await start("b")
    await here.want("x")
    await there.publish("x", b"1")
    assert await delivered(here, 1) == [b"1"]
    sent = int(await client.hincrby(node_key(here.cluster.node), "sent", 10))
    await client.xadd(inbox(here.cluster.node), {"m": BAD, "w": BAD, "s": BAD, "k": BAD}, id=f"{sent}-0")
    await there.publish("x", b"2")
    assert await delivered(here, 2) == [b"1", b"2"]

    async def told() -> bool:
        return await letters(redis_client) == ["inbox"] * 4

    await eventually(told)


async def test_a_node_whose_name_is_none_is_forgotten_with_a_letter(start: Start, redis_client: Redis) -> None:
    client = cast("Any", redis_client)
    here = await start("a", follow=False)
    await client.hset(NODES, BAD, "1")
    await here.cluster._membership._nodes.forget(BAD)
    await here.cluster._membership._nodes.forget(BAD)
    assert await client.hkeys(NODES) == [here.cluster.node.encode()]
    assert await letters(redis_client) == ["nodes"]
