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
from core.kinds import DEFAULT_KINDS, Role
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

Plugins = PluginManager[BaseContext]
CAR, MOBILE, GATEWAY, SERVICE, ANONYMOUS = CAR_ROLE, MOBILE_ROLE, Role.GATEWAY, Role.SERVICE, Role.ANONYMOUS
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
}
SUBSCRIBERS = {
    "v1": EVERYBODY,
    "v1/#": EVERYBODY,
    "v1/+/main/occupancy": EVERYBODY,
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
    "$share/group/v1/#": NOBODY,
    "$share/group/car-iotp": NOBODY,
}
RECEIVERS = {
    "v1": EVERYBODY,
    "v1/zones/main/occupancy": EVERYBODY,
    "notices": {SERVICE, ANONYMOUS},
    "$SYS/broker/uptime": {SERVICE, ANONYMOUS},
    "car-iotp": {SERVICE},
    "car-iotp/bus": {SERVICE},
    "mobile-iotp": {SERVICE},
    "mobile-iotp/phone": {SERVICE},
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
