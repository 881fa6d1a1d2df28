"""Room for persistent sessions: how many there may be, and bytes of what waits for them, of one user and of all."""

import asyncio
import random
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.cluster.sessions import NoRoomError
from broker.protocol.message import Message
from tests.broker.cluster.conftest import EXPIRY_MS, MAX_AGE_MS, Running, Start, Time
from tests.conftest import eventually

ENTRY, SUBSCRIPTION, RELEASED = 32, 192, 96


async def open_session(node: Running, client_id: str, connection: int, owner: str, *, clean: bool = False) -> bool:
    """Whether there was room."""
    try:
        await node.cluster.sessions.open(client_id, connection, owner=owner, clean=clean, will=None)
    except NoRoomError:
        return False
    return True


async def recounted(client: Redis) -> dict[Any, int]:
    """What `sessions:bytes` has to be, from all that there is."""
    found: dict[Any, int] = {}
    for session in cast("set[bytes]", await client.smembers("sessions:{mqtt}")):
        size = 0
        queues = [cast("Any", await client.xrange(name + session)) for name in (b"queue:{mqtt}:", b"brief:{mqtt}:")]
        for _, fields in [*queues[0], *queues[1]]:
            (value,) = [fields[name] for name in (b"b", b"r", b"s") if name in fields]
            size += len(value) + ENTRY
        size += RELEASED * await client.zcard(b"released:{mqtt}:" + session)
        for topic_filter in await client.hkeys(b"subscriptions:{mqtt}:" + session):
            size += len(session) + 2 * len(topic_filter) + SUBSCRIPTION
        owner, counted = await client.hmget(b"session:{mqtt}:" + session, "owner", "bytes")
        assert int(counted or 0) == size
        for name in (owner, b"all"):
            found[name] = found.get(name, 0) + size
    return {name: size for name, size in found.items() if size}


async def counted(client: Redis) -> dict[Any, int]:
    return {name: int(size) for name, size in (await client.hgetall("sessions:bytes:{mqtt}")).items()}


async def test_a_user_has_so_many_persistent_sessions_and_no_more_on_any_node(
    start: Start, redis_client: Redis
) -> None:
    nodes = [await start(name, sessions_user_max=3) for name in "ab"]
    got = await asyncio.gather(*(open_session(nodes[n % 2], f"c{n}", n, "u:one") for n in range(10)))
    assert sum(got) == 3
    assert await redis_client.scard("sessions:{mqtt}") == 3
    # A refused one leaves nothing, others have theirs, and what is there already goes on.
    assert not await redis_client.exists("session:{mqtt}:c9")
    assert await open_session(nodes[0], "other", 100, "u:two")
    mine = next(f"c{n}" for n in range(10) if got[n])
    assert await open_session(nodes[0], mine, 101, "u:one")
    assert await open_session(nodes[0], "clean", 102, "u:one", clean=True)
    assert not await open_session(nodes[0], "clean", 103, "u:one")
    assert await open_session(nodes[0], mine, 104, "u:one", clean=True)
    assert await open_session(nodes[0], "clean", 105, "u:one")


async def test_there_are_so_many_persistent_sessions_and_no_more(start: Start) -> None:
    node = await start("a", sessions_max=2)
    assert [await open_session(node, f"c{n}", n, f"u:{n}") for n in range(4)] == [True, True, False, False]


async def test_places_are_free_again_when_sessions_expire_or_their_node_dies(
    start: Start, redis_client: Redis, time: Time
) -> None:
    other, dying = await start("a", sessions_user_max=2), await start("b", sessions_user_max=2)
    assert await open_session(dying, "clean", 1, "a:one", clean=True)
    assert [await open_session(dying, f"c{n}", 10 + n, "a:one") for n in range(3)] == [True, True, False]
    await dying.die()
    await other.cluster._reaper.reap(dying.cluster.node)
    # They are there, without a connection.
    assert not await open_session(other, "d", 1, "a:one")
    time.now += EXPIRY_MS

    async def free() -> bool:
        return not await redis_client.exists("sessions:{mqtt}", "owner:{mqtt}:a:one", "sessions:bytes:{mqtt}")

    await eventually(free)
    assert await open_session(other, "d", 1, "a:one")


async def connected(start: Start, *owners: str, **options: Any) -> Running:
    """A node with a persistent session by the name of each owner, subscribed to `x` at QoS 2."""
    node = await start("a", **options)
    for number, owner in enumerate(owners):
        assert await open_session(node, owner, number, f"u:{owner}")
        await node.subscribe(owner, number, "x", qos=2)
    return node


