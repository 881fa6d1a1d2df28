import asyncio
from collections.abc import AsyncIterator

import pytest
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.manager import PluginManager
from amqtt.session import Session
from redis.asyncio import Redis

from broker.auth.access import AccessRules, rules
from broker.auth.passwords import hash_password
from broker.auth.users import Authenticator, User, Users
from core.kinds import DEFAULT_KINDS, Role, load_kinds
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

Plugins = PluginManager[BaseContext]
CAR, MOBILE, GATEWAY, SERVICE, ANONYMOUS = CAR_ROLE, MOBILE_ROLE, Role.GATEWAY, Role.SERVICE, Role.ANONYMOUS
APP = Role.APP
NOBODY: set[Role] = set()
RULES = AccessRules(DEFAULT_KINDS)
EVERYBODY = set(DEFAULT_KINDS.roles)

PUBLISHERS = {
    "car-iotp": {CAR, GATEWAY, SERVICE, ANONYMOUS},
    "car-iotp/": {CAR, GATEWAY, SERVICE, ANONYMOUS},
    "car-iotp/bus/304": {CAR, GATEWAY, SERVICE, ANONYMOUS},
    "mobile-iotp": {MOBILE, GATEWAY, SERVICE, ANONYMOUS},
    "mobile-iotp/phone": {MOBILE, GATEWAY, SERVICE, ANONYMOUS},
    "car-iotpx": {SERVICE, ANONYMOUS},
    "Car-iotp": {SERVICE, ANONYMOUS},
    "/car-iotp": {SERVICE, ANONYMOUS},
    "x/car-iotp": {SERVICE, ANONYMOUS},
    "v1": {SERVICE},
    "v1/zones/main/occupancy": {SERVICE},
    "v10/zones": {SERVICE, ANONYMOUS},
    "/v1": {SERVICE, ANONYMOUS},
    "notices": {SERVICE, ANONYMOUS},
    "$SYS": NOBODY,
    "$SYS/broker/uptime": NOBODY,
    "$SYSTEM/x": {SERVICE, ANONYMOUS},
    "$own/topic": {SERVICE, ANONYMOUS},
    "$SYS/broker/refused/car": NOBODY,
    "devices": NOBODY,
    "devices/car-7/refused": NOBODY,
    "devicesx/car-7": {SERVICE, ANONYMOUS},
    "owntracks/ann/phone": {SERVICE, ANONYMOUS},
    "apps/update-schuman/latest": {SERVICE},
    "app-versions/update-schuman/2/latest": {SERVICE, APP},
    "app-versions": {SERVICE, APP},
}
SUBSCRIBERS = {
    "v1": EVERYBODY,
    "v1/#": EVERYBODY,
    "v1/+/main/occupancy": EVERYBODY,
    "apps/update-schuman/latest": EVERYBODY,
    "apps/#": EVERYBODY,
    "app-versions/#": {SERVICE},
    "app-versions/update-schuman/2/latest": {SERVICE},
    "v1/zones/main/occupancy": EVERYBODY,
    "+/zones": {SERVICE, ANONYMOUS},
    "#": {SERVICE, ANONYMOUS},
    "+": {SERVICE, ANONYMOUS},
    "+/#": {SERVICE, ANONYMOUS},
    "/v1/#": {SERVICE, ANONYMOUS},
    "v10/#": {SERVICE, ANONYMOUS},
    "notices": {SERVICE, ANONYMOUS},
    "$SYS/#": {SERVICE, ANONYMOUS},
    "car-iotp": {SERVICE},
    "car-iotp/#": {SERVICE},
    "car-iotp/+": {SERVICE},
    "mobile-iotp": {SERVICE},
    "mobile-iotp/#": {SERVICE},
    "$SYS/broker/refused": {SERVICE},
    "$SYS/broker/refused/#": {SERVICE},
    "$SYS/broker/refused/car": {SERVICE},
    "devices": {SERVICE},
    "devices/#": {SERVICE},
    "devices/+/refused": {SERVICE},
    "devices/car-7/refused": {SERVICE},
    "devices//refused": {SERVICE},
    "$share/group/v1/#": NOBODY,
    "$share/group/car-iotp": NOBODY,
}
RECEIVERS = {
    "v1": EVERYBODY,
    "apps/update-schuman/latest": EVERYBODY,
    "app-versions/update-schuman/2/latest": {SERVICE},
    "v1/zones/main/occupancy": EVERYBODY,
    "notices": {SERVICE, ANONYMOUS},
    "$SYS/broker/uptime": {SERVICE, ANONYMOUS},
    "car-iotp": {SERVICE},
    "car-iotp/bus": {SERVICE},
    "mobile-iotp": {SERVICE},
    "mobile-iotp/phone": {SERVICE},
    "$SYS/broker/refused/car": {SERVICE},
    "devices": {SERVICE},
    "devices/car-7/refused": {SERVICE},
    "devices//refused": {SERVICE},
}


