import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from broker.cluster.publisher import Publish
from broker.cluster.sessions import Choice, Queued, packet_id
from broker.protocol.message import Message
from tests.broker.cluster.conftest import MAX_AGE_MS, Running, Start, Time
from tests.conftest import NOON, eventually

WINDOW = 65_000


async def subscribed(start: Start, *, qos: int = 1, **options: Any) -> Running:
    """A node with a persistent session `c`, connected as number 1 and subscribed to `x`."""
    node = await start("a", **options)
    await node.connect("c", 1)
    await node.subscribe("c", 1, "x", qos=qos)
    return node


async def load(node: Running, connection: int = 1, *, after: int = 0, count: int = 100) -> list[Queued]:
    return await node.cluster.sessions.load("c", connection, after=after, count=count)


async def test_messages_for_a_client_that_is_away_are_there_when_it_comes_back_elsewhere(start: Start) -> None:
    here, there = await subscribed(start), await start("b")
    await here.cluster.sessions.close("c", 1, forget_will=True)
    await there.publish("x", b"1", b"2")
    await here.publish("x", b"3")
    await there.connect("c", 5)
    assert await there.load("c", 5) == [b"1", b"2", b"3"]


async def test_a_queue_keeps_the_order_and_is_read_in_steps(start: Start) -> None:
    node = await subscribed(start)
    payloads = [str(number).encode() for number in range(25)]
    await node.publish("x", *payloads)
    found: list[Queued] = []
    while some := await load(node, after=found[-1].sequence if found else 0, count=10):
        assert len(some) == (10 if len(found) < 20 else 5)
        found += some
    assert [queued.message.payload for queued in found] == payloads
    sequences = [queued.sequence for queued in found]
    assert sequences == list(range(sequences[0], sequences[0] + 25))


@pytest.mark.parametrize(
    ("published", "subscribed_with", "delivered_with"), [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 2)]
)
async def test_a_message_is_queued_with_the_lower_qos(
    start: Start, published: int, subscribed_with: int, delivered_with: int
) -> None:
    node = await subscribed(start, qos=subscribed_with)
    await node.publish("x", b"1", qos=published)
    assert [queued.message for queued in await load(node)] == [Message("x", b"1", delivered_with)]


async def test_a_client_gets_a_message_once_and_with_the_highest_qos_of_its_subscriptions(start: Start) -> None:
    node = await subscribed(start)
    await node.subscribe("c", 1, "+", qos=2)
    await node.subscribe("c", 1, "#", qos=1)
    await node.publish("x", b"1", qos=2)
    assert [queued.message.qos for queued in await load(node)] == [2]


async def test_nothing_of_qos_0_is_queued(start: Start) -> None:
    node = await subscribed(start)
    await node.subscribe("c", 1, "y", qos=0)
    await node.publish("x", b"1", qos=0)
    await node.publish("y", b"2", qos=2)
    assert await load(node) == []


async def test_a_new_subscription_to_the_same_filter_changes_the_qos(start: Start) -> None:
    node = await subscribed(start)
    await node.subscribe("c", 1, "x", qos=2)
    await node.publish("x", b"1", qos=2)
    await node.subscribe("c", 1, "x", qos=0)
    await node.publish("x", b"2", qos=2)
    assert [queued.message for queued in await load(node)] == [Message("x", b"1", 2)]


async def test_what_a_client_publishes_goes_by_what_it_was_just_granted_however_slow_its_node_hears_of_it(
    start: Start,
) -> None:
    node = await subscribed(start, follow=False)
    await node.cluster.routes.update()
    await node.subscribe("c", 1, "x", qos=2)
    await node.publish("x", b"1", qos=2)
    await node.cluster.sessions.unsubscribe("c", 1, ["x"], persistent=True, interest={})
    await node.publish("x", b"2", qos=2)
    assert [queued.message for queued in await load(node)] == [Message("x", b"1", 2)]


async def test_subscribers_do_not_see_that_the_publisher_asked_for_retention(start: Start) -> None:
    node = await subscribed(start)
    await node.publish("x", b"1", retain=True)
    assert [queued.message.retain for queued in await load(node)] == [False]


async def test_positions_are_queued_only_for_who_may_receive_them(start: Start) -> None:
    node = await subscribed(start)
    await node.subscribe("c", 1, "#")
    await node.connect("service", 2)
    await node.subscribe("service", 2, "car-iotp/+", ingest=True)
    await node.publish("car-iotp/1", b"1")
    assert await load(node) == []
    assert await node.load("service", 2) == [b"1"]


