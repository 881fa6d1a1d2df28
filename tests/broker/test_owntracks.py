"""What OwnTracks does over MQTT, by a client as it has one: its will, its topics, and what it subscribes to.

What it does is in its documentation (owntracks.org, "MQTT" and "JSON") and in its source: a will on its own topic, a
persistent session, positions that ask to be retained, and subscriptions to the positions of friends.
"""

import asyncio
import json
import queue
from collections.abc import AsyncIterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from redis.asyncio import Redis

from core.kinds import Role
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, has, put_user
from tests.conftest import eventually
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE
from tests.mqtt.wire import Will
from tests.raw_streams import raw_messages

LIMIT_SECONDS = 30.0
MAPPED = "owntracks/+/+=mobile"
LWT = json.dumps({"_type": "lwt", "tst": 1_550_480_460})
LOCATION = json.dumps({"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_550_480_460, "acc": 12, "tid": "ab"})


class App:
    """A phone: paho on a thread of its own."""

    def __init__(self, node: RunningNode, user: str, device: str, *, level: int, base: str, topic_of: str) -> None:
        self.topic = f"{base}/{topic_of}/{device}"
        self.answers: queue.Queue[Any] = queue.Queue()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            f"{user}{device}",
            clean_session=False,
            protocol=MQTTProtocolVersion(level),
        )
        client.username_pw_set(user, PASSWORD.decode())
        client.will_set(self.topic, LWT, qos=1, retain=False)
        client.on_connect = lambda _client, _data, flags, code, _properties: self.answers.put((flags, code))
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.answers.put(codes)
        client.on_publish = lambda _client, _data, mid, _code, _properties: self.answers.put(mid)
        self._client = client
        self._port = node.settings.broker_port

    async def connect(self) -> bool:
        """Whether a session was there; fails where it is not let in."""
        self._client.connect("127.0.0.1", self._port, keepalive=60)
        self._client.loop_start()
        flags, code = await self.answer()
        assert code == 0, code
        return bool(flags.session_present)

    async def subscribe(self, *filters: str) -> list[int]:
        self._client.subscribe([(each, 1) for each in filters])
        return [code.value for code in await self.answer()]

    async def publish(self, payload: str, below: str = "", *, qos: int = 1, retain: bool = True) -> None:
        sent = self._client.publish(self.topic + below, payload, qos, retain)
        assert await self.answer() == sent.mid

    async def answer(self) -> Any:  # noqa: ANN401 - of each callback another
        return await asyncio.to_thread(self.answers.get, timeout=LIMIT_SECONDS)

    def vanish(self) -> None:
        """Go without saying so: its will is due."""
        self._client.loop_stop()
        socket = self._client.socket()
        assert socket is not None
        socket.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def node(start_node: StartNode, redis_client: Redis) -> RunningNode:
    found = await start_node(topic_kinds=MAPPED, mqtt_allow_anonymous=False)
    for name, role in (("ann", MOBILE_ROLE), ("car", CAR_ROLE), ("reports", Role.SERVICE)):
        await put_user(redis_client, name, role)
    return found


@pytest.fixture
async def apps() -> AsyncIterator[list[App]]:
    opened: list[App] = []
    yield opened
    for app in opened:
        app.close()


def phone(
    node: RunningNode,
    apps: list[App],
    user: str = "ann",
    *,
    level: int = 4,
    base: str = "owntracks",
    topic_of: str = "ann",
) -> App:
    apps.append(App(node, user, "phone", level=level, base=base, topic_of=topic_of))
    return apps[-1]


@pytest.mark.parametrize("level", [3, 4])
async def test_its_will_its_session_and_its_positions_are_taken_and_nothing_is_retained(
    node: RunningNode, apps: list[App], redis_client: Redis, level: int
) -> None:
    watcher = await node.service.connect(user="reports", password=PASSWORD)
    assert await watcher.subscribe(("owntracks/#", 1)) == (1,)
    app = phone(node, apps, level=level)
    assert not await app.connect()
    for qos in (0, 1, 2):
        await app.publish(LOCATION, qos=qos)
    assert [await watcher.take() for _ in range(3)]
    found = await raw_messages(redis_client)
    assert [(each.topic, each.payload.decode(), each.user, each.role) for each in found] == [
        ("owntracks/ann/phone", LOCATION, "ann", "mobile")
    ] * 3
    assert await redis_client.exists("retained:{mqtt}") == 0
    app.vanish()
    await eventually(lambda: has(lambda: "annphone" not in node.node.clients))
    await watcher.nothing_more()
    assert len(await raw_messages(redis_client)) == 3
    assert node.counted("broker_dropped_total", reason="will") == 1


async def test_it_comes_back_to_its_session(node: RunningNode, apps: list[App], redis_client: Redis) -> None:
    app = phone(node, apps)
    await app.connect()
    app.vanish()
    await eventually(lambda: has(lambda: "annphone" not in node.node.clients))
    again = phone(node, apps)
    assert await again.connect()
    await again.publish(LOCATION)
    assert len(await raw_messages(redis_client)) == 1


async def test_what_it_subscribes_to_is_refused_and_it_goes_on(
    node: RunningNode, apps: list[App], redis_client: Redis
) -> None:
    app = phone(node, apps)
    await app.connect()
    codes = await app.subscribe("owntracks/+/+", "owntracks/+/+/event", "owntracks/+/+/info", "owntracks/ann/phone/cmd")
    assert codes == [0x80] * 4
    await app.publish(LOCATION)
    assert len(await raw_messages(redis_client)) == 1


async def test_in_mqtt_3_1_what_it_subscribes_to_is_granted_and_brings_nothing(
    node: RunningNode, apps: list[App]
) -> None:
    app = phone(node, apps, level=3)
    await app.connect()
    assert await app.subscribe("owntracks/+/+", "owntracks/+/+/event") == [0, 0]
    await app.publish(LOCATION)
    assert not node.node.subscriptions.wants("owntracks/ann/phone")


@pytest.mark.parametrize(
    "below", ["/event", "/waypoint", "/waypoints", "/step", "/beacon", "/dump", "/status", "/info"]
)
async def test_what_it_sends_beside_positions_is_acknowledged_and_counted_and_goes_nowhere(
    node: RunningNode, apps: list[App], redis_client: Redis, below: str
) -> None:
    watcher = await node.service.connect(user="reports", password=PASSWORD)
    assert await watcher.subscribe(("#", 1), ("owntracks/#", 1)) == (1, 1)
    app = phone(node, apps)
    await app.connect()
    for qos in (1, 2):
        await app.publish(json.dumps({"_type": "transition", "lat": 52.67, "lon": -8.57}), below, qos=qos)
    assert node.refused("unmapped") == 2
    assert await raw_messages(redis_client) == []
    assert await redis_client.exists("retained:{mqtt}") == 0
    await watcher.nothing_more()


@pytest.mark.parametrize("retain", [True, False])
async def test_with_an_empty_payload_it_clears_its_topic_and_that_is_no_position(
    node: RunningNode, apps: list[App], redis_client: Redis, *, retain: bool
) -> None:
    watcher = await node.service.connect(user="reports", password=PASSWORD)
    assert await watcher.subscribe(("owntracks/#", 1)) == (1,)
    app = phone(node, apps)
    await app.connect()
    for qos in (0, 1, 2):
        await app.publish("", qos=qos, retain=retain)
    await app.publish(LOCATION)
    assert node.counted("broker_dropped_total", reason="cleared") == 3
    assert [each.payload.decode() for each in await raw_messages(redis_client)] == [LOCATION]
    assert (await watcher.take()).payload.decode() == LOCATION
    await watcher.nothing_more()


async def test_under_another_name_on_its_topic_it_is_its_user_all_the_same(
    node: RunningNode, apps: list[App], redis_client: Redis
) -> None:
    app = phone(node, apps, topic_of="bob")
    await app.connect()
    await app.publish(LOCATION)
    assert [(each.topic, each.user) for each in await raw_messages(redis_client)] == [("owntracks/bob/phone", "ann")]


async def test_below_the_topic_of_its_kind_it_needs_no_mapping(
    start_node: StartNode, apps: list[App], redis_client: Redis
) -> None:
    node = await start_node()
    await put_user(redis_client, "ann", MOBILE_ROLE)
    app = phone(node, apps, base="mobile-iotp")
    await app.connect()
    await app.publish(LOCATION)
    assert [each.topic for each in await raw_messages(redis_client)] == ["mobile-iotp/ann/phone"]
    assert node.counted("broker_dropped_total", reason="will") == 1


async def test_without_a_mapping_a_device_that_has_its_will_there_is_refused(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node()
    await put_user(redis_client, "ann", MOBILE_ROLE)
    will = Will("owntracks/ann/phone", LWT.encode())
    with pytest.raises(AssertionError, match="5"):
        await node.service.connect(user="ann", password=PASSWORD, will=will)


async def test_the_user_of_another_kind_may_not_be_there(node: RunningNode, redis_client: Redis) -> None:
    car = await node.service.connect(user="car", password=PASSWORD)
    await car.publish("owntracks/ann/phone", LOCATION.encode(), qos=1)
    await car.publish("owntracks/ann/phone/event", LOCATION.encode(), qos=1)
    assert node.refused("publish") == 2
    assert await raw_messages(redis_client) == []


async def test_clients_without_a_user_send_there_and_hear_nothing_of_it(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(topic_kinds=MAPPED)
    reader, writer = await node.service.connect(), await node.service.connect()
    filters = ("owntracks/#", "owntracks/+/+", "owntracks/ann/phone", "owntracks")
    assert await reader.subscribe(*((each, 1) for each in filters)) == (0x80,) * 4
    assert await reader.subscribe(("#", 1), ("+/+/+", 1), ("+/ann/#", 1)) == (1, 1, 1)
    await writer.publish("owntracks/ann/phone", LOCATION.encode(), qos=1, retain=True)
    await writer.publish("owntracks/ann/phone/event", LOCATION.encode(), qos=1, retain=True)
    await writer.publish("notices", b"all", qos=1)
    assert (await reader.take()).topic == "notices"
    await reader.nothing_more()
    assert len(await raw_messages(redis_client)) == 1
    late = await node.service.subscriber(("#", 1))
    await late.nothing_more()


async def test_what_was_retained_there_before_it_was_mapped_goes_when_a_node_joins(
    start_node: StartNode, redis_client: Redis
) -> None:
    before = await start_node()
    writer = await before.service.connect()
    for topic in ("owntracks/ann/phone", "owntracks/ann/phone/event", "notices"):
        await writer.publish(topic, LOCATION.encode(), qos=1, retain=True)
    assert await redis_client.hlen("retained:{mqtt}") == 3
    await start_node(topic_kinds=MAPPED, broker_node="node-2")
    assert await redis_client.hkeys("retained:{mqtt}") == [b"notices"]
