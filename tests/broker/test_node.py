"""What the connections of a node, and two nodes, are to each other: access, takeover, ends, figures."""

import asyncio
import os
import sys
from collections import Counter

import pytest
from prometheus_client import generate_latest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from broker.auth.users import Users
from core.kinds import DEFAULT_KINDS, Role
from tests.broker.conftest import (
    PASSWORD,
    RunningNode,
    StartNode,
    TwoNodes,
    has,
    put_user,
)
from tests.conftest import WAIT_SECONDS, eventually
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Connack, Publish, Will, connect, publish
from tests.raw_streams import raw_messages

NOT_AUTHORIZED = 5
BAD_CREDENTIALS = 4


async def logged_in(node: RunningNode, user: str, client_id: str | None = None, **fields: object) -> Connection:
    return await node.service.connect(client_id, user=user, password=PASSWORD, **fields)


async def test_positions_of_a_device_lie_in_its_partition_and_those_of_others_in_that_of_their_client(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(partitions=16)
    for name, role in (("car-7", CAR_ROLE), ("gate", Role.GATEWAY)):
        await put_user(redis_client, name, role)
    # Of 16 partitions, car-7 is in the ninth, car-1 in the fourteenth.
    await (await logged_in(node, "car-7", "radio")).publish("car-iotp", b"device", qos=1)
    await (await logged_in(node, "gate", "car-1")).publish("car-iotp", b"gateway", qos=1)
    await (await node.service.connect("car-7")).publish("car-iotp", b"anonymous", qos=1)
    found = {partition: await raw_messages(redis_client, partition, 16) for partition in range(16)}
    assert {partition: [each.payload for each in some] for partition, some in found.items() if some} == {
        8: [b"device", b"anonymous"],
        13: [b"gateway"],
    }


async def code_for(node: RunningNode, packet: bytes) -> int:
    """The return code of the CONNACK; a refused connection is closed after it."""
    client = await node.service.dial()
    await client.send(packet)
    connack = await client.receive()
    assert isinstance(connack, Connack)
    if connack.code:
        await client.closed()
    return connack.code


async def seen(connection: Connection, prefix: str) -> dict[str, bytes]:
    """The payloads by topic of all that comes before the answer to a ping."""
    await connection.ping()
    found = {}
    while connection._waiting:
        message = await connection.message()
        assert message.topic.startswith(prefix)
        found[message.topic.removeprefix(prefix)] = message.payload
    return found


class TestAccess:
    @pytest.fixture(autouse=True)
    async def _users(self, redis_client: Redis) -> None:
        for role in ("car", "mobile", "gateway", "service"):
            await put_user(redis_client, role, DEFAULT_KINDS.role(role))

    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(mqtt_allow_anonymous=False)

    async def test_nobody_comes_in_without_a_user_or_with_a_wrong_password(self, node: RunningNode) -> None:
        assert await code_for(node, connect("a")) == NOT_AUTHORIZED
        assert await code_for(node, connect("a", user="car", password=b"wrong")) == BAD_CREDENTIALS
        assert await code_for(node, connect("a", user="car")) == BAD_CREDENTIALS
        assert await code_for(node, connect("a", user="nobody", password=PASSWORD)) == BAD_CREDENTIALS
        assert await code_for(node, connect("a", user="car", password=PASSWORD)) == 0
        assert node.refused("refused_connect") == 4

    async def test_a_refused_subscribe_gets_0x80_and_the_others_of_its_packet_what_they_asked_for(
        self, node: RunningNode
    ) -> None:
        car = await logged_in(node, "car")
        assert await car.subscribe(("car-iotp", 1), ("v1/#", 1), ("#", 1), ("mobile-iotp/#", 0)) == (
            0x80,
            1,
            0x80,
            0x80,
        )
        assert node.refused("subscribe") == 3
        await (await logged_in(node, "service")).publish("v1/zones", b"1", qos=1)
        assert (await car.take()).topic == "v1/zones"

    async def test_a_refused_publish_is_acknowledged_and_dropped_and_counted(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        car, service = await logged_in(node, "car"), await logged_in(node, "service")
        await service.subscribe(("#", 2))
        for qos in (0, 1, 2):
            await car.publish("mobile-iotp", b"not mine", qos=qos)
            await car.publish("v1/zones", b"not mine", qos=qos, retain=True)
        await car.publish("car-iotp", b"mine", qos=1)
        assert (await service.take()).payload == b"mine"
        await service.nothing_more()
        assert node.refused("publish") == 6
        assert [message.payload for message in await raw_messages(redis_client)] == [b"mine"]
        assert await (await logged_in(node, "service")).subscribe(("v1/#", 0)) == (0,)

    async def test_refused_messages_of_a_user_are_logged_once_a_minute(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        car, mobile = await logged_in(node, "car"), await logged_in(node, "mobile")
        now = 1000.0
        monkeypatch.setattr(node.node.refusals._throttle, "_clock", lambda: now)
        with capture_logs() as logs:
            for _ in range(50):
                await car.publish("elsewhere", b"", qos=1)
            await mobile.publish("elsewhere", b"", qos=1)
            now += 59.0
            await car.publish("elsewhere", b"", qos=1)
            said = [entry["user"] for entry in logs if entry["event"] == "refused"]
            # Each has its own line, and is called by a word that stands for it.
            named_car, named_mobile = said
            assert named_car != named_mobile
            now += 2.0
            await car.publish("elsewhere", b"", qos=1)
        told = Counter(entry["user"] for entry in logs if entry["event"] == "refused")
        assert told == {named_car: 2, named_mobile: 1}
        assert node.refused("publish") == 53

    async def test_positions_reach_services_alone(self, node: RunningNode) -> None:
        gateway, service = await logged_in(node, "gateway"), await logged_in(node, "service")
        await service.subscribe(("+/#", 1))
        assert await gateway.subscribe(("v1/#", 1), ("+/#", 1)) == (1, 0x80)
        await gateway.publish("car-iotp", b"car", qos=1)
        await gateway.publish("mobile-iotp/7", b"phone", qos=1)
        assert await service.take_payloads(2) == [b"car", b"phone"]
        await gateway.nothing_more()

    async def test_a_will_that_its_user_may_not_publish_is_refused(self, node: RunningNode) -> None:
        packet = connect("a", user="car", password=PASSWORD, will=Will("v1/zones"))
        assert await code_for(node, packet) == NOT_AUTHORIZED
        packet = connect("a", user="service", password=PASSWORD, will=Will("v1/zones"))
        assert await code_for(node, packet) == 0

    async def test_a_position_cannot_be_a_will_and_the_client_is_let_in_without_it(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        watcher = await logged_in(node, "service")
        assert await watcher.subscribe(("car-iotp/#", 1), ("notices", 1)) == (1, 1)
        for user in ("car", "service"):
            will = Will("car-iotp/7", b"x" * 5000, qos=1, retain=True)
            dying = await logged_in(node, user, f"dying-{user}", will=will, clean=False)
            assert (await redis_client.exists(f"will:{{mqtt}}:{node.node.cluster.node}")) == 0
            dying.drop()
        await eventually(lambda: has(lambda: not any(each.startswith("dying-") for each in node.node.clients)))
        # A will that is one comes after whatever would have come of the others.
        last = await logged_in(node, "service", will=Will("notices", b"last", qos=1))
        last.drop()
        assert (await watcher.take()).payload == b"last"
        assert node.counted("broker_dropped_total", reason="will") == 2
        assert await raw_messages(redis_client) == []

    async def test_a_will_for_positions_of_another_kind_is_refused(self, node: RunningNode) -> None:
        packet = connect("a", user="car", password=PASSWORD, will=Will("mobile-iotp"))
        assert await code_for(node, packet) == NOT_AUTHORIZED


class TestAnonymousClients:
    async def test_a_subscription_to_everything_brings_no_positions(self, node: RunningNode) -> None:
        reader, writer = await node.service.subscriber(("#", 1)), await node.service.connect()
        await writer.publish("car-iotp", b"secret", qos=1)
        await writer.publish("notices/today", b"public", qos=1)
        assert (await reader.take()).topic == "notices/today"
        await reader.nothing_more()

    @pytest.mark.parametrize("clean", [True, False])
    @pytest.mark.parametrize("topic_filter", ["#", "+/+"])
    async def test_the_mirror_reaches_those_who_name_it_and_services_and_not_who_listens_to_everything(
        self, nodes: TwoNodes, redis_client: Redis, topic_filter: str, *, clean: bool
    ) -> None:
        await put_user(redis_client, "service", Role.SERVICE)
        here, there = nodes.first, nodes.second
        mirror = await logged_in(there, "service")
        await mirror.publish("v1/zones", b"retained", qos=1, retain=True)
        listeners = [await node.service.connect(f"{number}", clean=clean) for number, node in enumerate((here, there))]
        for listener in listeners:
            await listener.subscribe((topic_filter, 1))
        named = await here.service.subscriber(("v1/+", 1))
        everything = await logged_in(here, "service")
        await everything.subscribe((topic_filter, 1))
        await mirror.publish("v1/zones", b"changed", qos=1)
        await mirror.publish("notices/today", b"", qos=1)
        for listener in listeners:
            assert (await listener.take()).topic == "notices/today"
            await listener.nothing_more()
        for listener in (named, everything):
            assert [(await listener.take()).payload for _ in range(2)] == [b"retained", b"changed"]

    @pytest.mark.parametrize("topic_filter", ["car-iotp", "car-iotp/#", "mobile-iotp/+"])
    async def test_positions_cannot_be_subscribed_to(self, node: RunningNode, topic_filter: str) -> None:
        client = await node.service.connect()
        assert await client.subscribe((topic_filter, 1)) == (0x80,)


class TestUsersThatChange:
    async def test_a_removed_user_is_out_within_seconds_on_both_nodes_and_others_stay(
        self, nodes: TwoNodes, redis_client: Redis
    ) -> None:
        await put_user(redis_client, "gate", Role.GATEWAY)
        await put_user(redis_client, "other", Role.GATEWAY)
        gone = [await logged_in(node, "gate") for node in (nodes.first, nodes.second)]
        kept = [await logged_in(node, "other") for node in (nodes.first, nodes.second)]
        kept += [await node.service.connect() for node in (nodes.first, nodes.second)]
        await Users(redis_client).remove(["gate"])
        for client in gone:
            await client.closed()
        for client in kept:
            assert await client.is_open()
        assert nodes.first.refused("user_changed") == nodes.second.refused("user_changed") == 1
        assert await code_for(nodes.first, connect("a", user="gate", password=PASSWORD)) == BAD_CREDENTIALS

    @pytest.mark.parametrize(("role", "password"), [(CAR_ROLE, PASSWORD), (Role.GATEWAY, b"another")])
    async def test_a_user_with_another_role_or_password_has_to_come_again(
        self, nodes: TwoNodes, redis_client: Redis, role: Role, password: bytes
    ) -> None:
        await put_user(redis_client, "gate", Role.GATEWAY)
        clients = [await logged_in(node, "gate") for node in (nodes.first, nodes.second)]
        await put_user(redis_client, "gate", role, password)
        for client in clients:
            await client.closed()
        again = await nodes.first.service.connect(user="gate", password=password)
        assert await again.is_open()


class TestTakeover:
    async def test_the_older_connection_ends_on_the_same_node(self, node: RunningNode) -> None:
        older = await node.service.connect("same")
        newer = await node.service.connect("same")
        await older.closed()
        await newer.publish("car-iotp", b"1", qos=1)
        assert node.refused("taken_over") == 1
        assert len(node.node.connections) == 1

    @pytest.mark.parametrize("clean", [True, False])
    async def test_the_older_connection_ends_on_the_other_node(self, nodes: TwoNodes, *, clean: bool) -> None:
        older = await nodes.first.service.subscriber(("t", 1), client_id="same", clean=clean)
        newer = await nodes.second.service.connect("same", clean=clean)
        await older.closed()
        assert newer.session_present is not clean
        if clean:
            assert await newer.subscribe(("t", 1)) == (1,)
        await (await nodes.first.service.connect()).publish("t", b"for the newer", qos=1)
        assert (await newer.take()).payload == b"for the newer"
        assert not nodes.first.node.clients.get("same")

    async def test_the_will_of_the_older_connection_is_published_once(self, nodes: TwoNodes) -> None:
        watchers = [await node.service.subscriber(("will", 1)) for node in (nodes.first, nodes.second)]
        older = await nodes.first.service.connect("same", will=Will("will", b"older", 1))
        await nodes.second.service.connect("same", will=Will("will", b"newer", 1))
        await older.closed()
        for watcher in watchers:
            assert (await watcher.take()).payload == b"older"
            await watcher.nothing_more()

    async def test_many_connections_of_one_client_at_once_leave_one(self, nodes: TwoNodes) -> None:
        services = [nodes.first.service, nodes.second.service]
        clients = [await services[number % 2].dial() for number in range(10)]
        for client in clients:
            await client.send(connect("same", clean=False))
        both = nodes.first.node, nodes.second.node
        await eventually(lambda: has(lambda: sum(len(node.connections) for node in both) == 1))
        assert sum(len(node.clients) for node in both) == 1
        await (await nodes.first.service.connect("same", clean=False)).publish("car-iotp", b"1", qos=1)


class TestTwoNodes:
    @pytest.mark.parametrize("qos", [0, 1, 2])
    @pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "#", "+/b/#"])
    async def test_a_subscriber_gets_what_is_published_on_the_other_node(
        self, nodes: TwoNodes, topic_filter: str, qos: int
    ) -> None:
        subscriber = await nodes.first.service.subscriber((topic_filter, 2))
        await (await nodes.second.service.connect()).publish("a/b", b"x", qos=qos)
        message = await subscriber.take()
        assert (message.topic, message.payload, message.qos) == ("a/b", b"x", qos)

    async def test_a_service_on_the_other_node_gets_positions_and_others_do_not(
        self, nodes: TwoNodes, redis_client: Redis
    ) -> None:
        await put_user(redis_client, "decoder", Role.SERVICE)
        service = await logged_in(nodes.first, "decoder")
        await service.subscribe(("#", 1))
        other = await nodes.first.service.subscriber(("#", 1))
        publisher = await nodes.second.service.connect()
        await publisher.publish("car-iotp", b"position", qos=1)
        assert (await service.take()).payload == b"position"
        await other.nothing_more()

    async def test_what_nobody_elsewhere_wants_does_not_cross_redis(self, nodes: TwoNodes, redis_client: Redis) -> None:
        here = await nodes.first.service.subscriber(("here", 1))
        await nodes.second.service.subscriber(("there", 1))
        publisher = await nodes.first.service.connect()
        key = f"node:{{mqtt}}:{nodes.second.node.cluster.node}"
        sent = await redis_client.hget(key, "sent")
        for _ in range(10):
            await publisher.publish("here", b"x", qos=1)
        await here.take_payloads(10)
        assert await redis_client.hget(key, "sent") == sent
        await publisher.publish("there", b"x", qos=1)
        assert await redis_client.hget(key, "sent") != sent

    async def test_a_retained_message_is_there_on_the_other_node(self, nodes: TwoNodes) -> None:
        await (await nodes.first.service.connect()).publish("t", b"kept", qos=1, retain=True)
        late = await nodes.second.service.subscriber(("+", 1))
        assert await late.take() == Publish("t", b"kept", 1, retain=True, packet_id=1)

    async def test_a_node_that_has_left_leaves_nothing_that_others_publish_to(
        self, nodes: TwoNodes, redis_client: Redis
    ) -> None:
        await nodes.first.service.subscriber(("t", 1))
        left = nodes.first.node.cluster.node
        await nodes.first.stop()
        await (await nodes.second.service.connect()).publish("t", b"x", qos=1)
        assert not [key for key in await redis_client.keys("*") if left.encode() in key]
        assert not [field for field in await redis_client.hkeys("routes:{mqtt}") if left.encode() in field]


class TestTheEndOfANode:
    async def test_wills_are_published_and_sessions_kept(self, nodes: TwoNodes) -> None:
        watcher = await nodes.second.service.subscriber(("will/#", 1))
        for number in range(5):
            await nodes.first.service.connect(will=Will(f"will/{number}", b"", 1))
        persistent = await nodes.first.service.subscriber(("t", 1), client_id="away", clean=False)
        await asyncio.wait_for(nodes.first.stop(), 5)
        assert sorted([(await watcher.take()).topic for _ in range(5)]) == [f"will/{number}" for number in range(5)]
        await watcher.nothing_more()
        await persistent.closed()
        await (await nodes.second.service.connect()).publish("t", b"meanwhile", qos=1)
        again = await nodes.second.service.connect("away", clean=False)
        assert again.session_present
        assert (await again.take()).payload == b"meanwhile"

    async def test_a_client_that_reads_nothing_does_not_hold_it_up(self, node: RunningNode) -> None:
        slow = await node.service.subscriber(("t", 0))
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        publisher = await node.service.connect()
        connection = next(each for each in node.node.clients.values() if node.node.subscriptions.filters_of(each))
        while not connection.write_paused:
            await publisher.publish("t", b"x" * 60_000, qos=1)
        await asyncio.wait_for(node.stop(), 5)

    async def test_what_was_read_before_is_stored_and_acknowledged(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        client = await node.service.connect()
        await client.publish("car-iotp", b"0", qos=1)
        acknowledged = asyncio.create_task(client.closed_whatever_came_before())
        await client.send(*(publish("car-iotp", str(n).encode(), qos=1, packet_id=n) for n in range(1, 501)))
        await node.stop()
        received = await acknowledged
        stored = {int(message.payload) for message in await raw_messages(redis_client)}
        assert {packet.packet_id for packet in received} <= stored  # type: ignore[union-attr]


class TestFigures:
    async def test_a_service_may_read_the_sys_topics_of_its_node(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(broker_node="campus-1", sys_interval=0.1)
        await put_user(redis_client, "operator", Role.SERVICE)
        service = await logged_in(node, "operator")
        await service.subscribe(("$SYS/#", 0))
        figures = await seen(service, "$SYS/broker/")
        assert figures["node"] == b"campus-1"
        assert figures.keys() >= {
            "version",
            "uptime",
            "clients/connected",
            "connections",
            "messages/received",
            "messages/sent",
            "bytes/received",
            "bytes/sent",
            "problem",
        }
        await node.service.connect()
        await eventually(lambda: self._says(service, "$SYS/broker/clients/connected", b"2"))

    async def _says(self, service: Connection, topic: str, payload: bytes) -> bool:
        message = await service.message()
        return (message.topic, message.payload) == (topic, payload)

    async def test_others_may_not_read_them_and_wildcards_do_not_bring_them(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        await put_user(redis_client, "car", CAR_ROLE)
        car = await logged_in(node, "car")
        assert await car.subscribe(("$SYS/#", 0)) == (0x80,)
        everything = await node.service.subscriber(("#", 0), ("+/broker/#", 0))
        node.node.sys.update()
        await everything.nothing_more()

    @pytest.mark.parametrize(("privacy", "granted"), [("open", 0), ("protected", 0x80), ("strict", 0x80)])
    async def test_anonymous_clients_may_read_them_only_where_counts_are_told_as_they_are(
        self, start_node: StartNode, privacy: str, granted: int
    ) -> None:
        node = await start_node(privacy=privacy)
        anonymous = await node.service.connect()
        assert await anonymous.subscribe(("$SYS/#", 0)) == (granted,)

    async def test_nobody_may_write_them(self, node: RunningNode, redis_client: Redis) -> None:
        await put_user(redis_client, "operator", Role.SERVICE)
        service = await logged_in(node, "operator")
        await service.subscribe(("$SYS/broker/forged", 1))
        for client in (service, await node.service.connect()):
            await client.publish("$SYS/broker/forged", b"1", qos=1)
        await service.nothing_more()
        assert node.refused("publish") == 2

    async def test_the_metrics_have_these_names(self, node: RunningNode) -> None:
        subscriber, publisher = await node.service.subscriber(("t", 1)), await node.service.connect()
        for qos in (0, 1, 2):
            await publisher.publish("t", b"x" * 100, qos=qos)
        await subscriber.take_payloads(3)
        await publisher.publish("$SYS/x", b"", qos=1)
        text = generate_latest(node.metrics.registry).decode()
        for line in (
            "broker_connections 2.0",
            "broker_clients 2.0",
            'broker_received_messages_total{qos="0"} 1.0',
            'broker_received_messages_total{qos="1"} 2.0',
            'broker_received_messages_total{qos="2"} 1.0',
            'broker_sent_messages_total{qos="0"} 1.0',
            'broker_sent_messages_total{qos="1"} 2.0',
            'broker_sent_messages_total{qos="2"} 0.0',
            'broker_refused_total{reason="publish"} 1.0',
            "broker_dropped_inbox_total 0.0",
            "broker_dropped_queue_length_total 0.0",
            "broker_dropped_queue_age_total 0.0",
            "broker_refused_retained_total 0.0",
        ):
            assert line in text.splitlines()
        assert "broker_acknowledgement_seconds_bucket" in text
        assert node.counted("broker_received_bytes_total") > 400
        assert node.counted("broker_sent_bytes_total") > 300
        assert 300 < node.counted("broker_received_publish_bytes_total") < 350

    async def test_nothing_is_counted_for_connections_that_have_ended(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        for number in range(20):
            client = await node.service.subscriber(("t", 1), clean=bool(number % 2))
            await client.disconnect()
        for _ in range(20):
            (await node.service.dial()).drop()
        await eventually(lambda: has(lambda: not node.node.connections and not node.node.tasks))
        assert not node.node.clients
        assert not await redis_client.hlen(f"clients:{{mqtt}}:{node.node.cluster.node}")
        assert len(await redis_client.keys("session:{mqtt}:*")) == 10


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KINDS_FILE", "/nowhere.json", "KINDS_FILE: /nowhere.json: "),
        ("TOPIC_KINDS", "owntracks/#=mobile", "TOPIC_KINDS: 'owntracks/#' has a #"),
        ("POSITION_RATE", "tram=1", "POSITION_RATE: 'tram=1' is not role=rate:burst"),
    ],
)
async def test_a_node_does_not_start_with_a_setting_about_kinds_that_cannot_work(
    redis_server: str, name: str, value: str, told: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broker"),
        env={**os.environ, "REDIS_URL": redis_server, "BROKER_PORT": "1", name: value},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 2
    assert told in errors.decode()
