"""Persistent sessions that follow the mirror: each topic once, as it is now."""

import pytest
from redis.asyncio import Redis

from core.kinds import Role
from tests.broker.conftest import PASSWORD, StartNode, TwoNodes, next_publish, put_user
from tests.kinds_of_tests import MOBILE_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Kind, Publish, ack


async def follower(nodes: TwoNodes, redis_client: Redis, topic_filter: str = "v1/#", role: Role = MOBILE_ROLE) -> None:
    await put_user(redis_client, "mirror", Role.SERVICE)
    await put_user(redis_client, "phone", role)
    await (await back(nodes, 0, topic_filter)).disconnect()


async def back(nodes: TwoNodes, number: int, *filters: str) -> Connection:
    node = (nodes.first, nodes.second)[number]
    client = await node.service.connect("phone", clean=False, user="phone", password=PASSWORD)
    for topic_filter in filters:
        assert await client.subscribe((topic_filter, 1)) == (1,)
    return client


async def mirror(nodes: TwoNodes, number: int = 0) -> Connection:
    return await (nodes.first, nodes.second)[number].service.connect(user="mirror", password=PASSWORD)


async def test_who_was_away_gets_the_newest_of_each_topic(nodes: TwoNodes, redis_client: Redis) -> None:
    await follower(nodes, redis_client)
    publisher = await mirror(nodes)
    for number in range(20):
        await publisher.publish("v1/occupancy", str(number).encode(), qos=1, retain=True)
    await publisher.publish("v1/zones", b"{}", qos=1, retain=True)
    await publisher.publish("v1/event", b"happened", qos=1)
    client = await back(nodes, 1)
    assert client.session_present
    assert [await next_publish(client) for _ in range(3)] == [
        Publish("v1/event", b"happened", qos=1),
        Publish("v1/occupancy", b"19", qos=1),
        Publish("v1/zones", b"{}", qos=1),
    ]
    await client.nothing_more()


@pytest.mark.parametrize("where", [0, 1])
async def test_who_is_there_gets_each_change_at_once_from_any_node(
    nodes: TwoNodes, redis_client: Redis, *, where: int
) -> None:
    await follower(nodes, redis_client)
    client, publisher = await back(nodes, 0), await mirror(nodes, where)
    for number in range(5):
        await publisher.publish("v1/occupancy", str(number).encode(), qos=1, retain=True)
        assert await next_publish(client) == Publish("v1/occupancy", str(number).encode(), qos=1)
    await publisher.publish("v1/occupancy", b"", qos=1, retain=True)
    assert await next_publish(client) == Publish("v1/occupancy", b"", qos=1)
    await client.nothing_more()


async def test_what_is_not_acknowledged_comes_again_with_its_identifier(nodes: TwoNodes, redis_client: Redis) -> None:
    await follower(nodes, redis_client)
    client, publisher = await back(nodes, 0), await mirror(nodes, 1)
    await publisher.publish("v1/zones", b"1", qos=1, retain=True)
    first = await client.receive()
    assert isinstance(first, Publish)
    client.drop()
    await publisher.publish("v1/zones", b"2", qos=1, retain=True)
    client = await back(nodes, 1)
    again = await client.receive()
    assert isinstance(again, Publish)
    assert (again.packet_id, again.dup, again.payload) == (first.packet_id, True, b"2")
    await client.send(ack(Kind.PUBACK, again.packet_id or 0))
    newest = await client.receive()
    assert isinstance(newest, Publish)
    assert (newest.dup, newest.payload, newest.retain) == (False, b"2", False)
    await client.send(ack(Kind.PUBACK, newest.packet_id or 0))
    await client.nothing_more()


async def test_what_is_retained_when_a_client_subscribes_has_the_flag_and_later_changes_have_not(
    nodes: TwoNodes, redis_client: Redis
) -> None:
    await put_user(redis_client, "mirror", Role.SERVICE)
    await put_user(redis_client, "phone", MOBILE_ROLE)
    publisher = await mirror(nodes, 1)
    await publisher.publish("v1/a", b"1", qos=1, retain=True)
    client = await back(nodes, 0, "v1/+")
    assert await next_publish(client) == Publish("v1/a", b"1", qos=1, retain=True)
    await publisher.publish("v1/a", b"2", qos=1, retain=True)
    assert await next_publish(client) == Publish("v1/a", b"2", qos=1)
    await client.unsubscribe("v1/+")
    await publisher.publish("v1/a", b"3", qos=1, retain=True)
    await client.nothing_more()


async def test_a_wildcard_at_the_beginning_brings_states_to_services_alone(
    nodes: TwoNodes, redis_client: Redis
) -> None:
    await put_user(redis_client, "mirror", Role.SERVICE)
    login = {"user": "mirror", "password": PASSWORD}
    service = await nodes.first.service.subscriber(("#", 2), client_id="service", clean=False, **login)
    nobody = await nodes.first.service.subscriber(("#", 2), client_id="nobody", clean=False)
    publisher = await mirror(nodes, 1)
    await publisher.publish("v1/a", b"1", qos=2, retain=True)
    assert await next_publish(service) == Publish("v1/a", b"1", qos=2)
    await nobody.nothing_more()


async def test_a_slow_client_has_a_window_and_then_the_newest(start_node: StartNode, redis_client: Redis) -> None:
    first, second = [await start_node(broker_node=name, mqtt_max_unacknowledged=3) for name in ("one", "two")]
    nodes = TwoNodes(first, second)
    await follower(nodes, redis_client)
    publisher = await mirror(nodes, 1)
    client = await back(nodes, 0)
    held = []
    for number in range(6):
        await publisher.publish("v1/a", str(number).encode(), qos=1, retain=True)
        if number < 3:
            message = await client.receive()
            assert isinstance(message, Publish)
            held.append(message)
    assert [message.payload for message in held] == [b"0", b"1", b"2"]
    await client.nothing_more()
    await client.send(ack(Kind.PUBACK, held[0].packet_id or 0))
    newest = await client.receive()
    assert isinstance(newest, Publish)
    assert newest.payload == b"5"
    await client.nothing_more()
