"""A session belongs to its user, or to the address of an anonymous client: nobody else gets it, nor ends it."""

import asyncio

import pytest
from redis.asyncio import Redis

from broker.auth.owner import owner_of
from broker.auth.users import Users
from core.kinds import Role
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, TwoNodes, has, put_user
from tests.conftest import eventually
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Connack, Will, connect

BAD_CLIENT_ID = 2


@pytest.mark.parametrize(
    ("user", "peer", "owner"),
    [
        ("demo-car", "192.0.2.1", "u:demo-car"),
        ("192.0.2.1", "192.0.2.1", "u:192.0.2.1"),
        ("", "192.0.2.1", "a:192.0.2.1"),
        ("", "::ffff:192.0.2.1", "a:192.0.2.1"),
        ("", "2001:db8:1:2:3:4:5:6", "a:2001:db8:1:2::/64"),
        ("", "2001:db8:1:2::9", "a:2001:db8:1:2::/64"),
        ("", "", "a:"),
    ],
)
def test_the_owner_is_the_user_or_the_address(user: str, peer: str, owner: str) -> None:
    assert owner_of(user, peer) == owner


async def attempt(node: RunningNode, packet: bytes, *, source: str = "") -> tuple[Connection, Connack]:
    connection = await node.service.dial()
    header = f"PROXY TCP4 {source} 192.0.2.250 40000 1883\r\n".encode() if source else b""
    await connection.send(header + packet)
    connack = await connection.receive()
    assert isinstance(connack, Connack)
    return connection, connack


@pytest.mark.parametrize("clean", [True, False])
async def test_a_connected_service_notices_nothing_of_another_with_its_client_id(
    nodes: TwoNodes, redis_client: Redis, *, clean: bool
) -> None:
    await put_user(redis_client, "report", Role.SERVICE)
    await put_user(redis_client, "demo-car", CAR_ROLE)
    service = await nodes.first.service.subscriber(
        ("x", 1), client_id="reports", clean=False, user="report", password=PASSWORD
    )
    will = Will("x", b"gone", qos=1)
    for node in (nodes.first, nodes.second):
        for user in ("demo-car", None):
            packet = connect("reports", clean=clean, user=user, password=PASSWORD if user else None)
            intruder, connack = await attempt(node, packet)
            assert connack.code == BAD_CLIENT_ID
            await intruder.closed()
        intruder, connack = await attempt(node, connect("reports", clean=clean, will=will))
        assert connack.code == BAD_CLIENT_ID
        await intruder.closed()
        assert node.refused("foreign_client_id") == 3
    publisher = await nodes.second.service.connect()
    await publisher.publish("x", b"1", qos=1)
    assert (await service.take()).payload == b"1"
    await service.nothing_more()
    assert nodes.first.refused("taken_over") == 0


async def test_a_service_that_is_away_finds_its_subscriptions_and_messages(
    nodes: TwoNodes, redis_client: Redis
) -> None:
    await put_user(redis_client, "report", Role.SERVICE)
    await put_user(redis_client, "demo-car", CAR_ROLE)
    login = {"user": "report", "password": PASSWORD}
    service = await nodes.first.service.subscriber(("x", 1), client_id="reports", clean=False, **login)
    await service.disconnect()
    publisher = await nodes.second.service.connect()
    for number in range(5):
        await publisher.publish("x", str(number).encode(), qos=1)
    for clean in (True, False):
        packet = connect("reports", clean=clean, user="demo-car", password=PASSWORD)
        assert (await attempt(nodes.second, packet))[1].code == BAD_CLIENT_ID
    back = await nodes.second.service.connect("reports", clean=False, **login)
    assert back.session_present
    assert await back.take_payloads(5) == [b"0", b"1", b"2", b"3", b"4"]


async def test_where_two_users_come_at_once_one_of_them_stays(nodes: TwoNodes, redis_client: Redis) -> None:
    for name in ("one", "two"):
        await put_user(redis_client, name, Role.GATEWAY)
    packets = [connect("same", clean=False, user=name, password=PASSWORD) for name in ("one", "two")]
    for _ in range(5):
        answers = await asyncio.gather(
            *(attempt(node, packet) for node, packet in zip((nodes.first, nodes.second), packets, strict=True))
        )
        assert sorted(connack.code for _, connack in answers) == [0, BAD_CLIENT_ID]
        for connection, connack in answers:
            if not connack.code:
                assert await connection.is_open()


async def test_anonymous_clients_of_one_address_are_one_user(start_node: StartNode) -> None:
    node = await start_node(broker_proxy_protocol=True)
    packet = connect("phone", clean=False)
    first, connack = await attempt(node, packet, source="192.0.2.1")
    assert connack.code == 0
    assert (await attempt(node, packet, source="192.0.2.2"))[1].code == BAD_CLIENT_ID
    assert await first.is_open()
    _, connack = await attempt(node, packet, source="192.0.2.1")
    assert (connack.code, connack.session_present) == (0, True)
    await first.closed()


async def test_the_sessions_of_a_user_end_with_the_user(node: RunningNode, redis_client: Redis) -> None:
    await put_user(redis_client, "gate", Role.SERVICE)
    login = {"user": "gate", "password": PASSWORD}
    away = await node.service.subscriber(("x", 1), client_id="away", clean=False, **login)
    await away.disconnect()
    here = await node.service.subscriber(("x", 1), client_id="here", clean=False, **login)
    await Users(redis_client).remove(["gate"])
    await here.closed()

    async def erased() -> bool:
        return not await redis_client.exists(
            "sessions:{mqtt}", "session:{mqtt}:away", "session:{mqtt}:here", "users:removed:{mqtt}"
        )

    await eventually(erased)
    await eventually(lambda: has(lambda: not node.node.connections))
    await put_user(redis_client, "gate", Role.SERVICE)
    for client_id in ("away", "here"):
        assert not (await node.service.connect(client_id, clean=False, **login)).session_present