async def test_a_queue_has_so_many_bytes_and_no_more(start: Start, redis_client: Redis) -> None:
    node = await connected(start, "one", queue_max_bytes=3000)
    for number in range(5):
        await node.publish("x", bytes([number]) * 1000)
    assert [payload[0] for payload in await node.load("one", 0)] == [0, 1]
    assert (node.cluster.dropped.queue_bytes, node.cluster.dropped.queue_length) == (3, 0)
    found = await node.cluster.sessions.load("one", 0, after=0, count=1)
    await node.cluster.sessions.acknowledge("one", found[0].sequence)
    await node.publish("x", bytes(1000))
    assert node.cluster.dropped.queue_bytes == 3
    assert await counted(redis_client) == await recounted(redis_client)


async def test_one_user_cannot_take_the_room_of_others(start: Start, redis_client: Redis) -> None:
    node = await connected(start, "one", "two", sessions_user_max_bytes=10_000)
    for number in range(10):
        assert await open_session(node, f"one-{number}", 100 + number, "u:one")
        await node.subscribe(f"one-{number}", 100 + number, "y")
    for _ in range(10):
        await node.publish("y", bytes(1000))
    assert node.cluster.dropped.user_bytes > 80
    await node.publish("x", b"for both")
    assert await node.load("two", 1) == [b"for both"]
    assert (await counted(redis_client))[b"u:one"] <= 10_000
    assert await counted(redis_client) == await recounted(redis_client)


async def test_all_sessions_together_have_so_many_bytes_and_no_more(start: Start, redis_client: Redis) -> None:
    node = await connected(start, "one", "two", sessions_max_bytes=3000)
    for _ in range(5):
        await node.publish("x", bytes(1000))
    assert node.cluster.dropped.all_bytes == 8
    assert (await counted(redis_client))[b"all"] <= 3000
    await node.cluster._membership.beat()
    expected = await recounted(redis_client)
    assert (node.cluster.usage.sessions, node.cluster.usage.session_bytes) == (2, expected[b"all"])


async def test_what_is_too_old_makes_room(start: Start, redis_client: Redis, time: Time) -> None:
    node = await connected(start, "one", queue_max_bytes=3000)
    for _ in range(3):
        await node.publish("x", bytes(1000))
    time.now += MAX_AGE_MS + 1
    await node.publish("x", b"new")
    assert await node.load("one", 0) == [b"new"]
    assert node.cluster.dropped.queue_age == 2
    assert await counted(redis_client) == await recounted(redis_client)


async def test_a_subscription_without_room_is_refused_and_the_others_are_not(start: Start, redis_client: Redis) -> None:
    node = await start("a", sessions_user_max_bytes=2300)
    assert await open_session(node, "c", 1, "u:one")

    async def subscribe(*filters: str) -> set[str]:
        return await node.cluster.sessions.subscribe(
            "c", 1, dict.fromkeys(filters, 1), persistent=True, ingest=False, interest={}
        )

    assert await subscribe("a", "x" * 800, "b") == set()
    assert await subscribe("y" * 100, "a", "z" * 800) == {"y" * 100, "z" * 800}
    assert await subscribe("a", "b") == set()
    await node.publish("y" * 100, b"no")
    await node.publish("b", b"yes")
    assert await node.load("c", 1) == [b"yes"]
    await node.cluster.sessions.unsubscribe("c", 1, ["x" * 800, "never"], persistent=True, interest={})
    assert await subscribe("y" * 100) == set()
    assert await counted(redis_client) == await recounted(redis_client)


