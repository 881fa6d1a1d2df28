"""Versions side by side over MQTT: who gets what of an application that publishes in two versions, on two nodes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from core.kinds import Role
from core.versions import BUCKETS, Owned, Route, moved
from state.apps import AppStore
from state.sessions import queue
from tests.broker.conftest import PASSWORD, RunningNode, TwoNodes, next_publish, put_user
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Kind, Publish, ack

APP = "update-schuman"
SEEN = "apps/update-schuman/latest"
END = "apps/end/x"
"""Of an application without a rule: what comes after all that a test has published."""
HALVES = {"1": 50, "2": 50}


async def put_rule(
    nodes: TwoNodes,
    redis_client: Redis,
    *,
    shares: Mapping[str, int] = HALVES,
    users: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
) -> Route:
    """Replace the rule, and have both nodes follow it."""
    store = AppStore(redis_client)
    present = await store.route(APP)
    number = 0 if present is None else present.number
    owned = (Owned(0, BUCKETS, "1"),) if present is None else present.owned
    route = Route(
        app=APP,
        number=number + 1,
        shares=shares,
        owned=moved(owned, shares),
        users=users or {"one": "1", "two": "2"},
        roles=roles or {},
    )
    assert await store.put(route, replaces=number, by="test", at=0, why="")
    for each in (nodes.first, nodes.second):
        await each.node._app_rules.look()
    return route


@pytest.fixture
async def app(nodes: TwoNodes, redis_client: Redis) -> Connection:
    """The application: a client of the second node."""
    await put_user(redis_client, "schuman", Role.APP)
    return await nodes.second.service.connect(user="schuman", password=PASSWORD)


async def publish_both(app: Connection, *, qos: int = 1, retain: bool = False) -> None:
    """What version 1 and version 2 have to say, and the end."""
    for version in ("1", "2"):
        await app.publish(f"app-versions/{APP}/{version}/latest", f"of {version}".encode(), qos=qos, retain=retain)
    await app.publish("app-versions/end/1/x", b"end", qos=qos)


async def until_end(client: Connection) -> list[tuple[str, bytes]]:
    """Topics and payloads of all that comes before the end."""
    found = []
    while (message := await client.take()).topic != END:
        found.append((message.topic, message.payload))
    return found


async def log_in(node: RunningNode, redis_client: Redis, name: str, role: Role, **fields: Any) -> Connection:
    await put_user(redis_client, name, role)
    return await node.service.connect(user=name, password=PASSWORD, **fields)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    "topic_filter", [SEEN, "apps/#", "apps/+/latest", "apps/update-schuman/+", "#", "+/update-schuman/#", "+/+/latest"]
)
async def test_a_client_gets_its_version_alone_under_the_name_that_people_see(
    nodes: TwoNodes, redis_client: Redis, app: Connection, topic_filter: str, qos: int
) -> None:
    await put_rule(nodes, redis_client)
    clients = {name: await nodes.first.service.connect(name) for name in ("one", "two")}
    for client in clients.values():
        await client.subscribe((topic_filter, qos), (END, 2))
    await publish_both(app, qos=qos)
    assert await until_end(clients["one"]) == [(SEEN, b"of 1")]
    assert await until_end(clients["two"]) == [(SEEN, b"of 2")]


async def test_on_the_node_of_the_application_it_is_the_same(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client)
    client = await nodes.second.service.connect("two")
    await client.subscribe(("apps/#", 1))
    await publish_both(app)
    assert await until_end(client) == [(SEEN, b"of 2")]


async def test_without_a_rule_all_versions_reach_all(nodes: TwoNodes, app: Connection) -> None:
    client = await nodes.first.service.connect("one")
    await client.subscribe(("apps/#", 1))
    await publish_both(app)
    assert await until_end(client) == [(SEEN, b"of 1"), (SEEN, b"of 2")]


async def test_two_hundred_client_ids_get_the_version_that_the_rule_computes_for_them(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    route = await put_rule(nodes, redis_client, shares={"1": 80, "2": 20})
    names = [f"phone-{number}" for number in range(200)]
    clients = [await nodes.first.service.connect(name) for name in names]
    for client in clients:
        await client.subscribe(("apps/#", 0))
    await publish_both(app)
    found = [await until_end(client) for client in clients]
    assert found == [[(SEEN, f"of {route.version_for(name)}".encode())] for name in names]
    assert sum(each == [(SEEN, b"of 2")] for each in found) == 42


async def test_a_user_counts_by_name_and_role_and_not_by_its_client_id(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(
        nodes, redis_client, shares={"1": 100, "2": 0}, users={"two": "2"}, roles={"car": "2", "anonymous": "2"}
    )
    user = await log_in(nodes.first, redis_client, "two", Role.GATEWAY, client_id="one")
    car = await log_in(nodes.first, redis_client, "car-1", CAR_ROLE, client_id="radio")
    anonymous = await nodes.first.service.connect("phone")
    for client in (user, car, anonymous):
        assert await client.subscribe(("apps/#", 1)) == (1,)
    await publish_both(app)
    assert await until_end(user) == [(SEEN, b"of 2")]
    assert await until_end(car) == [(SEEN, b"of 2")]
    # Over HTTP nobody without a key has a role.
    assert await until_end(anonymous) == [(SEEN, b"of 1")]


async def test_a_change_of_the_rule_needs_nobody_to_subscribe_again(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client, users={"phone": "1"})
    client = await nodes.first.service.connect("phone")
    await client.subscribe(("apps/#", 1))
    await publish_both(app)
    assert await until_end(client) == [(SEEN, b"of 1")]
    await put_rule(nodes, redis_client, users={"phone": "2"})
    await publish_both(app)
    assert await until_end(client) == [(SEEN, b"of 2")]


@pytest.mark.parametrize("topic_filter", [SEEN, "apps/#", "#", "+/+/latest"])
@pytest.mark.parametrize(("clean", "qos"), [(True, 0), (True, 1), (False, 0), (False, 1), (False, 2)])
async def test_what_a_version_retains_comes_to_its_own_people_when_they_subscribe(
    nodes: TwoNodes, redis_client: Redis, app: Connection, topic_filter: str, qos: int, *, clean: bool
) -> None:
    await put_rule(nodes, redis_client)
    await publish_both(app, qos=2, retain=True)
    for name, payload in (("one", b"of 1"), ("two", b"of 2")):
        client = await nodes.first.service.connect(name, clean=clean)
        await client.subscribe((topic_filter, qos))
        assert await next_publish(client) == Publish(SEEN, payload, qos, retain=True, dup=False)
        await client.nothing_more()


async def test_without_a_rule_all_that_versions_retain_comes(nodes: TwoNodes, app: Connection) -> None:
    await publish_both(app, retain=True)
    client = await nodes.first.service.connect()
    await client.subscribe((SEEN, 1))
    assert sorted(await client.take_payloads(2)) == [b"of 1", b"of 2"]
    await client.nothing_more()


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("topic_filter", [SEEN, "apps/#", "#"])
async def test_who_was_away_gets_what_its_version_published_and_the_rest_is_taken_out_of_its_queue(
    nodes: TwoNodes, redis_client: Redis, app: Connection, topic_filter: str, qos: int
) -> None:
    await put_rule(nodes, redis_client)
    client = await nodes.first.service.connect("two", clean=False)
    await client.subscribe((topic_filter, qos), (END, qos))
    await client.disconnect()
    for _ in range(3):
        await publish_both(app, qos=2)
    again = await nodes.second.service.connect("two", clean=False)
    for _ in range(3):
        assert await until_end(again) == [(SEEN, b"of 2")]
    await again.nothing_more()
    await again.disconnect()
    assert await redis_client.xlen(queue("two")) == 0


async def test_a_rule_that_changed_while_somebody_was_away_holds_for_what_was_published_before_it(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client, users={"phone": "1"})
    client = await nodes.first.service.connect("phone", clean=False)
    await client.subscribe(("apps/#", 1))
    await client.disconnect()
    await publish_both(app)
    await put_rule(nodes, redis_client, users={"phone": "2"})
    again = await nodes.second.service.connect("phone", clean=False)
    assert await until_end(again) == [(SEEN, b"of 2")]


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_sent_and_not_acknowledged_is_repeated_though_the_rule_has_changed(
    nodes: TwoNodes, redis_client: Redis, app: Connection, qos: int
) -> None:
    await put_rule(nodes, redis_client, users={"phone": "1"})
    client = await nodes.first.service.connect("phone", clean=False)
    await client.subscribe(("apps/#", qos))
    await app.publish(f"app-versions/{APP}/1/latest", b"sent", qos=qos)
    sent = await client.message()
    client.drop()
    await (await nodes.first.service.connect("phone", clean=False)).disconnect()
    await put_rule(nodes, redis_client, users={"phone": "2"})
    await app.publish(f"app-versions/{APP}/1/latest", b"never sent", qos=qos)
    await publish_both(app, qos=qos)
    again = await nodes.second.service.connect("phone", clean=False)
    repeated = await again.message()
    assert (repeated.topic, repeated.payload, repeated.dup) == (SEEN, b"sent", True)
    assert repeated.packet_id == sent.packet_id
    assert repeated.packet_id is not None
    await again.send(ack(Kind.PUBACK if qos == 1 else Kind.PUBREC, repeated.packet_id))
    if qos == 2:
        await again.acknowledged(Kind.PUBREL, repeated.packet_id)
        await again.send(ack(Kind.PUBCOMP, repeated.packet_id))
    assert await until_end(again) == [(SEEN, b"of 2")]
    await again.nothing_more()


async def test_a_client_with_a_small_window_gets_all_of_its_version_past_much_of_another(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client)
    client = await nodes.first.service.connect("two", clean=False)
    await client.subscribe(("apps/#", 1))
    await client.disconnect()
    for number in range(100):
        await app.publish(f"app-versions/{APP}/{1 + (number % 50 == 49)}/latest", f"{number}".encode(), qos=1)
    await app.publish("app-versions/end/1/x", b"end", qos=1)
    again = await nodes.first.service.connect("two", clean=False)
    assert await until_end(again) == [(SEEN, b"49"), (SEEN, b"99")]


@pytest.mark.parametrize("clean", [True, False])
async def test_a_service_gets_what_it_names_as_it_is_published_and_once(
    nodes: TwoNodes, redis_client: Redis, app: Connection, *, clean: bool
) -> None:
    await put_rule(nodes, redis_client)
    wire = [(f"app-versions/{APP}/1/latest", b"of 1"), (f"app-versions/{APP}/2/latest", b"of 2")]
    watcher = await log_in(nodes.first, redis_client, "watcher", Role.SERVICE, client_id="w", clean=clean)
    await watcher.subscribe(("#", 1), ("apps/#", 1), (f"app-versions/{APP}/#", 1))
    named = await log_in(nodes.first, redis_client, "two", Role.SERVICE, client_id="t", clean=clean)
    await named.subscribe(("apps/#", 1))
    await publish_both(app, retain=True)
    assert [(each.topic, each.payload) for each in [await watcher.take() for _ in range(3)]] == [
        *wire,
        ("app-versions/end/1/x", b"end"),
    ]
    assert await until_end(named) == [(SEEN, b"of 2")]
    await watcher.subscribe((f"app-versions/{APP}/+/latest", 1))
    found = [await watcher.take() for _ in range(2)]
    assert sorted((each.topic, each.payload) for each in found) == wire
    await watcher.nothing_more()


async def test_nobody_else_gets_a_topic_as_an_application_publishes_to_it(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client)
    client = await nodes.first.service.connect("one", clean=False)
    assert await client.subscribe(("app-versions/#", 1), ("+/+/+/latest", 1), ("+/+/1/+", 1), (END, 1)) == (
        0x80,
        1,
        1,
        1,
    )
    await publish_both(app, retain=True)
    assert await until_end(client) == []
    await client.nothing_more()


@pytest.mark.parametrize("topic", ["app-versions/x", "app-versions/Update/1/x", "app-versions/update-schuman/1"])
async def test_a_topic_that_names_no_version_reaches_services_alone(
    nodes: TwoNodes, redis_client: Redis, app: Connection, topic: str
) -> None:
    await put_rule(nodes, redis_client)
    watcher = await log_in(nodes.first, redis_client, "watcher", Role.SERVICE)
    await watcher.subscribe(("app-versions/#", 1))
    client = await nodes.first.service.connect("two", clean=False)
    await client.subscribe(("#", 1))
    await app.publish(topic, b"lost", qos=1)
    await publish_both(app)
    assert (await watcher.take()).topic == topic
    assert await until_end(client) == [(SEEN, b"of 2")]


async def test_who_follows_applications_and_something_else_gets_both_and_others_get_what_they_did(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    await put_rule(nodes, redis_client)
    both = await nodes.first.service.connect("one")
    await both.subscribe(("apps/#", 1), ("chat/#", 1))
    other = await nodes.first.service.connect("two")
    await other.subscribe(("chat/#", 1), (END, 1))
    await app.publish(f"app-versions/{APP}/1/latest", b"of 1", qos=1)
    await (await nodes.second.service.connect()).publish("chat/a", b"hello", qos=1)
    await publish_both(app)
    assert await until_end(both) == [(SEEN, b"of 1"), ("chat/a", b"hello"), (SEEN, b"of 1")]
    assert await until_end(other) == [("chat/a", b"hello")]


async def test_an_application_publishes_in_versions_and_nowhere_else(
    nodes: TwoNodes, redis_client: Redis, app: Connection
) -> None:
    watcher = await log_in(nodes.first, redis_client, "watcher", Role.SERVICE)
    await watcher.subscribe(("#", 1), ("v1/#", 1))
    for topic in ("chat", SEEN, "v1/zones", "car-iotp"):
        await app.publish(topic, b"no", qos=1)
    await app.publish("app-versions/end/1/x", b"end", qos=1)
    assert (await watcher.take()).payload == b"end"
    assert nodes.second.refused("publish") == 4


async def test_nobody_without_a_user_publishes_as_an_application(nodes: TwoNodes, app: Connection) -> None:
    client = await nodes.first.service.connect("one")
    await client.subscribe(("apps/#", 1))
    stranger = await nodes.second.service.connect()
    for topic in (SEEN, f"app-versions/{APP}/1/latest"):
        await stranger.publish(topic, b"no", qos=1)
    await publish_both(app)
    assert await until_end(client) == [(SEEN, b"of 1"), (SEEN, b"of 2")]


async def test_nodes_follow_a_new_rule_by_themselves(nodes: TwoNodes, redis_client: Redis, app: Connection) -> None:
    client = await nodes.first.service.connect("two")
    await client.subscribe(("apps/#", 1))
    rule = Route(app=APP, number=1, shares={"2": 100}, owned=(Owned(0, BUCKETS, "2"),))
    assert await AppStore(redis_client).put(rule, replaces=0, by="test", at=0, why="")
    async with asyncio.timeout(20):
        while True:
            await publish_both(app)
            if await until_end(client) == [(SEEN, b"of 2")]:
                break
