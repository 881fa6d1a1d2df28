import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from broker.cluster.membership import Membership
from broker.protocol.message import Message
from core.kinds import DEFAULT_KINDS
from tests.broker.cluster.conftest import EXPIRY_MS, Running, Start, Time, delivered, is_well, keys_of_sessions
from tests.conftest import eventually

QUICK: dict[str, Any] = {"heartbeat": 0.05, "dead_after": 0.4}


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def doomed(node: Running) -> set[str]:
    """The nodes that it takes for dead."""
    return node.cluster._reaper._to_reap


async def beat(node: Running, seconds: Seconds, *, times: int, every: float = 1.0) -> None:
    membership: Membership = node.cluster._membership
    for _ in range(times):
        seconds.now += every
        await membership.beat()


async def is_gone(client: Redis, node: str) -> None:
    """Wait until others have cleared up after a node."""

    async def probe() -> bool:
        return not await client.hexists("nodes:{mqtt}", node)

    await eventually(probe)


async def test_a_node_whose_heartbeat_stands_still_for_five_seconds_is_dead(start: Start) -> None:
    seconds = Seconds()
    watcher, other = await start("a", follow=False, monotonic=seconds), await start("b", follow=False)
    await beat(watcher, seconds, times=5)
    assert doomed(watcher) == set()
    await beat(watcher, seconds, times=1)
    assert doomed(watcher) == {other.cluster.node}


async def test_a_node_counts_itself_and_those_that_live_and_nobody_while_it_is_cut_off(
    start: Start, redis_client: Redis
) -> None:
    seconds = Seconds()
    one = await start("a", follow=False, monotonic=seconds)
    assert one.cluster.nodes_seen == 1
    other = await start("b", follow=False)
    await beat(one, seconds, times=1)
    assert one.cluster.nodes_seen == 2
    # Others clear up after it.
    await redis_client.hset("nodes:{mqtt}", other.cluster.node, "-")
    await beat(one, seconds, times=1)
    assert one.cluster.nodes_seen == 1
    one.cluster._membership.problem = "Redis does not answer"
    assert one.cluster.nodes_seen == 0


async def test_a_node_that_beats_is_not_dead(start: Start) -> None:
    seconds = Seconds()
    watcher, other = await start("a", follow=False, monotonic=seconds), await start("b", follow=False)
    for _ in range(5):
        await beat(watcher, seconds, times=4)
        await other.cluster._membership.beat()
    assert doomed(watcher) == set()


async def test_many_looks_in_less_than_five_seconds_condemn_nobody(start: Start) -> None:
    seconds = Seconds()
    watcher, _ = await start("a", follow=False, monotonic=seconds), await start("b", follow=False)
    await beat(watcher, seconds, times=40, every=0.1)
    assert doomed(watcher) == set()


async def test_five_seconds_with_fewer_than_five_looks_condemn_nobody(start: Start) -> None:
    seconds = Seconds()
    watcher, other = await start("a", follow=False, monotonic=seconds), await start("b", follow=False)
    await beat(watcher, seconds, times=5, every=2.0)
    assert doomed(watcher) == set()
    await beat(watcher, seconds, times=1, every=2.0)
    assert doomed(watcher) == {other.cluster.node}


async def test_an_outage_of_redis_condemns_nobody(start: Start) -> None:
    seconds = Seconds()
    watcher, other = await start("a", follow=False, monotonic=seconds), await start("b", follow=False)
    await beat(watcher, seconds, times=3)
    seconds.now += 60
    await beat(watcher, seconds, times=5)
    assert doomed(watcher) == set()
    await other.cluster._membership.beat()
    await beat(watcher, seconds, times=4)
    assert doomed(watcher) == set()