@pytest.mark.parametrize("topic", PUBLISHERS)
def test_only_these_roles_may_publish_to(topic: str) -> None:
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_publish(role, topic)} == PUBLISHERS[topic]


@pytest.mark.parametrize("topic_filter", SUBSCRIBERS)
def test_only_these_roles_may_subscribe_to(topic_filter: str) -> None:
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_subscribe(role, topic_filter)} == SUBSCRIBERS[
        topic_filter
    ]


@pytest.mark.parametrize("topic", RECEIVERS)
def test_only_these_roles_may_receive_from(topic: str) -> None:
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_receive(role, topic)} == RECEIVERS[topic]


def test_every_role_has_a_rule() -> None:
    assert set(rules(DEFAULT_KINDS)) == EVERYBODY


def test_a_closed_filter_is_for_services_alone_and_closes_no_other() -> None:
    closed = ("test/nosubscribe", "v1/closed")
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_subscribe(role, "test/nosubscribe", closed)} == {SERVICE}
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_subscribe(role, "v1/closed", closed)} == {SERVICE}
    assert {role for role in DEFAULT_KINDS.roles if RULES.may_subscribe(role, "test/nosubscribe/below", closed)} == {
        SERVICE,
        ANONYMOUS,
    }
    assert RULES.may_subscribe(CAR, "v1/#", closed)


@pytest.mark.parametrize("topic", ["devices/car-7/refused"])
def test_a_device_hears_of_its_own_and_nobody_elses(topic: str) -> None:
    for user, role, may in (
        ("car-7", CAR, True),
        ("car-7", MOBILE, True),
        ("car-8", CAR, False),
        ("car-7/refused", CAR, False),
        ("", CAR, False),
        ("car-7", GATEWAY, False),
        ("car-7", ANONYMOUS, False),
        ("car-7", SERVICE, True),
    ):
        assert RULES.may_subscribe(role, topic, user=user) is may, (user, role)
        assert RULES.may_receive(role, topic, user=user) is may, (user, role)
        assert not RULES.may_publish(role, topic)


@pytest.mark.parametrize("user", ["car-7", "+", "#", "a/b", "", "/", "+/refused", "$SYS", "ann lee", "\u00e9"])
@pytest.mark.parametrize(
    "topic_filter",
    ["devices/+/refused", "devices/#", "devices/car-7/#", "devices/+/+", "+/car-7/refused", "devices/car-7/+", "#"],
)
def test_a_device_follows_its_own_by_no_wildcard_whatever_its_user_is_called(user: str, topic_filter: str) -> None:
    assert not RULES.may_subscribe(CAR, topic_filter, user=user)


def test_a_closed_filter_is_closed_to_its_own_device_too() -> None:
    assert not RULES.may_subscribe(CAR, "devices/car-7/refused", ("devices/car-7/refused",), user="car-7")


MAPPED = load_kinds(None, "owntracks/+/+=mobile,trackers/car/+=car,trackers/phone/+=mobile")
MAPPED_RULES = AccessRules(MAPPED)


@pytest.mark.parametrize(
    ("topic", "roles"),
    [
        ("owntracks/ann/phone", {"mobile", "gateway", "service", "anonymous"}),
        ("owntracks/ann/phone/event", {"mobile", "gateway", "service", "anonymous"}),
        ("trackers/car/7", {"car", "gateway", "service", "anonymous"}),
        ("trackers/phone/7", {"mobile", "gateway", "service", "anonymous"}),
        ("trackers/7", {"car", "mobile", "gateway", "service", "anonymous"}),
        ("car-iotp", {"car", "gateway", "service", "anonymous"}),
        ("mobile-iotp", {"mobile", "gateway", "service", "anonymous"}),
    ],
)
def test_to_a_mapped_topic_publish_the_devices_of_its_kind(topic: str, roles: set[str]) -> None:
    assert {role.name for role in MAPPED.roles if MAPPED_RULES.may_publish(role, topic)} == roles