async def test_what_is_acknowledged_does_not_come_again_and_the_rest_comes_as_duplicates(start: Start) -> None:
    here, there = await subscribed(start), await start("b")
    await here.publish("x", b"1", b"2", b"3", b"4")
    first, _, third = await load(here, count=3)
    await asyncio.gather(*(here.cluster.sessions.acknowledge("c", each.sequence) for each in (first, third)))
    await there.connect("c", 9)
    found = await load(there, 9)
    assert [(queued.message.payload, queued.duplicate) for queued in found] == [(b"2", True), (b"4", False)]


async def test_a_second_step_of_one_connection_has_no_duplicates(start: Start) -> None:
    node = await subscribed(start)
    await node.publish("x", b"1", b"2")
    (first,) = await load(node, count=1)
    (again,) = await load(node, count=1)
    (second,) = await load(node, after=first.sequence, count=1)
    assert [first.duplicate, again.duplicate, second.duplicate] == [False, False, False]


async def test_qos_2_goes_on_with_the_release_once_the_client_has_the_message(start: Start) -> None:
    here, there = await subscribed(start, qos=2), await start("b")
    await here.publish("x", b"1", b"2", b"3", qos=2)
    numbers = [queued.sequence for queued in await load(here)]
    await asyncio.gather(*(here.cluster.sessions.received("c", number) for number in numbers[:2]))
    await here.cluster.sessions.received("c", numbers[1])
    opened = await there.cluster.sessions.open("c", 9, clean=False, will=None)
    assert opened.released == numbers[:2]
    assert await there.load("c", 9) == [b"3"]
    await asyncio.gather(*(there.cluster.sessions.complete("c", number) for number in numbers[:2]))
    assert (await there.cluster.sessions.open("c", 10, clean=False, will=None)).released == []


async def test_a_late_pubrec_makes_nothing_for_a_session_that_is_gone(start: Start, redis_client: Redis) -> None:
    node = await subscribed(start)
    await node.connect("c", 2, clean=True)
    await node.cluster.sessions.close("c", 2, forget_will=True)
    await node.cluster.sessions.received("c", 5)
    assert await redis_client.exists("released:{mqtt}:c") == 0


async def test_a_late_acknowledgement_of_an_earlier_session_takes_nothing_from_a_later_one(
    start: Start, time: Time
) -> None:
    node = await subscribed(start)
    await node.publish("x", b"1")
    (old,) = await load(node)
    time.now += 1
    await node.connect("c", 2, clean=True)
    await node.connect("c", 3)
    await node.subscribe("c", 3, "x")
    await node.publish("x", b"2")
    await node.cluster.sessions.acknowledge("c", old.sequence)
    assert await node.load("c", 3) == [b"2"]


async def test_a_full_queue_takes_no_more_and_that_is_counted(start: Start) -> None:
    node = await subscribed(start, queue_max_length=3)
    await node.publish("x", b"1", b"2", b"3", b"4", b"5")
    assert node.cluster.dropped.queue_length == 2
    found = await load(node)
    assert [queued.message.payload for queued in found] == [b"1", b"2", b"3"]
    await node.cluster.sessions.acknowledge("c", found[0].sequence)
    await node.publish("x", b"6")
    assert await node.load("c", 1) == [b"2", b"3", b"6"]
    assert node.cluster.dropped.queue_length == 2


async def test_what_has_waited_too_long_is_dropped_and_counted(start: Start, time: Time) -> None:
    node = await subscribed(start)
    await node.publish("x", b"1", b"2", b"3")
    time.now += MAX_AGE_MS
    await node.publish("x", b"4", b"5")
    assert await node.load("c", 1, count=2) == [b"1", b"2"]
    time.now += 1
    assert await node.load("c", 1, count=1) == [b"4"]
    assert await node.load("c", 1) == [b"4", b"5"]
    assert node.cluster.dropped.queue_age == 3


async def test_a_queue_that_is_full_of_old_messages_makes_room(start: Start, time: Time) -> None:
    node = await subscribed(start, queue_max_length=3)
    await node.publish("x", b"1", b"2", b"3")
    time.now += MAX_AGE_MS + 1
    await node.publish("x", b"4")
    assert await node.load("c", 1) == [b"4"]
    assert (node.cluster.dropped.queue_age, node.cluster.dropped.queue_length) == (3, 0)