class Chance:
    """Does at random what clients do, on two nodes."""

    OWNERS = {f"c{number}": f"u:{number % 3}" for number in range(6)}  # noqa: RUF012 - nobody changes it

    def __init__(self, nodes: list[Running], seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - no secret
        self.nodes = nodes
        self.places: dict[str, tuple[Running, int]] = {}

    async def step(self, number: int) -> None:
        client_id = self.dice.choice(list(self.OWNERS))
        if client_id not in self.places or self.dice.random() < 0.1:
            await self.connect(client_id, number, clean=self.dice.random() < 0.1)
        else:
            node, connection = self.places[client_id]
            steps = (self.subscribe, self.unsubscribe, self.publish, self.publish, self.load, self.load, self.retained)
            await self.dice.choice(steps)(node, client_id, connection)

    async def connect(self, client_id: str, number: int, *, clean: bool) -> None:
        node = self.dice.choice(self.nodes)
        await open_session(node, client_id, number, self.OWNERS[client_id], clean=clean)
        self.places[client_id] = (node, number)
        if clean:
            await node.cluster.sessions.close(client_id, number, forget_will=True)
            del self.places[client_id]

    async def subscribe(self, node: Running, client_id: str, connection: int) -> None:
        choices = ("x", "y/+", "v1/#", "z" * 300, "car-iotp/#")
        filters = {self.dice.choice(choices): self.dice.randrange(3) for _ in range(2)}
        await node.cluster.sessions.subscribe(client_id, connection, filters, persistent=True, ingest=True, interest={})

    async def unsubscribe(self, node: Running, client_id: str, connection: int) -> None:
        await node.cluster.sessions.unsubscribe(client_id, connection, ["x", "v1/#"], persistent=True, interest={})

    async def publish(self, node: Running, *_: Any) -> None:
        topic = self.dice.choice(("x", "y/1", "v1/a", "v1/b", "car-iotp/1"))
        payload = bytes(self.dice.randrange(2000))
        await node.publish(topic, payload, qos=self.dice.randrange(3), retain=topic != "x")

    async def load(self, node: Running, client_id: str, connection: int) -> None:
        sessions = node.cluster.sessions
        for queued in await sessions.load(client_id, connection, after=0, count=5, states=[("v1/#", 2)]):
            if queued.message.qos == 1:
                await sessions.acknowledge(client_id, queued.sequence)
            else:
                await sessions.received(client_id, queued.sequence)
                if self.dice.random() < 0.5:
                    await sessions.complete(client_id, queued.sequence)

    async def retained(self, node: Running, client_id: str, connection: int) -> None:
        await node.cluster.sessions.enqueue_retained(client_id, connection, [("y/1", 1), ("v1/a", 2)])


async def check_bytes(redis_client: Redis) -> None:
    """What is counted is what is there: looked at again where a sweep that a node makes by itself came in between."""
    while True:
        before, there = await counted(redis_client), await recounted(redis_client)
        if await counted(redis_client) == before:
            assert before == there
            return


@pytest.mark.parametrize("seed", range(4))
async def test_bytes_are_exact_whatever_happens(start: Start, redis_client: Redis, time: Time, *, seed: int) -> None:
    nodes = [
        await start(
            name,
            queue_max_length=20,
            queue_max_bytes=6000,
            sessions_user_max_bytes=12_000,
            sessions_max_bytes=20_000,
            queue_positions_max_age_ms=MAX_AGE_MS // 8,
        )
        for name in "ab"
    ]
    await redis_client.hset("users:{mqtt}", mapping={"0": "", "1": "", "2": ""})
    chance = Chance(nodes, seed)
    for number in range(250):
        await chance.step(number)
        time.now += chance.dice.choice((0, 0, 1, MAX_AGE_MS // 10))
        if number % 25 == 0:
            # Sweeps happen at any time: between two looks nothing else may.
            await asyncio.gather(*(node.cluster._reaper.sweep() for node in nodes))
            await check_bytes(redis_client)
    await check_bytes(redis_client)
    for number, (client_id, owner) in enumerate(chance.OWNERS.items(), 1000):
        await open_session(nodes[0], client_id, number, owner, clean=True)
        await nodes[0].cluster.sessions.close(client_id, number, forget_will=True)
    assert await redis_client.exists("sessions:bytes:{mqtt}", "sessions:{mqtt}") == 0


async def test_messages_of_an_earlier_version_are_delivered_and_count_nothing(
    start: Start, redis_client: Redis
) -> None:
    old: dict[Any, Any] = {"clean": "0", "user": "", "next": "6", "sent": "4", "floor": "1", "before": "0"}
    await redis_client.hset("session:{mqtt}:c", mapping=old)
    await redis_client.hset("subscriptions:{mqtt}:c", "x", b"\x92\x01\xc2")
    await redis_client.hset("routes:{mqtt}", "s:c\0x", b"\x92\x01\xc2")
    blob = b"\x94\xa1x\xc4\x011\x01\xc2"  # as msgspec wrote a message of four fields
    await redis_client.xadd("queue:{mqtt}:c", {"m": blob, "a": str(2**50)}, id="5-0")
    node = await start("a")
    await node.connect("c", 1)
    await node.cluster.publisher.publish([Publish(Message("x", b"2", 1))])
    found = await node.cluster.sessions.load("c", 1, after=0, count=5)
    assert [queued.message.payload for queued in found] == [b"1", b"2"]
    await asyncio.gather(*(node.cluster.sessions.acknowledge("c", each.sequence) for each in found))
    assert await counted(redis_client) == await recounted(redis_client) == {b"a:": 195, b"all": 195}
