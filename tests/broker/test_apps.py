"""What other apps do when they connect, each as its documentation or its source has it; docs/apps.md tells people."""

import json

import pytest
from redis.asyncio import Redis

from core.kinds import Role
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, next_publish, put_user
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE
from tests.mqtt.wire import Connack, Publish, Will, connect
from tests.raw_streams import raw_messages

NOT_AUTHORIZED, WRONG_PROTOCOL = 5, 1


@pytest.fixture
async def node(start_node: StartNode, redis_client: Redis) -> RunningNode:
    for name, role in (("ann@uni.example", MOBILE_ROLE), ("hass", Role.SERVICE), ("tracker", CAR_ROLE)):
        await put_user(redis_client, name, role)
    return await start_node(topic_kinds="owntracks/+/+=mobile", mqtt_allow_anonymous=False)


async def code_for(node: RunningNode, packet: bytes) -> int:
    client = await node.service.dial()
    await client.send(packet)
    answer = await client.receive()
    assert isinstance(answer, Connack)
    return answer.code


async def test_who_fills_in_neither_user_nor_password_is_without_a_user(start_node: StartNode) -> None:
    """OwnTracks for Android always sends both fields, as they are."""
    node = await start_node()
    client = await node.service.connect(user="", password=b"")
    await client.publish("mobile-iotp", b"", qos=1)
    assert [each.role.name for each in node.node.clients.values()] == ["anonymous"]
    closed = await start_node(mqtt_allow_anonymous=False, broker_node="node-2")
    assert await code_for(closed, connect("a", user="", password=b"")) == NOT_AUTHORIZED


@pytest.mark.parametrize("keepalive", [0, 60, 3600, 65_535])
@pytest.mark.parametrize("client_id", ["ann@uni.examplephone", "owntracks/ann/phone", "a b", "é" * 100, "x" * 256])
async def test_client_ids_and_keepalives_of_apps_are_taken(node: RunningNode, client_id: str, keepalive: int) -> None:
    packet = connect(client_id, user="ann@uni.example", password=PASSWORD, clean=False, keepalive=keepalive)
    assert await code_for(node, packet) == 0


async def test_an_address_of_mail_is_a_user_and_has_a_topic_of_its_own(node: RunningNode) -> None:
    client = await node.service.connect(user="ann@uni.example", password=PASSWORD)
    assert await client.subscribe(("devices/ann@uni.example/refused", 0)) == (0,)


async def test_mqtt_5_is_told_that_it_is_not_spoken(node: RunningNode) -> None:
    """OwnTracks for iOS may be set to it: properties follow the keepalive, which nobody looks at."""
    packet = connect("phone", user="ann@uni.example", password=PASSWORD, level=5)
    assert await code_for(node, packet) == WRONG_PROTOCOL


async def test_what_waited_on_a_phone_for_a_day_is_taken_at_once(node: RunningNode, redis_client: Redis) -> None:
    client = await node.service.connect(user="ann@uni.example", password=PASSWORD, clean=False)
    sent = [json.dumps({"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_550_480_460 + n}) for n in range(500)]
    for payload in sent:
        await client.publish("owntracks/ann/phone", payload.encode(), qos=1, retain=True)
    assert [each.payload.decode() for each in await raw_messages(redis_client)] == sent


async def test_home_assistant_says_that_it_is_there_and_that_it_is_gone(node: RunningNode) -> None:
    """Its birth and its will are retained on `homeassistant/status`; it needs the role of a service."""
    will = Will("homeassistant/status", b"offline", qos=0, retain=True)
    hass = await node.service.connect("hass", user="hass", password=PASSWORD, will=will)
    codes = await hass.subscribe(("homeassistant/#", 0), ("v1/zones/+/occupancy", 1), ("owntracks/+/+", 0))
    assert codes == (0, 1, 0)
    await hass.publish("homeassistant/status", b"online", qos=0, retain=True)
    assert await next_publish(hass) == Publish("homeassistant/status", b"online", 0)
    watcher = await node.service.connect(user="hass", password=PASSWORD)
    assert await watcher.subscribe(("homeassistant/status", 0)) == (0,)
    assert await next_publish(watcher) == Publish("homeassistant/status", b"online", 0, retain=True)
    hass.drop()
    assert await next_publish(watcher) == Publish("homeassistant/status", b"offline", 0)


async def test_home_assistant_as_a_device_is_refused_for_its_will(node: RunningNode) -> None:
    will = Will("homeassistant/status", b"offline", retain=True)
    packet = connect("hass", user="tracker", password=PASSWORD, will=will)
    assert await code_for(node, packet) == NOT_AUTHORIZED


async def test_a_tracker_that_tells_of_its_state_below_its_own_topic_is_let_in(
    node: RunningNode, redis_client: Redis
) -> None:
    """Firmware has its will beside what it sends, `Online` and `Offline`: here both lie below the topic of its kind."""
    will = Will("car-iotp/tracker/status", b"Offline", qos=1, retain=True)
    client = await node.service.connect("tracker", user="tracker", password=PASSWORD, will=will)
    await client.publish("car-iotp/tracker/status", b"Online", qos=1, retain=True)
    assert [each.payload for each in await raw_messages(redis_client)] == [b"Online"]
    client.drop()
    again = await node.service.connect("tracker", user="tracker", password=PASSWORD, will=will)
    await again.ping()
    assert node.counted("broker_dropped_total", reason="will") == 2
    assert len(await raw_messages(redis_client)) == 1
