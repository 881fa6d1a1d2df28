import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from broker.auth.users import Users
from broker.cluster.publisher import Publish
from broker.cluster.sessions import ForeignSessionError, Opened, SupersededError
from broker.protocol.message import Message
from core.errors import UnavailableError
from state.routes import SubscriptionOptions
from tests.broker.cluster.conftest import EXPIRY_MS, Running, Start, Time, keys_of_sessions
from tests.conftest import eventually

NEW = Opened(present=False, subscriptions={}, received=set(), released=[], previous=None)


async def open_session(node: Running, connection: int, *, clean: bool = False) -> Opened:
    return await node.cluster.sessions.open("c", connection, clean=clean, will=None)


async def close(node: Running, connection: int) -> None:
    await node.cluster.sessions.close("c", connection, forget_will=True)


async def test_a_clean_session_ends_with_its_connection_and_leaves_nothing(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    will = Message("will", b"gone", 1)
    assert await node.cluster.sessions.open("c", 1, clean=True, will=will) == NEW
    await node.cluster.sessions.subscribe(
        "c", 1, {"x": 1}, persistent=False, ingest=False, interest={"x": SubscriptionOptions(2)}
    )
    await node.cluster.sessions.interest({"x": None})
    await close(node, 1)
    assert await keys_of_sessions(redis_client) == set()
    assert await open_session(node, 2) == NEW


async def test_a_persistent_session_goes_on_with_its_subscriptions_on_another_node(start: Start) -> None:
    here, there = await start("a"), await start("b")
    assert await open_session(here, 1) == NEW
    await here.cluster.sessions.subscribe("c", 1, {"x/#": 2, "y": 0, "z": 1}, persistent=True, ingest=True, interest={})
    await here.cluster.sessions.unsubscribe("c", 1, ["z", "never"], persistent=True, interest={})
    await close(here, 1)
    assert await open_session(there, 1) == NEW._replace(present=True, subscriptions={"x/#": 2, "y": 0})


async def test_a_clean_connection_deletes_the_persistent_session(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await open_session(here, 1)
    await here.subscribe("c", 1, "x")
    await close(here, 1)
    await there.publish("x", b"1")
    assert await open_session(there, 1, clean=True) == NEW
    await close(there, 1)
    assert await keys_of_sessions(redis_client) == set()


async def open_as(node: Running, owner: str, connection: int, *, clean: bool = False) -> Opened:
    return await node.cluster.sessions.open("c", connection, owner=owner, clean=clean, will=None)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("connected", [True, False])
async def test_nobody_but_its_owner_gets_or_ends_a_persistent_session(
    start: Start, redis_client: Redis, *, connected: bool, clean: bool
) -> None:
    here, there = await start("a"), await start("b")
    await open_as(here, "a:192.0.2.1", 1)
    await here.subscribe("c", 1, "x")
    if not connected:
        await close(here, 1)
    await there.publish("x", b"1")
    before = {key: await redis_client.dump(key) for key in await keys_of_sessions(redis_client)}
    for owner in ("a:192.0.2.2", "u:192.0.2.1", "a:"):
        with pytest.raises(ForeignSessionError):
            await open_as(there, owner, 2, clean=clean)
        await close(there, 2)
    assert {key: await redis_client.dump(key) for key in await keys_of_sessions(redis_client)} == before
    opened = await open_as(there, "a:192.0.2.1", 3)
    assert (opened.present, opened.subscriptions) == (True, {"x": 1})
    assert await there.load("c", 3) == [b"1"]


async def test_nobody_else_ends_the_connection_of_a_clean_session(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await open_as(here, "a:1", 1, clean=True)
    with pytest.raises(ForeignSessionError):
        await open_as(there, "a:2", 1)
    await close(here, 1)
    assert await open_as(there, "a:2", 2) == NEW


async def test_of_two_owners_who_come_at_once_one_has_the_session(start: Start) -> None:
    nodes = [await start(name) for name in "ab"]

    async def attempt(number: int) -> bool:
        try:
            await open_as(nodes[number % 2], f"a:{number % 4}", number)
        except ForeignSessionError:
            return False
        return True

    assert [number % 4 for number, got in enumerate(await asyncio.gather(*map(attempt, range(40)))) if got] in (
        [0] * 10,
        [1] * 10,
    )


async def test_a_session_of_an_earlier_version_is_its_users_or_the_first_anonymous_clients(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a")
    await redis_client.hset("users:{mqtt}", "one", "")
    for user, owner, other in (("one", "u:one", "a:1"), ("", "a:1", "u:one")):
        old: dict[Any, Any] = {"clean": "0", "user": user, "next": "5", "sent": "4", "floor": "1", "before": "0"}
        await redis_client.hset("session:{mqtt}:c", mapping=old)
        with pytest.raises(ForeignSessionError):
            await open_as(node, other, 1)
        assert (await open_as(node, owner, 2)).present
        assert await redis_client.smembers(f"owner:{{mqtt}}:{owner}") == {b"c"}
        await open_as(node, owner, 3, clean=True)
        await close(node, 3)


async def test_sessions_of_a_user_who_was_removed_are_gone_and_nobody_inherits_them(
    start: Start, redis_client: Redis
) -> None:
    here, there = await start("a"), await start("b")
    await redis_client.hset("users:{mqtt}", mapping={"one": "", "two": ""})
    for number in range(20):
        await here.cluster.sessions.open(f"c{number}", number, owner="u:one", clean=False, will=None)
        await here.subscribe(f"c{number}", number, "x")
        if number:
            await here.cluster.sessions.close(f"c{number}", number, forget_will=True)
    await there.cluster.sessions.open("other", 1, owner="u:two", clean=False, will=None)
    await there.subscribe("other", 1, "x")
    await there.publish("x", b"1")
    await Users(redis_client).remove(["one", "nobody"])
    # Whoever is made anew with that name.
    await redis_client.hset("users:{mqtt}", "one", "")

    async def gone() -> bool:
        return await redis_client.smembers("sessions:{mqtt}") == {b"other"}

    await eventually(gone)
    assert await there.load("other", 1) == [b"1"]
    opened = await there.cluster.sessions.open("c3", 2, owner="u:one", clean=False, will=None)
    assert opened == NEW

    async def told() -> bool:
        return here.local.disconnected == [("c0", 0)] and not await redis_client.exists("users:removed:{mqtt}")

    await eventually(told)


async def test_very_many_sessions_of_a_user_who_was_removed_go_in_several_steps(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a", follow=False)
    await redis_client.hset("users:{mqtt}", "one", "")
    for number in range(4):
        await node.cluster.sessions.open(f"c{number}", number, owner="u:one", clean=False, will=None)
        await node.subscribe(f"c{number}", number, *(f"x/{each}" for each in range(200)))
    await Users(redis_client).remove(["one"])
    assert [await node.cluster._reaper.erase() for _ in range(3)] == [True, True, False]
    assert await redis_client.exists("sessions:{mqtt}", "owner:{mqtt}:u:one", "users:removed:{mqtt}") == 0


async def test_a_session_whose_user_was_removed_meanwhile_ends_with_its_connection(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a")
    await open_as(node, "u:gone", 1)
    await node.subscribe("c", 1, "x")
    await close(node, 1)
    assert await keys_of_sessions(redis_client) == set()


async def test_a_clean_session_is_nothing_to_go_on_with(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await open_session(here, 1, clean=True)
    assert await open_session(there, 1) == NEW._replace(previous=(here.cluster.node, 1))


async def test_an_older_connection_on_another_node_is_told_to_end(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await open_session(here, 7)
    assert await open_session(there, 1) == NEW._replace(present=True, previous=(here.cluster.node, 7))

    async def told() -> bool:
        return here.local.disconnected == [("c", 7)]

    await eventually(told)
    assert there.local.disconnected == []


async def test_an_older_connection_on_the_same_node_is_named(start: Start) -> None:
    node = await start("a")
    await open_session(node, 1)
    assert (await open_session(node, 2)).previous == (node.cluster.node, 1)


async def test_opening_again_after_a_lost_answer_gives_the_same_answer(start: Start) -> None:
    here, there = await start("a"), await start("b")
    assert [await open_session(here, 1), await open_session(here, 1)] == [NEW, NEW]
    taken = NEW._replace(present=True, previous=(here.cluster.node, 1))
    assert [await open_session(there, 1), await open_session(there, 1)] == [taken, taken]
    cleaned = NEW._replace(previous=(there.cluster.node, 1))
    opened = [await open_session(here, 2, clean=True), await open_session(here, 2, clean=True)]
    assert opened == [cleaned, cleaned]


async def test_a_connection_that_was_taken_over_can_do_nothing_more(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await open_session(here, 1)
    await open_session(there, 1)
    with pytest.raises(SupersededError):
        await here.subscribe("c", 1, "x")
    with pytest.raises(SupersededError):
        await here.cluster.sessions.unsubscribe("c", 1, ["x"], persistent=True, interest={})
    with pytest.raises(SupersededError):
        await here.cluster.sessions.load("c", 1, after=0, count=1)
    with pytest.raises(SupersededError):
        await here.cluster.sessions.enqueue_retained("c", 1, [("x", 1)])
    await close(here, 1)
    await there.subscribe("c", 1, "y")
    assert await redis_client.zcard("sessions:expiry:{mqtt}") == 0


async def test_an_older_connection_of_the_same_node_can_do_nothing_more(start: Start) -> None:
    node = await start("a")
    await open_session(node, 1)
    await open_session(node, 2)
    with pytest.raises(SupersededError):
        await node.subscribe("c", 1, "x")
    await node.subscribe("c", 2, "x")


async def test_an_expired_session_leaves_nothing_in_redis(start: Start, redis_client: Redis, time: Time) -> None:
    node = await start("a", follow=False)
    for client_id in ("c", "c:d"):
        await node.connect(client_id, 1)
        await node.subscribe(client_id, 1, "x", "y/+", qos=2)
        await node.publish("x", b"1", b"2", qos=2)
        first, _ = await node.cluster.sessions.load(client_id, 1, after=0, count=10)
        await node.cluster.sessions.received(client_id, first.sequence)
        await node.cluster.sessions.close(client_id, 1, forget_will=True)
    await redis_client.sadd("received:{mqtt}:c", 7)
    time.now += EXPIRY_MS - 1
    assert await node.cluster._reaper.expire() == 0
    assert (
        await redis_client.exists("session:{mqtt}:c", "queue:{mqtt}:c", "released:{mqtt}:c", "subscriptions:{mqtt}:c")
        == 4
    )
    time.now += 1
    assert await node.cluster._reaper.expire() == 2
    assert await keys_of_sessions(redis_client) == set()
    assert await node.publish("x", b"3") == [True]
    assert await keys_of_sessions(redis_client) == set()


async def test_sessions_expire_by_themselves(start: Start, redis_client: Redis, time: Time) -> None:
    node = await start("a")
    for number in range(20):
        await node.connect(f"c{number}", number)
        await node.subscribe(f"c{number}", number, "x")
        await node.cluster.sessions.close(f"c{number}", number, forget_will=True)
    time.now += EXPIRY_MS

    async def nothing_is_left() -> bool:
        return await keys_of_sessions(redis_client) == set()

    await eventually(nothing_is_left)


async def test_many_subscriptions_expire_in_several_steps(start: Start, redis_client: Redis, time: Time) -> None:
    node = await start("a", follow=False)
    for number in range(4):
        await node.connect(f"c{number}", number)
        await node.subscribe(f"c{number}", number, *(f"x/{each}" for each in range(200)))
        await node.cluster.sessions.close(f"c{number}", number, forget_will=True)
    time.now += EXPIRY_MS
    assert [await node.cluster._reaper.expire() for _ in range(3)] == [2, 2, 0]
    assert await keys_of_sessions(redis_client) == set()


async def test_a_session_whose_client_has_come_back_does_not_expire(start: Start, time: Time) -> None:
    node = await start("a", follow=False)
    await open_session(node, 1)
    await close(node, 1)
    time.now += EXPIRY_MS - 1
    await open_session(node, 2)
    time.now += 10 * EXPIRY_MS
    assert await node.cluster._reaper.expire() == 0
    await node.subscribe("c", 2, "x")


async def test_a_released_message_may_be_sent_anew(start: Start) -> None:
    node = await start("a")
    await open_session(node, 1)
    publish = Publish(Message("x", b"1", 2), guard=("c", 9))
    assert await node.cluster.publisher.publish([publish]) == [True]
    assert (await open_session(node, 2)).received == {9}
    assert await node.cluster.publisher.publish([publish]) == [False]
    await node.cluster.sessions.release("c", 9)
    assert (await open_session(node, 3)).received == set()
    assert await node.cluster.publisher.publish([publish]) == [True]


async def test_a_node_that_is_not_one_of_the_cluster_is_unavailable(start: Start, redis_client: Redis) -> None:
    node = await start("a", follow=False)
    await redis_client.hdel("nodes:{mqtt}", node.cluster.node)
    with pytest.raises(UnavailableError):
        await open_session(node, 1)
    with pytest.raises(UnavailableError):
        await node.want("x")
    assert await keys_of_sessions(redis_client) == set()


async def test_calls_of_one_turn_are_done_in_their_order(start: Start) -> None:
    node = await start("a")
    opened = await asyncio.gather(*(open_session(node, number) for number in range(50)))
    assert [each.previous for each in opened] == [None, *((node.cluster.node, number) for number in range(49))]


async def test_what_is_wanted_of_many_filters_is_told_in_several_steps(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    await node.want(*(f"x/{number}" for number in range(1201)))
    assert await redis_client.scard(f"interest:{{mqtt}}:{node.cluster.node}") == 1201
    assert await redis_client.hlen("routes:{mqtt}") == 1201
