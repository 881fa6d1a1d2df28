"""Plugins of amqtt that are not ours: what they refuse is refused, and what ours refuse stays so."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import BadSettingsError
from core.kinds import Role
from tests.broker.conftest import PASSWORD, StartNode, put_user
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.wire import Ack, Connack, Kind, Will, connect, publish
from tests.raw_streams import raw_messages

TABOO: dict[str, dict[str, object]] = {"amqtt.plugins.topic_checking.TopicTabooPlugin": {}}
ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"
FILE = "amqtt.plugins.authentication.FileAuthPlugin"
BADGE = {"tests.broker.outsider.Badge": {"prefix": "badge-"}}


async def test_a_topic_filter_of_amqtt_holds_for_subscribe_and_publish(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(mqtt_plugins=TABOO)
    await put_user(redis_client, "admin", Role.SERVICE)
    reader = await node.service.connect()
    assert await reader.subscribe(("prohibited", 1), ("allowed", 1)) == (0x80, 1)
    admin = await node.service.connect(user="admin", password=PASSWORD)
    assert await admin.subscribe(("prohibited", 1)) == (1,)
    writer = await node.service.connect()
    await writer.publish("prohibited", b"never", qos=1)
    await writer.publish("allowed", b"heard", qos=1)
    assert (await reader.take()).payload == b"heard"
    assert node.refused("publish") == 1
    await admin.publish("prohibited", b"from one who may", qos=1)
    assert (await admin.take()).payload == b"from one who may"


async def test_messages_are_acknowledged_in_their_order_while_plugins_are_asked(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(mqtt_plugins=TABOO)
    client = await node.service.connect()
    topics = ["car-iotp", "a", "prohibited", "car-iotp", "b", "top-secret", "a", "car-iotp"]
    await client.send(b"".join(publish(topic, b"x", qos=1, packet_id=number) for number, topic in enumerate(topics, 1)))
    assert [await client.receive() for _ in topics] == [Ack(Kind.PUBACK, number) for number in range(1, 9)]
    assert len(await raw_messages(redis_client)) == 3
    assert node.refused("publish") == 2


async def test_a_name_that_is_none_ends_the_connection(start_node: StartNode) -> None:
    node = await start_node(mqtt_plugins=TABOO)
    client = await node.service.connect()
    await client.send(publish("a", b"x", qos=1, packet_id=1) + publish("a/#", b"x", qos=1, packet_id=2))
    await client.closed_whatever_came_before()
    assert node.refused("protocol") == 1


async def test_who_publishes_to_very_many_topics_is_asked_about_each(start_node: StartNode) -> None:
    node = await start_node(mqtt_plugins=TABOO)
    client = await node.service.connect("many")
    await client.send(*(publish(f"many/{number}", b"x", qos=1, packet_id=number) for number in range(1, 201)))
    assert [await client.receive() for _ in range(200)] == [Ack(Kind.PUBACK, number) for number in range(1, 201)]
    assert len(node.connection("many").topics) <= 64


async def test_a_will_that_a_plugin_refuses_is_answered_as_others_are(start_node: StartNode) -> None:
    node = await start_node(mqtt_plugins=TABOO)
    client = await node.service.dial()
    await client.send(connect("c", will=Will("top-secret", b"gone")))
    assert await client.receive() == Connack(session_present=False, code=5)
    await client.closed()


async def test_a_login_needs_the_yes_of_each_plugin(start_node: StartNode, redis_client: Redis, tmp_path: Path) -> None:
    node = await start_node(mqtt_plugins={ANONYMOUS: {"allow_anonymous": False}})
    await put_user(redis_client, "gate", Role.GATEWAY)
    await node.service.connect(user="gate", password=PASSWORD)
    refused = await node.service.dial()
    await refused.send(connect("nobody"))
    assert await refused.receive() == Connack(session_present=False, code=5)
    # A file of users lets nobody in whom we do not know.
    (tmp_path / "passwords").write_text("", encoding="utf-8")
    other = await start_node(broker_node="node-2", mqtt_plugins={FILE: {"password_file": str(tmp_path / "passwords")}})
    stranger = await other.service.dial()
    await stranger.send(connect("c", user="gate", password=PASSWORD))
    assert await stranger.receive() == Connack(session_present=False, code=4)


async def test_a_plugin_of_an_outsider_sees_who_it_is_and_may_leave_it_to_others(start_node: StartNode) -> None:
    node = await start_node(mqtt_plugins=BADGE)
    refused = await node.service.dial()
    await refused.send(connect("no-badge"))
    assert await refused.receive() == Connack(session_present=False, code=5)
    reader = await node.service.connect("badge-1")
    assert await reader.subscribe(("own/#", 1)) == (1,)
    other = await node.service.connect("badge-2")
    await other.publish("own/badge-1/door", b"of another", qos=1)
    await other.publish("own/badge-2/door", b"its own", qos=1)
    assert (await reader.take()).payload == b"its own"


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ({"nowhere.Plugin": {}}, "MQTT_PLUGINS: .*nowhere.Plugin"),
        ({"tests.broker.outsider.Config": {}}, "MQTT_PLUGINS: .*outsider"),
        ({"tests.broker.outsider.Badge": {}}, "MQTT_PLUGINS: .*prefix"),
        ({"tests.broker.outsider.Badge": {"prefix": "x", "other": 1}}, "MQTT_PLUGINS: .*other"),
    ],
)
async def test_one_that_cannot_be_loaded_is_told(
    start_node: StartNode, plugins: dict[str, dict[str, object]], words: str
) -> None:
    with pytest.raises(BadSettingsError, match=words):
        await start_node(mqtt_plugins=plugins)


async def test_ours_cannot_be_configured_away(start_node: StartNode, redis_client: Redis) -> None:
    node = await start_node(mqtt_plugins={"broker.auth.access.Topics": {"no_subscribe": []}})
    await put_user(redis_client, "bus", CAR_ROLE)
    client = await node.service.connect(user="bus", password=PASSWORD)
    await client.publish("mobile-iotp", b"x", qos=1)
    assert node.refused("publish") == 1
    assert not await raw_messages(redis_client)