@given(st.integers(1, 9_000_000_000_000_000), st.integers(1, WINDOW))
def test_packet_ids_of_messages_that_may_be_under_way_together_differ(sequence: int, distance: int) -> None:
    assert 1 <= packet_id(sequence) <= 65_535
    assert packet_id(sequence) != packet_id(sequence + distance)


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_client_that_never_finishes_with_a_message_gets_none_with_its_packet_id(
    start: Start, redis_client: Redis, qos: int
) -> None:
    node = await subscribed(start, qos=qos)
    await node.publish("x", b"1", qos=qos)
    (first,) = await load(node)
    if qos == 2:
        await node.cluster.sessions.received("c", first.sequence)
    # As if as many had been sent and acknowledged meanwhile.
    await redis_client.hset("session:{mqtt}:c", "next", str(first.sequence + WINDOW - 1))
    await node.publish("x", b"2", b"3", qos=qos)
    assert node.cluster.dropped.queue_length == 1
    if qos == 1:
        await node.cluster.sessions.acknowledge("c", first.sequence)
    else:
        await node.cluster.sessions.complete("c", first.sequence)
    await node.publish("x", b"4", qos=qos)
    assert await node.load("c", 1) == [b"2", b"4"]


async def test_a_client_is_woken_once_until_it_has_loaded_everything(start: Start, redis_client: Redis) -> None:
    here, there = await subscribed(start), await start("b")

    async def woken(times: int) -> None:
        # The end of the inbox was taken, so that nothing else can be on its way.
        async def probe() -> bool:
            sent, taken = await redis_client.hmget(f"node:{{mqtt}}:{here.cluster.node}", "sent", "taken")
            return sent == taken

        await eventually(probe)
        assert here.local.woken == ["c"] * times

    await there.publish("x", b"1")
    await there.publish("x", b"2")
    await woken(1)
    assert await here.load("c", 1, count=1) == [b"1"]
    await there.publish("x", b"3")
    await woken(1)
    assert await here.load("c", 1) == [b"1", b"2", b"3"]
    await there.publish("x", b"4")
    await woken(2)


async def test_a_client_that_has_loaded_just_as_many_as_there_were_is_woken(start: Start) -> None:
    here, there = await subscribed(start), await start("b")
    await there.publish("x", b"1")
    assert await here.load("c", 1, count=1) == [b"1"]
    await there.publish("x", b"2")

    async def woken() -> bool:
        return len(here.local.woken) == 2

    await eventually(woken)


async def test_a_client_whose_queue_held_only_what_was_too_old_is_woken_by_the_next(start: Start, time: Time) -> None:
    here, there = await subscribed(start), await start("b")
    await there.publish("x", b"1")
    time.now += MAX_AGE_MS + 1
    assert await here.load("c", 1) == []
    await there.publish("x", b"2")

    async def woken() -> bool:
        return len(here.local.woken) == 2

    await eventually(woken)


async def test_a_client_that_was_never_sent_the_end_of_its_queue_is_woken_once_that_is_gone(start: Start) -> None:
    here, there = await subscribed(start), await start("b")
    await there.publish("x", b"1", b"2")
    (first,) = await load(here, count=1)
    await here.cluster.sessions.acknowledge("c", first.sequence + 1)
    assert await load(here, after=first.sequence) == []
    await there.publish("x", b"3")

    async def woken() -> bool:
        return len(here.local.woken) == 2

    await eventually(woken)


async def test_what_is_retained_comes_by_the_queue_as_it_is_when_it_is_sent(start: Start) -> None:
    node = await subscribed(start, queue_max_length=4)
    for topic in ("r/0", "r/1", "r/2"):
        await node.publish(topic, b"old", retain=True, qos=2)
    await node.publish("x", b"1")
    topics: list[tuple[str, int]] = [("r/0", 2), ("r/1", 1), ("r/2", 1), ("r/0", 1)]
    await node.cluster.sessions.enqueue_retained("c", 1, topics)
    assert node.cluster.dropped.queue_length == 1
    await node.publish("r/1", b"new", retain=True)
    await node.publish("r/2", b"", retain=True)
    first = [Message("x", b"1", 1), Message("r/0", b"old", 2, retain=True), Message("r/1", b"new", 1, retain=True)]
    found = await load(node)
    assert [queued.message for queued in found] == first
    assert len({queued.sequence for queued in found}) == 3


