"""However much one client has, or sends, no script is more than some thousands of commands to Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.protocol.message import Message
from state import mqtt
from state.mqtt import Answer, Command
from state.sessions import subscriptions
from tests.broker.cluster.conftest import EXPIRY_MS, MAX_AGE_MS, Running, Start, Time, keys_of_sessions
from tests.redis_servers.clients import calls

COMMANDS = 5000
"""Of one script at the most: some 5 ms of a Redis that does nothing else meanwhile."""
MANY = 3000


@dataclass(slots=True)
class Counted:
    """What the scripts that ran came to."""

    most: dict[str, int] = field(default_factory=dict)
    """By script, of the longest."""
    times: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        assert max(self.most.values()) < COMMANDS, self.most


@pytest.fixture
async def counted(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    """Counts what each script does, one at a time."""
    found, one_at_a_time = Counted(), asyncio.Lock()
    send = mqtt.Scripts._pipeline

    async def counting(self: mqtt.Scripts, commands: Sequence[Command]) -> list[Answer]:
        answers = []
        names = {digest: name for name, digest in self._digests.items()}
        for command in commands:
            async with one_at_a_time:
                before = await commands_of(redis_client)
                answers += await send(self, [command])
                did = await commands_of(redis_client) - before
            name = names.get(str(command[1]), "") if command[0] == "EVALSHA" else ""
            found.most[name] = max(did, found.most.get(name, 0))
            found.times[name] = found.times.get(name, 0) + 1
        return answers

    monkeypatch.setattr(mqtt.Scripts, "_pipeline", counting)
    yield found
    found.check()


async def commands_of(client: Redis) -> int:
    return (await calls(client)).total()


async def with_many_filters(start: Start) -> Running:
    node = await start("a", follow=False)
    await node.connect("c", 1)
    await node.subscribe("c", 1, *(f"t/{number}" for number in range(MANY)))
    return node


async def test_a_session_with_very_many_filters_is_deleted_in_steps_when_a_clean_one_begins(
    start: Start, redis_client: Redis, counted: Counted
) -> None:
    node = await with_many_filters(start)
    before = counted.times["open"]
    opened = await node.cluster.sessions.open("c", 2, clean=True, will=None)
    assert opened.previous == (node.cluster.node, 1)
    assert counted.times["open"] - before == 3
    assert await redis_client.hlen("routes:{mqtt}") == 0
    await node.cluster.sessions.close("c", 2, forget_will=True)
    assert await keys_of_sessions(redis_client) == set()


async def test_what_is_left_of_one_is_no_session_and_goes_as_if_it_had_expired(
    start: Start, redis_client: Redis, counted: Counted, time: Time
) -> None:
    node = await with_many_filters(start)
    await node.cluster.sessions.close("c", 1, forget_will=True)
    time.now += EXPIRY_MS + 1
    assert await node.cluster._reaper.expire() == 1
    assert await redis_client.hlen(subscriptions("c")) == MANY - 1000
    assert await redis_client.exists("sessions:{mqtt}", "sessions:bytes:{mqtt}", "owner:{mqtt}:a:") == 0
    await node.publish(f"t/{MANY - 1}", b"nobody's")
    assert await redis_client.exists("queue:{mqtt}:c") == 0
    # Whoever comes meanwhile begins anew, and has nothing of it.
    opened = await node.cluster.sessions.open("c", 2, clean=False, will=None)
    assert (opened.present, opened.subscriptions) == (False, {})
    assert await redis_client.hlen("routes:{mqtt}") == 0
    await node.publish(f"t/{MANY - 1}", b"nobody's")
    assert await node.load("c", 2) == []
    assert counted.times["expire"] == 1


async def test_sessions_that_expire_go_in_steps_to_their_end(
    start: Start, redis_client: Redis, counted: Counted, time: Time
) -> None:
    node = await with_many_filters(start)
    await node.cluster.sessions.close("c", 1, forget_will=True)
    for number in range(400):
        await node.connect(f"c{number}", number + 10)
        await node.cluster.sessions.close(f"c{number}", number + 10, forget_will=True)
    time.now += EXPIRY_MS + 1
    while await node.cluster._reaper.expire():
        pass
    assert await keys_of_sessions(redis_client) == set()
    assert counted.times["expire"] >= 4


async def test_messages_that_are_too_old_are_dropped_in_steps_and_those_after_them_are_found(
    start: Start, counted: Counted, time: Time
) -> None:
    node = await start("a", follow=False, queue_max_length=5000)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x")
    await node.publish("x", *(b"old" for _ in range(4000)))
    time.now += MAX_AGE_MS + 1
    await node.publish("x", b"new")
    before = counted.times.get("load", 0)
    assert await node.load("c", 1) == [b"new"]
    assert counted.times["load"] - before > 3
    assert node.cluster.dropped.queue_age == 4000


@pytest.mark.parametrize("call", ["acknowledge", "received", "complete"])
async def test_very_many_acknowledgements_of_one_turn_are_several_scripts(
    start: Start, counted: Counted, call: str
) -> None:
    node = await start("a", follow=False, queue_max_length=5000)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x", qos=2)
    await node.publish("x", *(b"1" for _ in range(4500)), qos=2)
    queued = await node.cluster.sessions.load("c", 1, after=0, count=4500)
    if call == "complete":
        await asyncio.gather(*(node.cluster.sessions.received("c", each.sequence) for each in queued))
    await asyncio.gather(*(getattr(node.cluster.sessions, call)("c", each.sequence) for each in queued))
    assert counted.times[call] == 5
    assert await node.load("c", 1) == []


async def test_very_many_retained_messages_are_put_into_a_queue_in_several_scripts(
    start: Start, counted: Counted
) -> None:
    node = await start("a", follow=False, retained_max=10_000, queue_max_length=5000)
    messages = [Publish(Message(f"r/{number}", b"1", 1, retain=True)) for number in range(2500)]
    await node.cluster.publisher.publish(messages)
    await node.connect("c", 1)
    await node.cluster.sessions.enqueue_retained("c", 1, [(f"r/{number}", 1) for number in range(2500)])
    assert counted.times["enqueue"] == 3
    assert len(await node.load("c", 1, count=3000)) == 2500
    again = await start("b", follow=False)
    assert again.cluster.usage.retained == 2500


async def test_very_many_states_and_guards_and_targets_are_several_scripts(start: Start, counted: Counted) -> None:
    node = await start("a", follow=False, retained_max=10_000, queue_max_length=3)
    other = await start("b", follow=False)
    await other.want("v1/#", "x")
    for number in range(1200):
        await node.connect(f"c{number}", number)
        await node.subscribe(f"c{number}", number, "x", "+")
    await node.cluster.routes.update()
    states = [Publish(Message(f"v1/{number}", b"1", 1, retain=True)) for number in range(3000)]
    await node.cluster.publisher.publish(states)
    guarded = [Publish(Message("y/z", b"1", 2), guard=("c0", number)) for number in range(1, 2001)]
    await node.cluster.publisher.publish(guarded)
    # Queues that are full, of what is too old.
    await node.publish("x", b"1", b"2", b"3", b"4")
    assert node.cluster.dropped.queue_length > 0
    assert counted.times["publish"] > 10


async def test_a_user_with_very_many_sessions_is_erased_in_steps(
    start: Start, redis_client: Redis, counted: Counted
) -> None:
    node = await start("a", follow=False)
    for number in range(700):
        await node.cluster.sessions.open(f"c{number}", number, owner="u:one", clean=False, will=None)
    await redis_client.sadd("users:removed:{mqtt}", "one")
    while await node.cluster._reaper.erase():
        pass
    assert counted.times["erase"] >= 3
    assert not await redis_client.exists("sessions:{mqtt}")


async def test_a_node_with_very_many_connections_is_cleared_up_after_in_steps(start: Start, counted: Counted) -> None:
    node, gone = await start("a", follow=False), await start("b", follow=False)
    for number in range(700):
        await gone.connect(f"c{number}", number)
    await gone.want(*(f"w/{number}" for number in range(700)))
    await node.cluster._reaper.reap(gone.cluster.node)
    assert counted.times["reap"] > 6