@pytest.mark.parametrize("topic", ["owntracks/ann/phone", "owntracks/ann/phone/event", "owntracks", "trackers/7"])
def test_what_is_on_a_mapped_first_level_is_for_services_alone(topic: str) -> None:
    for topic_filter in (topic, "owntracks/#", "owntracks/+/+", "trackers/#"):
        allowed = {role for role in MAPPED.roles if MAPPED_RULES.may_subscribe(role, topic_filter, user="ann")}
        assert allowed == {SERVICE}
    assert {role for role in MAPPED.roles if MAPPED_RULES.may_receive(role, topic, user="ann")} == {SERVICE}


class TestPlugins:
    """As the node loads them, by amqtt's plugin manager."""

    @pytest.fixture
    async def manager(self, redis_client: Redis) -> AsyncIterator[Plugins]:
        users = Users(redis_client)
        await users.put([User("car-7", "car", hash_password(b"secret"))])
        authenticator = Authenticator(users=users, kinds=DEFAULT_KINDS, allow_anonymous=True, clock=lambda: 0.0)
        context = BaseContext()
        context.config = {
            "plugins": {
                "broker.auth.access.Authentication": {"authenticator": authenticator},
                "broker.auth.access.Topics": {"access": RULES, "no_subscribe": ["test/nosubscribe"]},
            }
        }
        yield PluginManager("test", context, asyncio.get_running_loop())
        authenticator.close()

    async def allowed(self, manager: Plugins, session: Session, topic: str, action: Action) -> bool:
        return all((await manager.map_plugin_topic(session=session, topic=topic, action=action)).values())

    async def test_a_user_comes_in_with_its_role_and_is_held_to_it(self, manager: Plugins) -> None:
        session = Session()
        session.username, session.password = "car-7", "secret"
        assert list((await manager.map_plugin_auth(session=session)).values()) == [True]
        assert session.attributes == {"campus.role": CAR}
        assert not session.is_anonymous
        assert await self.allowed(manager, session, "car-iotp", Action.PUBLISH)
        assert not await self.allowed(manager, session, "mobile-iotp", Action.PUBLISH)
        assert await self.allowed(manager, session, "v1/#", Action.SUBSCRIBE)
        assert not await self.allowed(manager, session, "#", Action.SUBSCRIBE)
        assert not await self.allowed(manager, session, "car-iotp", Action.RECEIVE)
        for action in (Action.SUBSCRIBE, Action.RECEIVE):
            assert await self.allowed(manager, session, "devices/car-7/refused", action)
            assert not await self.allowed(manager, session, "devices/car-8/refused", action)

    async def test_a_wrong_password_does_not_come_in(self, manager: Plugins) -> None:
        session = Session()
        session.username, session.password = "car-7", "wrong"
        assert list((await manager.map_plugin_auth(session=session)).values()) == [False]
        assert not session.attributes

    async def test_a_client_without_a_user_is_anonymous(self, manager: Plugins) -> None:
        session = Session()
        assert list((await manager.map_plugin_auth(session=session)).values()) == [True]
        assert session.is_anonymous
        assert not await self.allowed(manager, session, "test/nosubscribe", Action.SUBSCRIBE)
        assert not await self.allowed(manager, session, "v1/zones", Action.PUBLISH)
        assert await self.allowed(manager, session, "notices", Action.PUBLISH)


def test_where_counts_are_not_told_as_they_are_the_figures_of_nodes_are_for_services_alone() -> None:
    told = AccessRules(DEFAULT_KINDS, counts_are_true=False)
    for topic in ("$SYS/#", "$SYS/broker/messages/received", "$SYS/broker/clients/connected"):
        assert {role for role in EVERYBODY if told.may_subscribe(role, topic)} == {SERVICE}
        assert {role for role in EVERYBODY if told.may_receive(role, topic)} == {SERVICE}
        assert {role for role in EVERYBODY if RULES.may_subscribe(role, topic)} == {SERVICE, ANONYMOUS}
    for topic in ("v1/zones/main/occupancy", "notices", "#"):
        assert told.may_subscribe(ANONYMOUS, topic)
