import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.protocol.message import Message
from core.errors import UnavailableError
from state.mqtt import Answer, Scripts
from tests.broker.cluster.conftest import Running, Start, delivered, keys_of_sessions


async def matching(node: Running, *filters: str) -> list[list[bytes]]:
    return [sorted(each.payload for each in found) for found in await node.cluster.retained.matching(filters)]


async def test_a_qos_2_message_that_comes_twice_is_published_once(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    await here.connect("subscriber", 1)
    await here.subscribe("subscriber", 1, "x")
    await there.connect("publisher", 1)
    once = Publish(Message("x", b"1", 2), guard=("publisher", 7))
    other = Publish(Message("x", b"2", 2), guard=("publisher", 8))
    publisher = there.cluster.publisher
    assert await publisher.publish([once, once, other]) == [True, False, True]
    assert await publisher.publish([other, Publish(Message("x", b"3", 1))]) == [False, True]
    assert await delivered(here, 3) == [b"1", b"2", b"3"]
    assert await here.load("subscriber", 1) == [b"1", b"2", b"3"]


async def test_a_qos_2_message_that_comes_twice_takes_none_of_its_neighbours_along(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    await there.connect("publisher", 1)
    twice = Publish(Message("x", b"twice", 2), guard=("publisher", 7))
    before, after = Publish(Message("x", b"before", 1)), Publish(Message("x", b"after", 1))
    assert await there.cluster.publisher.publish([twice]) == [True]
    assert await there.cluster.publisher.publish([before, twice, after]) == [True, False, True]
    assert await delivered(here, 3) == [b"twice", b"before", b"after"]


async def test_packet_ids_of_clean_sessions_are_not_kept(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    await node.connect("c", 1, clean=True)
    publish = Publish(Message("x", b"1", 2), guard=("c", 7))
    assert await node.cluster.publisher.publish([publish, publish]) == [True, True]
    assert await redis_client.exists("received:{mqtt}:c") == 0


class Forgetful(Scripts):
    """Loses the first answer to each script."""

    lose = True

    async def run(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Answer:
        answer = await super().run(name, keys, *args)
        self.lose = not self.lose
        if not self.lose:
            raise UnavailableError("the connection broke before the answer was there")
        return answer


async def test_a_batch_whose_answer_was_lost_is_not_published_twice(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    await there.connect("publisher", 1)
    await here.connect("subscriber", 1)
    await here.subscribe("subscriber", 1, "x")
    there.cluster.publisher._scripts = Forgetful(redis_client)
    publish = Publish(Message("x", b"1", 2), guard=("publisher", 7))
    assert await there.cluster.publisher.publish([publish]) == [True]
    assert await there.cluster.publisher.publish([publish]) == [False]
    await there.publish("x", b"2")
    assert await delivered(here, 2) == [b"1", b"2"]
    assert await here.load("subscriber", 1) == [b"1", b"2"]


async def test_what_is_retained_is_there_on_all_nodes(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await there.publish("v1/a", b"1", retain=True, qos=2)
    await there.publish("v1/b", b"2", retain=True, qos=0)
    await there.publish("v1/a", b"3")
    (found,) = await here.cluster.retained.matching(["v1/+"])
    assert sorted(found, key=lambda message: message.topic) == [
        Message("v1/a", b"1", 2, retain=True),
        Message("v1/b", b"2", 0, retain=True),
    ]


async def test_the_newest_retained_message_counts_and_an_empty_one_ends_it(start: Start) -> None:
    node = await start("a")
    await node.publish("x", b"1", b"2", retain=True)
    assert await matching(node, "x") == [[b"2"]]
    await node.publish("x", b"3", b"", retain=True)
    assert await matching(node, "x", "#") == [[], []]
    await node.publish("x", b"", b"4", retain=True)
    assert await matching(node, "x") == [[b"4"]]


async def test_retained_messages_are_found_by_wildcards(start: Start) -> None:
    node = await start("a")
    for topic in ("a", "a/b", "a/b/c", "$x/y"):
        await node.publish(topic, topic.encode(), retain=True)
    assert await matching(node, "#", "a/#", "+/b", "a", "$x/#", "none", "none/+") == [
        [b"a", b"a/b", b"a/b/c"],
        [b"a", b"a/b", b"a/b/c"],
        [b"a/b"],
        [b"a"],
        [b"$x/y"],
        [],
        [],
    ]
    assert await matching(node) == []


async def test_questions_at_the_same_time_each_get_their_own_answer(start: Start) -> None:
    node = await start("a")
    for number in range(20):
        await node.publish(f"x/{number}", str(number).encode(), retain=True)
    found = await asyncio.gather(*(matching(node, f"x/{number}", "x/+") for number in range(20)))
    for number, (own, every) in enumerate(found):
        assert own == [str(number).encode()]
        assert len(every) == 20


async def test_a_question_after_a_message_was_retained_sees_it_even_while_another_is_read(start: Start) -> None:
    node = await start("a")
    for number in range(50):
        before = asyncio.create_task(matching(node, "#"))
        await node.publish(f"x/{number}", b"1", retain=True)
        assert await matching(node, f"x/{number}", "#") == [[b"1"], [b"1"] * (number + 1)]
        await before


async def test_more_retained_messages_than_allowed_are_delivered_and_not_retained(start: Start) -> None:
    here, there = await start("a", retained_max=2), await start("b", retained_max=2)
    await here.want("#")
    for topic in ("a", "b", "c", "a"):
        await there.publish(topic, topic.encode(), retain=True)
    assert await delivered(here, 4) == [b"a", b"b", b"c", b"a"]
    assert await matching(there, "#") == [[b"a", b"b"]]
    assert there.cluster.dropped.retained == 1


async def test_what_does_not_fit_into_an_inbox_is_dropped_and_counted(start: Start) -> None:
    slow, there = await start("a", follow=False), await start("b", inbox_max_bytes=10_000)
    await slow.want("x")
    for _ in range(20):
        await there.publish("x", bytes(400), bytes(400))
    assert there.cluster.dropped.inbox == 40 - 24
    follower = slow.cluster._follower
    await follower._read()
    assert len(slow.local.messages) == 24
    await there.publish("x", b"there is room again")
    await follower._read()
    assert slow.local.payloads[-1] == b"there is room again"


async def test_a_full_inbox_still_takes_word_of_a_takeover(start: Start) -> None:
    slow, there = await start("a", follow=False), await start("b", inbox_max_bytes=1000)
    await slow.want("x")
    await slow.connect("c", 1)
    await there.publish("x", bytes(900))
    await there.publish("x", bytes(900))
    await there.connect("c", 1)
    await slow.cluster._follower._read()
    assert slow.local.disconnected == [("c", 1)]
    assert there.cluster.dropped.inbox == 1


async def test_an_inbox_is_cut_off_behind_its_reader(start: Start, redis_client: Redis) -> None:
    here, there = await start("a", follow=False), await start("b")
    await here.want("x")
    for _ in range(40):
        await there.publish("x", b"1")
    assert await redis_client.xlen(f"inbox:{{mqtt}}:{here.cluster.node}") == 40
    await here.cluster._follower._read()
    assert await redis_client.xlen(f"inbox:{{mqtt}}:{here.cluster.node}") == 8
    await here.cluster._follower._read()
    assert await redis_client.xlen(f"inbox:{{mqtt}}:{here.cluster.node}") == 0
    assert len(here.local.messages) == 40


async def test_large_messages_are_split_into_several_entries(start: Start, redis_client: Redis) -> None:
    here, there = await start("a", follow=False), await start("b")
    await here.want("x")
    payloads = [bytes([number]) * 100_000 for number in range(5)]
    await there.publish("x", *payloads)
    assert await redis_client.xlen(f"inbox:{{mqtt}}:{here.cluster.node}") == 3
    await here.cluster._follower._read()
    assert here.local.payloads == payloads


async def test_a_will_is_published_once_by_whoever_comes_first(start: Start, redis_client: Redis) -> None:
    owner, one, two, three = [await start(name) for name in "abcd"]
    await three.want("will")
    will = Message("will", b"gone", 1, retain=True)
    for round_ in range(10):
        await owner.connect("c", round_, will=will)
        found = await asyncio.gather(
            *(node.cluster.publisher.publish_will(owner.cluster.node, round_) for node in (one, two, owner) * 2)
        )
        assert sorted(each is not None for each in found) == [False] * 5 + [True]
        assert will in found
    assert await delivered(three, 10) == [b"gone"] * 10
    assert await matching(one, "will") == [[b"gone"]]
    assert await redis_client.exists(f"will:{{mqtt}}:{owner.cluster.node}") == 0
    assert await one.publish("will", b"last") == [True]
    assert await delivered(three, 11) == [b"gone"] * 10 + [b"last"]


async def test_a_will_that_was_forgotten_is_not_published(start: Start) -> None:
    node = await start("a")
    will = Message("will", b"gone", 1)
    await node.connect("c", 1, will=will)
    await node.cluster.sessions.close("c", 1, forget_will=True)
    assert await node.cluster.publisher.publish_will(node.cluster.node, 1) is None
    await node.connect("c", 2, will=will)
    await node.cluster.sessions.close("c", 2, forget_will=False)
    assert await node.cluster.publisher.publish_will(node.cluster.node, 2) == will


async def test_a_takeover_leaves_the_will_of_the_older_connection(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.connect("c", 1, will=Message("will", b"old", 1))
    await there.connect("c", 1, will=Message("will", b"new", 1))
    old = await here.cluster.publisher.publish_will(here.cluster.node, 1)
    assert old is not None
    assert old.payload == b"old"


async def test_whoever_waits_when_a_node_leaves_hears_that_nothing_is_published(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a", follow=False)
    silent = node.cluster.publisher._scripts = Silent(redis_client)
    first = asyncio.create_task(node.publish("x", b"1"))
    await silent.asked.wait()
    waiting = [first, asyncio.create_task(node.publish("x", b"2"))]
    await asyncio.sleep(0)
    node.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await node.task
    for each in waiting:
        with pytest.raises(UnavailableError):
            await each
    with pytest.raises(UnavailableError):
        await node.publish("x", b"1")


class Silent(Scripts):
    """Never answers."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.asked = asyncio.Event()

    async def run(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Answer:  # noqa: ARG002 - nothing is done with them
        self.asked.set()
        await asyncio.Event().wait()


async def test_publishing_without_any_client_leaves_nothing(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    await node.publish("x", b"1", b"2")
    await node.publish("x", b"", retain=True)
    assert await keys_of_sessions(redis_client) == set()
