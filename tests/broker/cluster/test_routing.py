from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from broker.cluster.identity import Identity
from broker.cluster.publisher import Publish
from broker.cluster.routes import Routes
from broker.protocol.message import Message
from core.kinds import DEFAULT_KINDS
from state.lua import lua
from state.nodes import node_key
from state.routes import RouteStore, SubscriptionOptions
from tests.broker.cluster.conftest import Start, delivered
from tests.broker.test_topics import matches

GUARD = "never:{mqtt}"
LOG = "routes:log:{mqtt}"
ROUTES = "routes:{mqtt}"
VERSION = "routes:version:{mqtt}"

HOSTILE = ["a", "a:b", "s:a", "n:a", "{0}", "a b\n", "\u00e9\U0001f697", "#", "+/", "x" * 65_535]


async def sent_to(client: Redis, node: str) -> int:
    """How many bytes others have ever put into a node's inbox."""
    return int(await cast("Any", client.hget(node_key(node), "sent")) or 0)


async def test_a_subscriber_on_one_node_gets_what_is_published_on_another(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("v1/zones/main/occupancy")
    await there.publish("v1/zones/main/occupancy", b"1", b"2")
    assert await delivered(here, 2) == [b"1", b"2"]
    assert here.local.messages[0] == Message("v1/zones/main/occupancy", b"1", 1)


@pytest.mark.parametrize("topic_filter", ["x/+/main", "x/#", "#", "+/+/+", "x/zones/main/#"])
async def test_wildcards_work_across_nodes(start: Start, topic_filter: str) -> None:
    here, there = await start("a"), await start("b")
    await here.want(topic_filter)
    await there.publish("x/zones/main", b"1")
    assert await delivered(here, 1) == [b"1"]


async def test_the_mirror_crosses_to_who_names_it_and_not_for_a_wildcard_in_its_place(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("#", "+/zones/main")
    await there.publish("v1/zones/main", b"nobody")
    await here.want("v1/#")
    await there.publish("v1/zones/main", b"1")
    assert await delivered(here, 1) == [b"1"]


async def test_a_wildcard_does_not_match_a_topic_that_begins_with_a_dollar_across_nodes(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("#", "+/x", "$other/x")
    await there.publish("$mine/x", b"no")
    await there.publish("$other/x", b"yes")
    assert await delivered(here, 1) == [b"yes"]


async def test_only_what_another_node_wants_crosses_redis(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await here.want("wanted")
    await there.want("own")
    await there.publish("unwanted", b"1")
    await there.publish("own", b"2")
    assert await sent_to(redis_client, here.cluster.node) == await sent_to(redis_client, there.cluster.node) == 0
    await there.publish("wanted", b"3")
    assert await sent_to(redis_client, here.cluster.node) > 0


async def test_a_node_gets_nothing_of_what_it_no_longer_wants(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x", "y/#")
    await here.cluster.sessions.interest({"x": None, "y/#": None})
    # Until the other has heard of that, it may send what was wanted a moment ago.
    await there.cluster.routes.update()
    await there.publish("x", b"1")
    await there.publish("y", b"1")
    assert await sent_to(redis_client, here.cluster.node) == 0
    assert await redis_client.exists("routes:{mqtt}", f"interest:{{mqtt}}:{here.cluster.node}") == 0


async def test_a_node_with_persistent_sessions_alone_is_sent_what_has_qos_0(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x", qos=0)
    await there.publish("x", b"queued", qos=1)
    await there.publish("x", b"sent", qos=0)
    assert await delivered(here, 1) == [b"sent"]


async def test_positions_go_only_to_where_somebody_may_receive_them(start: Start) -> None:
    here, there, services = await start("a"), await start("b"), await start("c")
    await here.want("#")
    await services.want("#", positions=True)
    await there.publish("car-iotp", b"position")
    await there.publish("other", b"other")
    assert await delivered(services, 2) == [b"position", b"other"]
    assert await delivered(here, 1) == [b"other"]
    assert there.cluster.routes.ingest_wanted("car-iotp/7")
    assert not services.cluster.routes.ingest_wanted("car-iotp/7")


async def test_positions_are_wanted_as_soon_as_somebody_subscribes(start: Start) -> None:
    here, there = await start("a"), await start("b", follow=False)
    assert not there.cluster.routes.ingest_wanted("mobile-iotp")
    await here.want("mobile-iotp", positions=True)
    await there.cluster.routes.update()
    assert there.cluster.routes.ingest_wanted("mobile-iotp")
    await here.cluster.sessions.interest({"mobile-iotp": None})
    await there.cluster.routes.update()
    assert not there.cluster.routes.ingest_wanted("mobile-iotp")


async def test_a_node_that_has_not_heard_of_a_subscriber_yet_reaches_it_all_the_same(start: Start) -> None:
    here, slow = await start("a"), await start("b", follow=False)
    await slow.publish("x/y", b"remembered as wanted by nobody")
    await here.want("x/+")
    await slow.publish("x/y", b"1")
    assert await delivered(here, 1) == [b"1"]
    await here.connect("p", 1)
    await here.subscribe("p", 1, "x/y")
    await slow.publish("x/y", b"2", retain=True)
    assert await here.load("p", 1) == [b"2"]
    assert await delivered(here, 2) == [b"1", b"2"]


async def test_a_node_that_has_not_heard_that_a_client_unsubscribed_sends_it_nothing(start: Start) -> None:
    here, slow = await start("a"), await start("b", follow=False)
    await here.connect("p", 1)
    await here.subscribe("p", 1, "x", "x/#", "y")
    await slow.cluster.routes.update()
    await here.cluster.sessions.unsubscribe("p", 1, ["x"], persistent=True, interest={})
    await slow.publish("x", b"still by x/#")
    await here.cluster.sessions.unsubscribe("p", 1, ["x/#"], persistent=True, interest={})
    await slow.publish("x", b"no")
    await slow.publish("y", b"yes")
    assert await here.load("p", 1) == [b"still by x/#", b"yes"]


async def test_a_node_that_was_restarted_gets_messages_again(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    await here.die()
    again = await start("a")
    await again.want("x")
    await there.publish("x", b"1")
    assert await delivered(again, 1) == [b"1"]
    await there.leave()
    there_again = await start("b")
    await there_again.publish("x", b"2")
    assert await delivered(again, 2) == [b"1", b"2"]


async def test_names_that_look_like_ours_are_kept_apart(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    for number, name in enumerate(HOSTILE):
        await here.connect(name, number)
        await here.subscribe(name, number, f"t/{number}")
    for number in range(len(HOSTILE)):
        await there.publish(f"t/{number}", str(number).encode())
    for number, name in enumerate(HOSTILE):
        assert await here.load(name, number) == [str(number).encode()]
        await here.connect(name, number + 100, clean=True)
        await here.cluster.sessions.close(name, number + 100, forget_will=True)
    assert await redis_client.exists("routes:{mqtt}", *(f"queue:{{mqtt}}:{name}" for name in HOSTILE)) == 0


async def test_topics_that_look_like_ours_are_kept_apart(start: Start) -> None:
    here, there = await start("a"), await start("b")
    topics = [name for name in HOSTILE if "#" not in name and "+" not in name]
    await here.want(*topics)
    for topic in topics:
        await there.publish(topic, topic.encode())
    assert await delivered(here, len(topics)) == [topic.encode() for topic in topics]


async def test_a_replica_is_read_anew_where_the_log_was_cut(start: Start, redis_client: Redis) -> None:
    here, slow = await start("a"), await start("b", follow=False)
    for number in range(10):
        await here.want(f"x/{number}")
    await redis_client.xtrim(LOG, maxlen=2, approximate=False)
    await slow.publish("x/3", b"1")
    assert await delivered(here, 1) == [b"1"]


async def test_a_replica_is_read_anew_where_redis_has_lost_its_last_changes(start: Start, redis_client: Redis) -> None:
    here, slow = await start("a"), await start("b", follow=False)
    await here.want("lost")
    await slow.cluster.routes.update()
    await redis_client.delete(ROUTES, LOG, VERSION)
    await here.want("kept")
    await slow.publish("kept", b"1")
    assert await delivered(here, 1) == [b"1"]
    assert not slow.cluster.routes.plan("lost").nodes


async def test_the_log_of_changes_does_not_grow_without_end(start: Start, redis_client: Redis) -> None:
    here = await start("a", follow=False)
    for _ in range(12):
        await here.cluster.sessions.interest({f"x/{number}": SubscriptionOptions(2) for number in range(500)})
        await here.cluster.sessions.interest({f"x/{number}": None for number in range(500)})
    assert await redis_client.xlen(LOG) == 24
    await here.cluster.sessions.interest({"x": None})
    assert await redis_client.xlen(LOG) == 24


levels = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(levels, min_size=1, max_size=3).map("/".join).filter(bool)
filters = st.lists(levels | st.just("+"), min_size=1, max_size=3).map("/".join).filter(bool) | topics.map(
    lambda topic: f"{topic}/#"
)
changes = st.lists(
    st.tuples(
        st.sampled_from(["n:other", "n:me", "s:c", "s:c:d"]),
        filters,
        st.sampled_from([None, (2, False), (0, True), (1, True)]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(changes, max_size=4), topic=topics)
async def test_the_replica_says_of_each_topic_what_the_hash_says(
    redis_client: Redis, rounds: Sequence[list[tuple[str, str, tuple[int, bool] | None]]], topic: str
) -> None:
    await redis_client.flushall()
    identity = Identity("me")
    routes = Routes(kinds=DEFAULT_KINDS, store=RouteStore(redis_client), identity=identity)
    common = lua("mqtt/common", "mqtt/routes")
    for changed in rounds:
        script = common + "for i = 1, #ARGV, 2 do route(ARGV[i], ARGV[i + 1] ~= '' and ARGV[i + 1]) end log_changes()"
        args = [
            text
            for target, topic_filter, options in changed
            for text in (
                f"{target}\0{topic_filter}".replace("n:me", f"n:{identity.node}"),
                msgspec.msgpack.encode(options) if options else "",
            )
        ]
        await cast("Any", redis_client.eval(script, 1, GUARD, *args))
        await routes.update()
        held = await cast("Any", redis_client.hgetall(ROUTES))
        nodes: dict[str, int] = {}
        queues: dict[str, int] = {}
        for field, options in held.items():
            target, _, topic_filter = field.decode().partition("\0")
            if matches(topic_filter, topic):
                known = nodes if target.startswith("n:") else queues
                known[target[2:]] = max(known.get(target[2:], 0), msgspec.msgpack.decode(options)[0])
        nodes.pop(identity.node, None)
        plan = routes.plan(topic)
        assert set(plan.nodes_qos_0) == set(nodes)
        assert set(plan.nodes) == {node for node, qos in nodes.items() if qos}
        assert set(plan.queues) == set(queues)


async def test_messages_published_at_the_same_time_keep_their_order(start: Start) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    payloads = [str(number).encode() for number in range(500)]
    waiting = [there.cluster.publisher.publish([Publish(Message("x", payload, 1))]) for payload in payloads]
    for each in waiting:
        await each
    assert await delivered(here, 500) == payloads


async def test_what_a_version_publishes_crosses_to_who_sees_it_also_where_they_come_later(
    start: Start, redis_client: Redis
) -> None:
    here, there = await start("a"), await start("b")
    await there.publish("app-versions/x/1/latest", b"nobody yet")
    assert await sent_to(redis_client, here.cluster.node) == 0
    await here.want("apps/x/latest")
    await there.publish("app-versions/x/1/latest", b"1")
    await there.publish("app-versions/x/2/latest", b"2")
    await here.want("apps/y/#")
    await there.publish("app-versions/y/1/latest", b"3")
    assert await delivered(here, 3) == [b"1", b"2", b"3"]
    # As it was published: the node chooses when it delivers.
    assert here.local.messages[1].topic == "app-versions/x/2/latest"
    await here.cluster.sessions.interest({"apps/x/latest": None})
    await there.cluster.routes.update()
    before = await sent_to(redis_client, here.cluster.node)
    await there.publish("app-versions/x/1/latest", b"nobody any more")
    assert await sent_to(redis_client, here.cluster.node) == before


async def test_topics_of_versions_cross_for_services_alone(start: Start, redis_client: Redis) -> None:
    here, there = await start("a"), await start("b")
    await here.want("app-versions/#", "+/x/1/latest")
    await there.publish("app-versions/x/1/latest", b"no")
    assert await sent_to(redis_client, here.cluster.node) == 0
    await here.want("app-versions/#", "#", positions=True)
    await there.publish("app-versions/x/1/latest", b"yes")
    assert await delivered(here, 1) == [b"yes"]