async def test_a_dead_node_s_sessions_are_free_and_its_wills_are_published(
    start: Start, redis_client: Redis, time: Time
) -> None:
    one, two, dying = [await start(name, **QUICK) for name in ("a", "b", "c")]
    await one.want("will/+")
    await two.want("will/+")
    await dying.want("x", "y")
    for number in range(3):
        await dying.connect(f"clean{number}", number, clean=True, will=Message(f"will/{number}", b"clean", 1))
    await dying.connect("kept", 9, will=Message("will/kept", b"kept", 0, retain=True))
    await dying.subscribe("kept", 9, "q")
    await dying.connect("moved", 10, will=Message("will/moved", b"moved", 2))
    await one.connect("moved", 1)
    await dying.die()
    await is_gone(redis_client, dying.cluster.node)
    for node in (one, two):
        assert sorted(await delivered(node, 5)) == [b"clean"] * 3 + [b"kept", b"moved"]
    assert await redis_client.zrange("sessions:expiry:{mqtt}", 0, -1, withscores=True) == [
        (b"kept", time.now + EXPIRY_MS)
    ]
    await two.publish("q", b"1")
    await two.connect("kept", 1)
    assert await two.load("kept", 1) == [b"1"]
    await one.subscribe("moved", 1, "z")
    left = {key.decode() for key in cast("list[bytes]", await redis_client.keys("*"))}
    assert not {key for key in left if dying.cluster.node in key or "clean" in key}
    routes = {
        field.decode().replace("\0", " ") for field in cast("list[bytes]", await redis_client.hkeys("routes:{mqtt}"))
    }
    assert routes == {
        f"n:{one.cluster.node} will/+",
        f"n:{two.cluster.node} will/+",
        "s:kept q",
        "s:moved z",
    }
    assert (one.local.times_fenced, two.local.times_fenced) == (0, 0)


