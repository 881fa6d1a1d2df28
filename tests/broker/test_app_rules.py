"""What a node knows of the rules of applications, and which filters it looks for retained messages with."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from broker.cluster import app_rules
from broker.cluster.app_rules import AppRules
from broker.protocol.message import Message
from broker.routing.app_versions import AppVersions, wire_filters
from broker.routing.ports import Subscriber
from broker.routing.subscriptions import MAX_REMEMBERED, Subscriptions
from broker.shares import Shares
from core.errors import UnavailableError
from core.kinds import Role
from core.versions import BUCKETS, Owned, Route, public_name
from runtime.service import Stop
from state.apps import NUMBER, AppStore
from tests.broker.conftest import StartNode, has
from tests.broker.test_topics import matches
from tests.conftest import eventually


def rule_of(app: str, version: str, *, number: int = 1, users: dict[str, str] | None = None) -> Route:
    return Route(app=app, number=number, shares={version: 100}, owned=(Owned(0, BUCKETS, version),), users=users or {})


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("apps/a/x", "app-versions/a/2/x"),
        ("apps/a/x/y", "app-versions/a/2/x/y"),
        ("apps/a/#", "app-versions/a/2/#"),
        ("apps/a/+", "app-versions/a/2/+"),
        ("+/a/x", "app-versions/a/2/x"),
        ("apps/unruled/x", "app-versions/unruled/+/x"),
        ("apps/+/x", "app-versions/+/+/x"),
        ("apps/#", "app-versions/#"),
        ("+/#", "app-versions/#"),
        ("#", "app-versions/#"),
        ("apps", None),
        ("apps/a", None),
        ("+/+", None),
        ("app-versions/a/2/x", None),
        ("v1/#", None),
        ("appsx/a/x", None),
    ],
)
def test_what_is_retained_is_looked_for_below_the_version_that_a_client_gets(
    topic_filter: str, expected: str | None
) -> None:
    versions = AppVersions()
    versions.replace({"a": rule_of("a", "2")})
    assert versions.wire_filter(topic_filter, "somebody", Role.ANONYMOUS) == expected


_LEVELS = st.sampled_from(["apps", "app-versions", "a", "b", "x", "1", ""])
_FILTERS = st.lists(st.one_of(_LEVELS, st.just("+")), min_size=1, max_size=5).flatmap(
    lambda levels: st.sampled_from([levels, [*levels, "#"]])
)


@given(levels=_FILTERS, rest=st.lists(_LEVELS, min_size=1, max_size=3), app=st.sampled_from(["a", "b"]))
def test_a_filter_for_the_name_that_people_see_finds_just_what_versions_publish_under_it(
    levels: list[str], rest: list[str], app: str
) -> None:
    topic_filter, topic = "/".join(levels), "/".join(("app-versions", app, "1", *rest))
    seen = public_name(topic)
    wanted = AppVersions().wire_filter(topic_filter, "somebody", Role.ANONYMOUS)
    if seen is not None:
        assert matches(topic_filter, seen[0]) == (wanted is not None and matches(wanted, topic))


def test_filters_that_match_what_applications_publish_count_for_services_alone() -> None:
    filters = {"app-versions/a/#": 1, "+/a": 1, "#": 0, "apps/#": 1, "chat": 1}
    assert wire_filters(filters, Role.SERVICE) == ["app-versions/a/#", "+/a", "#"]
    assert wire_filters(filters, Role.ANONYMOUS) == []


def test_the_applications_whose_rule_is_another_one_are_told() -> None:
    versions = AppVersions()
    assert versions.replace({"a": rule_of("a", "1"), "b": rule_of("b", "1")}) == {"a", "b"}
    assert versions.replace({"a": rule_of("a", "1"), "b": rule_of("b", "2", number=2)}) == {"b"}
    assert versions.replace({"b": rule_of("b", "2", number=2)}) == {"a"}
    assert versions.is_for("a", "7", "somebody", Role.ANONYMOUS)


class _Subscriber:
    """A client of a service or of nobody, which only remembers what it was given."""

    clean = True
    owner = "a:"
    waiting_out = 0

    def __init__(self, person: str, role: Role = Role.ANONYMOUS) -> None:
        self.user = ""
        self.person = person
        self.role = role
        self.got: list[str] = []
        self.then: Callable[[], None] = lambda: None

    def deliver(self, message: Message, qos: int, packet: bytes | None) -> None:
        del qos, packet
        self.got.append(message.topic)
        self.then()

    def wake(self) -> None:
        """Nothing of it is in a queue."""


def subscriptions(versions: AppVersions, may_receive: Callable[[Subscriber, str], bool] | None = None) -> Subscriptions:
    return Subscriptions(
        shares=Shares(each=1 << 30, most=1 << 30),
        may_receive=may_receive or (lambda _, __: True),
        app_versions=versions,
    )


def test_whoever_goes_while_a_message_is_handed_over_takes_it_from_nobody_else() -> None:
    own = subscriptions(AppVersions())
    service, client = _Subscriber("s", Role.SERVICE), _Subscriber("c")
    own.add(service, "app-versions/#", 0)
    own.add(client, "apps/#", 0)

    # One that is too slow is ended like that.
    service.then = lambda: own.remove(service, "app-versions/#")
    own.deliver(Message("app-versions/a/1/x", b"", 0))
    assert client.got == ["apps/a/x"]


def test_however_many_topics_there_are_each_message_reaches_whom_it_is_for() -> None:
    versions = AppVersions()
    versions.replace({"a": rule_of("a", "1", users={"c": "2"})})
    own = subscriptions(versions)
    client = _Subscriber("c")
    own.add(client, "apps/#", 0)
    for _ in range(2):
        for number in range(MAX_REMEMBERED):
            own.deliver(Message(f"app-versions/a/{1 + number % 2}/{number}", b"", 0))
    assert client.got == [f"apps/a/{number}" for number in range(1, MAX_REMEMBERED, 2)] * 2


def test_under_which_name_a_client_gets_a_topic_is_found_without_a_look_at_the_others() -> None:
    asked: list[str] = []

    def may_receive(subscriber: Subscriber, topic: str) -> bool:
        asked.append(f"{subscriber.person} {topic}")
        return True

    own = subscriptions(AppVersions(), may_receive)
    clients = [_Subscriber(f"c{number}") for number in range(50)]
    watcher, named = _Subscriber("w", Role.SERVICE), _Subscriber("n", Role.SERVICE)
    for each in (*clients, watcher, named):
        own.add(each, "apps/#", 1)
    own.add(watcher, "app-versions/+/1/#", 1)

    topic = "app-versions/a/1/x"
    assert {own.shown_as(each, topic) for each in (*clients, named)} == {"apps/a/x"}
    assert [own.shown_as(watcher, each) for each in (topic, "app-versions/a/2/x")] == [topic, "apps/a/x"]
    assert own.shown_as(clients[0], "app-versions/a") == "app-versions/a"
    own.remove(watcher, "app-versions/+/1/#")
    assert own.shown_as(watcher, topic) == "apps/a/x"
    assert asked == []


def test_as_many_subscribers_are_remembered_as_may_be_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.routing.subscriptions.MAX_REMEMBERED_SUBSCRIBERS", 100)
    own = subscriptions(AppVersions())
    clients = [_Subscriber(f"c{number}") for number in range(20)]
    for each in clients:
        own.add(each, "apps/#", 0)

    def remembered() -> int:
        return sum(map(len, own._remembered.values())) + sum(len(viewers) for _, viewers in own._viewers.values())

    most = 0
    for number in range(50):
        own.deliver(Message(f"app-versions/a/1/{number}", b"", 0))
        own.deliver(Message(f"apps/b/{number}", b"", 0))
        most = max(most, remembered())
        assert remembered() == own._remembered_subscribers <= 100 + 20
    assert most >= 80
    assert [len(each.got) for each in clients] == [100] * 20


class _Away(AppStore):
    """Rules that cannot be read while `away`."""

    away = False

    async def number(self) -> int:
        if self.away:
            raise UnavailableError("away")
        return await super().number()


async def test_with_redis_away_the_rules_hold_that_were_read(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_rules, "LOOK_SECONDS", 0)
    store, versions, stop = _Away(redis_client), AppVersions(), Stop()
    store.away = True
    rules = AppRules(store, versions.replace)
    running = asyncio.create_task(rules.run(stop))
    assert "are not known yet" in str(rules.problem)
    assert await store.put(rule_of("a", "1"), replaces=0, by="test", at=0, why="")
    store.away = False
    await eventually(lambda: has(lambda: rules.problem is None))
    store.away = True
    assert await store.put(rule_of("a", "2", number=2), replaces=1, by="test", at=0, why="")
    with pytest.raises(UnavailableError):
        await rules.look()
    assert rules.problem is None
    assert versions.is_for("a", "1", "somebody", Role.ANONYMOUS)
    store.away = False
    await eventually(lambda: has(lambda: versions.is_for("a", "2", "somebody", Role.ANONYMOUS)))
    stop.set()
    await running


async def test_after_redis_was_away_the_same_number_may_stand_for_another_rule(redis_client: Redis) -> None:
    store, versions = _Away(redis_client), AppVersions()
    rules = AppRules(store, versions.replace)
    assert await store.put(rule_of("a", "1"), replaces=0, by="test", at=0, why="")
    await rules.look()
    # What took over knew nothing of that rule yet, and was told of another one.
    store.away = True
    await redis_client.flushdb()
    assert await store.put(rule_of("a", "2"), replaces=0, by="test", at=0, why="")
    with pytest.raises(UnavailableError):
        await rules.look()
    store.away = False
    await rules.look()
    assert versions.is_for("a", "2", "somebody", Role.ANONYMOUS)


async def test_a_number_that_is_none_keeps_no_node_from_being_ready(redis_client: Redis) -> None:
    versions = AppVersions()
    rules = AppRules(AppStore(redis_client), versions.replace)
    await redis_client.set(NUMBER, b"none")
    await rules.look()
    assert rules.problem is None
    assert await AppStore(redis_client).put(rule_of("a", "2"), replaces=0, by="test", at=0, why="")
    await rules.look()
    assert versions.is_for("a", "2", "somebody", Role.ANONYMOUS)


async def test_a_node_is_not_ready_before_it_has_read_the_rules(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    assert node.node.problem is None
    monkeypatch.setattr(node.node, "_app_rules", AppRules(node.node._app_rules._store, node.node._app_versions.replace))
    assert node.node.problem == "the rules of applications are not known yet"