async def test_a_message_for_very_many_queues_goes_in_several_steps(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.cluster.batch.MAX_TARGETS", 2)
    node = await start("a")
    clients = [f"c{number}" for number in range(5)]
    for number, client_id in enumerate(clients):
        await node.connect(client_id, number)
        await node.subscribe(client_id, number, "x", qos=number % 2 + 1)
    publish = Publish(Message("x", b"1", 2), guard=("c0", 7))
    assert await node.cluster.publisher.publish([publish, publish]) == [True, False]
    for number, client_id in enumerate(clients):
        assert await node.load(client_id, number) == [b"1"]


async def test_what_is_of_another_version_and_was_never_sent_is_taken_out_of_a_queue(
    start: Start, redis_client: Redis
) -> None:
    node = await start("a")
    await node.connect("c", 1)
    await node.subscribe("c", 1, "apps/#", "chat")
    empty = await redis_client.hget("session:{mqtt}:c", "bytes")
    sessions = node.cluster.sessions
    await node.publish("app-versions/x/1/t", b"sent", qos=1)
    assert await node.load("c", 1) == [b"sent"]
    for topic in ("app-versions/x/1/t", "app-versions/x/2/t", "chat", "app-versions/x/10/t", "app-versions/y/1/t"):
        await node.publish(topic, topic.encode(), qos=2)
    await node.publish("app-versions/x/1/kept", b"retained", qos=1, retain=True)
    await sessions.enqueue_retained("c", 1, [("app-versions/x/1/kept", 1)])
    choice = Choice({"x": "2"}, [])
    queued = await sessions.load("c", 1, after=0, count=2, choice=choice)
    assert [each.message.payload for each in queued] == [b"sent", b"app-versions/x/2/t"]
    queued += await sessions.load("c", 1, after=queued[-1].sequence, count=100, choice=choice)
    assert [each.message.payload for each in queued[2:]] == [b"chat", b"app-versions/y/1/t"]
    for each in queued:
        await sessions.acknowledge("c", each.sequence)
    assert await redis_client.xlen("queue:{mqtt}:c") == 0
    assert await redis_client.hget("session:{mqtt}:c", "bytes") == empty


async def test_what_matches_a_filter_for_versions_themselves_stays_in_a_queue(start: Start) -> None:
    node = await start("a")
    await node.connect("c", 1)
    await node.subscribe("c", 1, "apps/#", "app-versions/+/1/#", ingest=True)
    for version in ("1", "2", "3"):
        await node.publish(f"app-versions/x/{version}/t", version.encode(), qos=1)
    queued = await node.cluster.sessions.load(
        "c", 1, after=0, count=100, choice=Choice({"x": "3"}, ["app-versions/+/1/#"])
    )
    assert [each.message.payload for each in queued] == [b"1", b"3"]


async def test_a_script_compares_few_messages_with_very_many_filters_and_yet_all_come(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start("a")
    await node.connect("c", 1)
    await node.subscribe("c", 1, "apps/#")
    for number in range(12):
        await node.publish(f"app-versions/x/{1 + number % 2}/t", f"{number}".encode(), qos=1)
    store = node.cluster.sessions._store
    read = store.load
    scripts: list[object] = []

    async def counted(*args: Any, **options: Any) -> object:
        scripts.append(await read(*args, **options))
        return scripts[-1]

    monkeypatch.setattr(store, "load", counted)
    filters = [f"app-versions/y/1/{number}" for number in range(9_999)]
    choice = Choice({"x": "2"}, [*filters, "app-versions/x/1/other"])
    queued = await node.cluster.sessions.load("c", 1, after=0, count=100, choice=choice)
    assert [each.message.payload for each in queued] == [b"1", b"3", b"5", b"7", b"9", b"11"]
    assert len(scripts) == 7, "each compared one message of the other version"
    scripts.clear()
    assert await node.cluster.sessions.load("c", 1, after=queued[-1].sequence, count=100, choice=choice) == []
    assert len(scripts) == 1


async def test_what_cannot_be_read_does_not_stop_the_choice_of_versions(start: Start, redis_client: Redis) -> None:
    node = await start("a")
    await node.connect("c", 1)
    await node.subscribe("c", 1, "apps/#")
    await node.publish("app-versions/x/2/t", b"1", qos=1)
    next_number = int(await redis_client.hget("session:{mqtt}:c", "next") or 0)
    for number, value in enumerate((b"\x97\xadapp-versions/", b"app-versions/x/1/t", b"\xc1app-versions/x/1")):
        await redis_client.xadd("queue:{mqtt}:c", {"b": value, "a": NOON}, id=f"{next_number + number}-0")
    await redis_client.hset("session:{mqtt}:c", "next", str(next_number + 3))
    await node.publish("app-versions/x/2/t", b"2", qos=1)
    queued = await node.cluster.sessions.load("c", 1, after=0, count=100, choice=Choice({"x": "2"}, []))
    assert [each.message.payload for each in queued] == [b"1", b"2"]