async def test_a_node_with_many_clients_and_filters_is_cleared_up_after_in_steps(
    start: Start, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.cluster.reaper.AT_ONCE", 10)
    one, dying = await start("a", follow=False), await start("b", follow=False)
    await dying.want(*(f"x/{number}" for number in range(55)))
    await asyncio.gather(*(dying.connect(f"c{number}", number, clean=True) for number in range(55)))
    await asyncio.gather(*(dying.connect(f"p{number}", 100 + number) for number in range(5)))
    await one.cluster._reaper.reap(dying.cluster.node)
    sessions = {f"session:{{mqtt}}:p{number}".encode() for number in range(5)}
    assert (
        await keys_of_sessions(redis_client)
        == {b"sessions:expiry:{mqtt}", b"sessions:{mqtt}", b"owner:{mqtt}:a:"} | sessions
    )
    assert await redis_client.zcard("sessions:expiry:{mqtt}") == 5
    assert await redis_client.hkeys("nodes:{mqtt}") == [one.cluster.node.encode()]
    assert await redis_client.exists(f"node:{{mqtt}}:{dying.cluster.node}") == 0


async def test_two_that_clear_up_after_the_same_node_publish_its_wills_once(start: Start) -> None:
    one, two, three, dying = [await start(name, follow=name == "c") for name in "abcd"]
    await three.want("will")
    for number in range(20):
        await dying.connect(f"c{number}", number, will=Message("will", str(number).encode(), 1))
    await asyncio.gather(*(node.cluster._reaper.reap(dying.cluster.node) for node in (one, two)))
    # Each message also goes to the reaper's own connections, directly.
    mine = one.local.payloads + two.local.payloads
    expected = sorted(str(number).encode() for number in range(20))
    assert sorted(mine) == expected
    assert sorted(await delivered(three, 20)) == expected


async def test_what_a_reaper_left_unfinished_is_finished_by_another(start: Start, redis_client: Redis) -> None:
    dying = await start("a")
    await dying.want("x")
    await dying.connect("c", 1)
    await dying.die()
    await redis_client.hset("nodes:{mqtt}", dying.cluster.node, "-")
    other = await start("b", **QUICK)
    await is_gone(redis_client, dying.cluster.node)
    assert (
        await redis_client.exists(
            f"interest:{{mqtt}}:{dying.cluster.node}", f"clients:{{mqtt}}:{dying.cluster.node}", "routes:{mqtt}"
        )
        == 0
    )
    await other.connect("c", 1)


async def test_a_node_that_others_took_for_dead_ends_its_connections_and_becomes_another(
    start: Start, redis_client: Redis
) -> None:
    one, other = await start("a", **QUICK), await start("b", **QUICK)
    await other.want("x")
    await other.connect("c", 1)
    was = other.cluster.node
    await one.cluster._reaper.reap(was)

    async def fenced() -> bool:
        return other.local.times_fenced == 1 and await is_well(other)()

    await eventually(fenced)
    assert other.cluster.node != was
    assert other.cluster.node.startswith("b:")
    await other.want("y")
    await one.publish("x", b"1")
    await one.publish("y", b"2")
    assert await delivered(other, 1) == [b"2"]
    await one.want("z")
    assert await other.publish("z", b"3") == [True]
    assert await delivered(one, 1) == [b"3"]
    assert not [key async for key in redis_client.scan_iter(f"*{was}*")]


async def test_a_node_that_publishes_while_it_is_taken_for_dead_does_so_as_another(start: Start) -> None:
    one, other = await start("a", **QUICK), await start("b", **QUICK)
    await one.want("x")
    await one.cluster._reaper.reap(other.cluster.node)
    assert await other.publish("x", b"1") == [True]
    assert await delivered(one, 1) == [b"1"]


async def test_a_redis_that_was_emptied_makes_all_begin_anew(start: Start, redis_client: Redis) -> None:
    one, other = await start("a", **QUICK), await start("b", **QUICK)
    for number in range(5):
        await one.want(f"x/{number}")
    await redis_client.flushall()

    async def again() -> bool:
        return one.local.times_fenced == 1 and other.local.times_fenced == 1

    await eventually(again)
    await eventually(is_well(one))
    await eventually(is_well(other))
    await one.want("y")
    await other.publish("x/1", b"1")
    await other.publish("y", b"2")
    assert await delivered(one, 1) == [b"2"]


async def test_a_node_that_leaves_is_gone_at_once(start: Start, redis_client: Redis) -> None:
    one, other = await start("a"), await start("b")
    await one.want("will", "z")
    await other.want("x")
    await other.connect("clean", 1, clean=True)
    await other.connect("kept", 2, will=Message("will", b"unclosed", 1))
    await other.leave()
    assert await delivered(one, 1) == [b"unclosed"]
    assert await redis_client.hkeys("nodes:{mqtt}") == [one.cluster.node.encode()]
    assert not [key async for key in redis_client.scan_iter(f"*{other.cluster.node}*")]
    assert await redis_client.exists("session:{mqtt}:clean") == 0
    assert await redis_client.zrange("sessions:expiry:{mqtt}", 0, -1) == [b"kept"]
    assert other.local.times_fenced == 0


async def test_a_change_of_users_is_noticed(start: Start, redis_client: Redis) -> None:
    await redis_client.incr("users:version:{mqtt}")
    one, other = await start("a", **QUICK), await start("b", **QUICK)

    async def noticed() -> bool:
        return (one.local.times_users_changed, other.local.times_users_changed) == (1, 1)

    await one.publish("x", b"1")
    assert one.local.times_users_changed == 0
    await redis_client.incr("users:version:{mqtt}")
    await eventually(noticed)


async def test_a_node_is_not_ready_before_it_has_joined(start: Start) -> None:
    node = await start("a")
    assert node.cluster.problem is None
    fresh = Membership(
        kinds=DEFAULT_KINDS,
        nodes=node.cluster._membership._nodes,
        scripts=node.cluster._membership._scripts,
        identity=node.cluster._identity,
        routes=node.cluster.routes,
        reaper=node.cluster._reaper,
        local=node.local,
        monotonic=Seconds(),
        heartbeat=1,
        dead_after=5,
    )
    assert fresh.problem
    await fresh.beat()
    assert fresh.problem is None
