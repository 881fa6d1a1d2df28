"""Every limit that is a setting of a node: what is over it costs its own connection at the most, and is counted."""

import asyncio
import math
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from broker.session import connection as connections
from core.kinds import Role
from state.sessions import queue
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, has, put_user
from tests.conftest import eventually
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import PINGREQ, Ack, Connack, Kind, Publish, Suback, Will, ack, connect, publish, subscribe

LEVELS_32 = "/".join("a" * 32)
UNAVAILABLE = 3
BAD_CREDENTIALS = 4
NOT_AUTHORIZED = 5


async def answer_to(node: RunningNode, packet: bytes) -> tuple[Connection, Connack]:
    """A new connection whose first packet this is, and the CONNACK."""
    connection = await node.service.dial()
    await connection.send(packet)
    connack = await connection.receive()
    assert isinstance(connack, Connack)
    return connection, connack


class TestMqttMaxPacket:
    async def test_a_larger_packet_ends_its_connection_as_soon_as_its_length_is_known(
        self, start_node: StartNode
    ) -> None:
        node = await start_node(mqtt_max_packet=2048)
        other, client = await node.service.connect(), await node.service.connect()
        whole = publish("t", b"x" * 2040)
        assert len(whole) == 2048 - 2
        await client.send(whole)
        assert await client.is_open()
        await client.send(b"\x30\x80\x10")  # 2048 bytes follow, of which not one is here
        await client.closed()
        assert node.refused("protocol") == 1
        assert await other.is_open()


class TestMqttMaxConnect:
    async def test_a_larger_connect_is_answered_as_soon_as_its_length_is_known(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_max_connect=1024)
        whole = connect("a", will=Will("t", b"x" * 1100))
        client, connack = await answer_to(node, whole[:100])
        assert connack == Connack(session_present=False, code=NOT_AUTHORIZED)
        assert not await client.is_closed_within(0.1), "it may still be sending"
        await client.send(whole[100:])
        await client.closed()
        assert not node.node.connections
        assert node.refused("too_large_connect") == 1

    async def test_who_sends_no_more_of_it_is_cut_off_all_the_same(
        self, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.1)
        node = await start_node()
        client, connack = await answer_to(node, b"\x10\x80\x80\x01")
        assert connack.code == NOT_AUTHORIZED
        await client.closed()
        assert not node.node.connections

    async def test_one_that_says_to_be_larger_than_any_packet_is_not_waited_for(self, node: RunningNode) -> None:
        client, connack = await answer_to(node, b"\x10\xff\xff\xff\x7f")
        assert connack.code == NOT_AUTHORIZED
        await client.closed()
        assert not node.node.connections

    async def test_one_that_just_fits_is_accepted(self, start_node: StartNode) -> None:
        node = await start_node()
        fits = connect("a", will=Will("t", b"x" * (12_288 - len(connect("a", will=Will("t", b""))) - 1)))
        assert len(fits) == 12_288
        _, connack = await answer_to(node, fits)
        assert connack.code == 0


class TestMqttMaxPayload:
    async def test_a_larger_message_is_acknowledged_and_dropped_and_counted(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_max_payload=100)
        subscriber = await node.service.subscriber(("#", 1))
        publisher = await node.service.connect()
        await publisher.publish("t", b"x" * 101, qos=1)
        await publisher.publish("t", b"x" * 101, qos=2, retain=True)
        await publisher.publish("t", b"x" * 100, qos=1)
        assert (await subscriber.take()).payload == b"x" * 100
        await subscriber.nothing_more()
        assert node.refused("too_large") == 2

    async def test_a_larger_will_is_refused(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_max_payload=100)
        _, connack = await answer_to(node, connect("a", will=Will("t", b"x" * 101)))
        assert connack.code == NOT_AUTHORIZED
        assert await (await node.service.connect("b", will=Will("t", b"x" * 100))).is_open()


class TestMqttConnectTimeout:
    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(mqtt_connect_timeout=0.5)

    async def test_who_does_not_connect_in_time_is_disconnected(self, node: RunningNode) -> None:
        silent, half = await node.service.dial(), await node.service.dial()
        await half.send(connect("half")[:-1])
        await silent.closed()
        await half.closed()
        assert node.refused("connect_timeout") == 2

    async def test_who_has_connected_may_be_silent(self, node: RunningNode) -> None:
        client = await node.service.connect(keepalive=0)
        assert not await client.is_closed_within(1.0)


class TestKeepalive:
    async def test_who_is_silent_for_one_and_a_half_times_as_long_is_disconnected(self, node: RunningNode) -> None:
        before = asyncio.get_running_loop().time()
        client = await node.service.connect(keepalive=1)
        await client.closed()
        # From before its last packet, and so not less, however busy the machine is.
        assert asyncio.get_running_loop().time() - before > 1.4
        assert node.refused("keepalive") == 1

    async def test_a_packet_that_is_never_complete_is_silence(self, node: RunningNode) -> None:
        client = await node.service.connect(keepalive=1)

        async def drip() -> None:
            for byte in publish("t", b"x" * 100):
                await client.send(bytes((byte,)))
                await asyncio.sleep(0.2)  # a slow client is what this is about

        dripping = asyncio.create_task(drip())
        await client.closed()
        dripping.cancel()

    async def test_a_client_whose_packets_have_to_wait_is_not_silent(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        client = await node.service.connect(keepalive=1)
        await redis_client.client_pause(3500, all=True)
        await client.send(subscribe(1, ("t", 1)))
        for _ in range(3):
            await client.send(PINGREQ)
            assert not await client.is_closed_within(0.6)
        assert await client.is_open()

    async def test_pings_keep_a_client(self, node: RunningNode) -> None:
        client = await node.service.connect(keepalive=1)
        for _ in range(4):
            assert not await client.is_closed_within(0.5)
            await client.ping()


class TestMqttUserConnections:
    @pytest.fixture
    async def node(self, start_node: StartNode, redis_client: Redis) -> RunningNode:
        node = await start_node(mqtt_user_connections=2)
        await put_user(redis_client, "gate", Role.GATEWAY)
        return node

    def connect(self, client_id: str, password: bytes = PASSWORD) -> bytes:
        return connect(client_id, user="gate", password=password)

    async def test_a_user_has_so_many_and_no_more_until_one_ends(self, node: RunningNode) -> None:
        (first, *_), (second, *_) = [await answer_to(node, self.connect(name)) for name in "ab"]
        third, connack = await answer_to(node, self.connect("c"))
        assert connack.code == UNAVAILABLE
        await third.closed()
        await first.disconnect()
        fourth, connack = await answer_to(node, self.connect("d"))
        assert connack.code == 0
        assert await second.is_open()
        assert await fourth.is_open()

    async def test_a_client_that_comes_back_takes_the_place_of_its_own_connection(self, node: RunningNode) -> None:
        (first, *_), (second, *_) = [await answer_to(node, self.connect(name)) for name in "ab"]
        again, connack = await answer_to(node, self.connect("a"))
        assert connack.code == 0
        await first.closed()
        third, connack = await answer_to(node, self.connect("c"))
        assert connack.code == UNAVAILABLE
        await third.closed()
        assert await second.is_open()
        assert await again.is_open()

    async def test_refused_logins_leave_no_count(self, node: RunningNode) -> None:
        for name in "abc":
            refused, connack = await answer_to(node, self.connect(name, b"wrong"))
            assert connack.code
            await refused.closed()
        for name in "abc":
            client, _ = await answer_to(node, self.connect(name))
            await client.disconnect()
        assert not node.node.admission._users

    async def test_anonymous_clients_are_not_counted(self, node: RunningNode) -> None:
        clients = [await node.service.connect() for _ in range(4)]
        assert all([await client.is_open() for client in clients])


class TestMqttMaxSubscriptions:
    @pytest.mark.parametrize("clean", [True, False])
    async def test_a_client_has_so_many_and_no_more(self, start_node: StartNode, *, clean: bool) -> None:
        node = await start_node(mqtt_max_subscriptions=3)
        client = await node.service.connect(clean=clean)
        assert await client.subscribe(("a", 1), ("b", 1)) == (1, 1)
        assert await client.subscribe(("c", 1), ("d", 1), ("a", 0)) == (1, 0x80, 0)
        assert node.refused("too_many_subscriptions") == 1
        await client.unsubscribe("b")
        assert await client.subscribe(("d", 2)) == (2,)
        publisher = await node.service.connect()
        for topic in "abcd":
            await publisher.publish(topic, topic.encode(), qos=1)
        assert sorted([await client.take() for _ in range(3)], key=lambda each: each.topic)[2].topic == "d"
        await client.nothing_more()


class TestMqttFilterBytes:
    async def test_a_user_has_so_many_bytes_of_filters_over_all_its_clients(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(mqtt_user_filter_bytes=4096)
        await put_user(redis_client, "gate", Role.SERVICE)
        login: dict[str, Any] = {"user": "gate", "password": PASSWORD}
        filters = [(f"{number}/" + "x" * 900, 1) for number in range(6)]
        first, second = await node.service.connect(**login), await node.service.connect(clean=False, **login)
        assert await first.subscribe(*filters[:2]) == (1, 1)
        assert await second.subscribe(*filters[2:], ("s", 1)) == (1, 1, 0x80, 0x80, 1)
        assert node.refused("filter_bytes") == 2
        # The same again costs nothing, and others have theirs.
        assert await second.subscribe(filters[2]) == (1,)
        other = await node.service.connect()
        assert await other.subscribe(*filters[:4]) == (1, 1, 1, 1)
        await first.unsubscribe(filters[0][0])
        assert await second.subscribe(filters[4]) == (1,)
        await first.disconnect()
        await eventually(lambda: has(lambda: len(node.node.connections) == 2))
        assert await second.subscribe(filters[5]) == (1,)
        await second.disconnect()
        await other.disconnect()
        await eventually(lambda: has(lambda: not node.node.connections))
        assert not node.node.subscriptions._shares.total
        assert not node.node.subscriptions._shares._of_owner

    async def test_a_node_has_so_many_and_what_several_have_counts_once(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_filter_bytes=65_536)
        filters = [(f"{number}/" + "x" * 956, 1) for number in range(70)]
        clients = [await node.service.connect() for _ in range(3)]
        assert (await clients[0].subscribe(*filters)).count(0x80) == 70 - 64
        assert await clients[1].subscribe(filters[0], ("t" * 100, 1)) == (1, 0x80)
        await clients[0].unsubscribe(filters[1][0])
        for client in clients[1:]:
            assert await client.subscribe(("t" * 100, 1)) == (1,)

    async def test_what_is_refused_brings_nothing(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_user_filter_bytes=4096)
        client = await node.service.connect(clean=False)
        topics = [f"{number}/" + "x" * 990 for number in range(5)]
        assert await client.subscribe(*((topic, 1) for topic in topics)) == (1, 1, 1, 0x80, 0x80)
        publisher = await node.service.connect()
        for topic in reversed(topics):
            await publisher.publish(topic, b"1", qos=1)
        assert [(await client.take()).topic for _ in range(3)] == topics[2::-1]
        await client.nothing_more()


class TestMqttWillBytes:
    async def test_a_user_has_so_many_bytes_of_wills_over_all_its_clients(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(mqtt_user_will_bytes=8192)
        await put_user(redis_client, "gate", Role.SERVICE)
        will = Will("gone", bytes(3000), qos=1)
        login: dict[str, Any] = {"user": "gate", "password": PASSWORD, "will": will}
        first, second = await node.service.connect("a", **login), await node.service.connect("b", **login)
        refused, connack = await answer_to(node, connect("c", **login))
        assert connack.code == UNAVAILABLE
        await refused.closed()
        assert node.refused("too_many_wills") == 1
        # One that comes back takes the place of its own, and others have theirs.
        again = await node.service.connect("a", **login)
        await first.closed()
        assert await (await node.service.connect("other", will=will)).is_open()
        assert await (await node.service.connect("c", user="gate", password=PASSWORD)).is_open()
        await second.disconnect()
        await eventually(lambda: has(lambda: "b" not in node.node.clients))
        assert await (await node.service.connect("d", **login)).is_open()
        assert await again.is_open()

    async def test_a_node_has_so_many(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_will_bytes=65_536)
        will = Will("gone", bytes(10_000))
        codes = [(await answer_to(node, connect(f"c{number}", will=will)))[1].code for number in range(8)]
        assert codes == [0] * 6 + [UNAVAILABLE] * 2


class TestMqttTopicBytesAndLevels:
    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(mqtt_topic_bytes=100, mqtt_topic_levels=32)

    @pytest.mark.parametrize(
        ("allowed", "too_much"), [("a" * 100, "a" * 101), ("é" * 50, "é" * 51), (LEVELS_32, LEVELS_32 + "/a")]
    )
    async def test_a_subscription_and_a_message_over_them_are_refused(
        self, node: RunningNode, allowed: str, too_much: str
    ) -> None:
        client = await node.service.connect()
        assert await client.subscribe((allowed, 1), (too_much, 1)) == (1, 0x80)
        assert await client.subscribe(("#", 1)) == (1,)
        await client.publish(too_much, b"dropped", qos=1)
        await client.publish(allowed, b"delivered", qos=1)
        assert (await client.take()).payload == b"delivered"
        await client.nothing_more()
        assert node.refused("topic_limit") == 2

    async def test_a_will_over_them_is_refused(self, node: RunningNode) -> None:
        _, connack = await answer_to(node, connect("a", will=Will("a" * 101)))
        assert connack.code == NOT_AUTHORIZED


class TestMqttMaxUnacknowledged:
    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(mqtt_max_unacknowledged=5)

    @pytest.mark.parametrize("clean", [True, False])
    async def test_a_client_gets_so_many_and_the_next_for_each_acknowledgement(
        self, node: RunningNode, *, clean: bool
    ) -> None:
        client = await node.service.subscriber(("t", 1), clean=clean)
        publisher = await node.service.connect()
        for number in range(8):
            await publisher.publish("t", str(number).encode(), qos=1)
        held = [await client.message() for _ in range(5)]
        await client.nothing_more()
        for message, following in zip(held, b"567", strict=False):
            assert message.packet_id
            await client.send(ack(Kind.PUBACK, message.packet_id))
            assert (await client.message()).payload == bytes((following,))
        await client.nothing_more()

    async def test_messages_of_qos_2_of_a_client_that_are_not_released_end_its_connection(
        self, node: RunningNode
    ) -> None:
        client = await node.service.connect()
        for number in range(1, 6):
            await client.send(publish("t", qos=2, packet_id=number))
            assert await client.receive() == Ack(Kind.PUBREC, number)
        await client.send(ack(Kind.PUBREL, 1))
        assert await client.receive() == Ack(Kind.PUBCOMP, 1)
        await client.send(publish("t", qos=2, packet_id=6))
        assert await client.receive() == Ack(Kind.PUBREC, 6)
        await client.send(publish("t", qos=2, packet_id=7))
        await client.closed()
        assert node.refused("protocol") == 1


class TestMqttSlowConsumerBytes:
    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(mqtt_slow_consumer_bytes=65_536, mqtt_max_unacknowledged=2)

    @pytest.mark.parametrize("qos", [0, 1])
    async def test_a_client_that_does_not_read_is_disconnected_and_others_get_everything(
        self, node: RunningNode, qos: int
    ) -> None:
        slow = await node.service.subscriber(("t", qos))
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        other, publisher = await node.service.subscriber(("t", 0)), await node.service.connect()
        sent = 0
        while not node.refused("slow_consumer"):
            await publisher.publish("t", b"x" * 50_000, qos=1)
            assert len((await other.message()).payload) == 50_000
            sent += 1
            # What the two kernels take for a connection is a few megabytes.
            assert sent < 1000, "a client that reads nothing has stayed"
        assert len(node.node.clients) == 2

    async def test_a_client_that_is_cut_off_is_counted_once_though_more_is_waiting(self, node: RunningNode) -> None:
        slow = await node.service.subscriber(("t", 1))
        publisher = await node.service.connect()
        # All at once: what is too much comes several times before the connection is gone.
        await publisher.send(*(publish("t", b"x" * 60_000, qos=1, packet_id=number) for number in range(1, 11)))
        for number in range(1, 11):
            assert await publisher.receive() == Ack(Kind.PUBACK, number)
        await slow.closed_whatever_came_before()
        assert node.refused("slow_consumer") == 1

    async def test_a_client_that_does_not_acknowledge_is_disconnected(self, node: RunningNode) -> None:
        await node.service.subscriber(("t", 1))
        publisher = await node.service.connect()
        for _ in range(2 + math.ceil(65_536 / 10_000)):
            await publisher.publish("t", b"x" * 10_000, qos=1)
        assert node.refused("slow_consumer") == 1
        assert len(node.node.clients) == 1

    async def test_a_persistent_session_keeps_its_messages_in_redis_and_its_connection(self, node: RunningNode) -> None:
        client = await node.service.subscriber(("t", 1), clean=False)
        publisher = await node.service.connect()
        for number in range(20):
            await publisher.publish("t", bytes((number,)) * 10_000, qos=1)
        assert [payload[0] for payload in await client.take_payloads(20)] == list(range(20))
        assert not node.refused("slow_consumer")


class TestBrokerMaxConnections:
    async def test_one_more_is_closed_at_once_and_the_next_comes_in_when_one_has_gone(
        self, start_node: StartNode
    ) -> None:
        node = await start_node(broker_max_connections=2, broker_address_share=1.0)
        first, second = await node.service.connect(), await node.service.connect()
        await (await node.service.dial()).closed()
        assert node.refused("too_many_connections") == 1
        assert await second.is_open()
        await first.disconnect()
        await eventually(lambda: has(lambda: len(node.node.connections) == 1))
        assert await (await node.service.connect()).is_open()

    async def test_connections_that_have_not_said_who_they_are_count_as_well(self, start_node: StartNode) -> None:
        node = await start_node(broker_max_connections=2, broker_address_share=1.0)
        silent = [await node.service.dial() for _ in range(2)]
        await eventually(lambda: has(lambda: len(node.node.connections) == 2))
        await (await node.service.dial()).closed()
        assert len(silent) == len(node.node.connections)


class TestQueueMaxLength:
    async def test_what_is_beyond_it_is_dropped_and_counted(self, start_node: StartNode) -> None:
        node = await start_node(queue_max_length=3)
        client = await node.service.subscriber(("t", 1), client_id="away", clean=False)
        await client.disconnect()
        publisher = await node.service.connect()
        for number in range(5):
            await publisher.publish("t", str(number).encode(), qos=1)
        again = await node.service.connect("away", clean=False)
        assert await again.take_payloads(3) == [b"0", b"1", b"2"]
        await again.nothing_more()
        assert node.counted("broker_dropped_queue_length_total") == 2


class TestQueueMaxAge:
    async def test_what_has_waited_longer_is_dropped_and_counted(self, start_node: StartNode) -> None:
        node = await start_node(queue_max_age=60)
        client = await node.service.subscriber(("t", 1), client_id="away", clean=False)
        await client.disconnect()
        publisher = await node.service.connect()
        now = node.node.cluster.publisher._clock()
        node.node.cluster.publisher._clock = lambda: now - 61_000
        await publisher.publish("t", b"old", qos=1)
        node.node.cluster.publisher._clock = lambda: now
        await publisher.publish("t", b"new", qos=1)
        again = await node.service.connect("away", clean=False)
        assert (await again.take()).payload == b"new"
        await again.nothing_more()
        assert node.counted("broker_dropped_queue_age_total") == 1


class TestQueueMaxBytes:
    async def test_what_is_beyond_it_is_dropped_and_counted(self, start_node: StartNode) -> None:
        node = await start_node(queue_max_bytes=65_536)
        client = await node.service.subscriber(("t", 1), client_id="away", clean=False)
        await client.disconnect()
        publisher = await node.service.connect()
        for number in range(5):
            await publisher.publish("t", bytes([number]) * 20_000, qos=1)
        again = await node.service.connect("away", clean=False)
        assert [payload[0] for payload in await again.take_payloads(3)] == [0, 1, 2]
        await again.nothing_more()
        assert node.counted("broker_dropped_queue_bytes_total") == 2


class TestSessionsMaxBytes:
    async def test_of_one_user_the_messages_beyond_it_are_dropped_and_of_others_none(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(sessions_user_max_bytes=65_536)
        await put_user(redis_client, "gate", Role.SERVICE)
        for name in "abc":
            mine = await node.service.subscriber(("t", 1), client_id=name, clean=False, user="gate", password=PASSWORD)
            await mine.disconnect()
        other = await node.service.subscriber(("t", 1), client_id="other", clean=False)
        await other.disconnect()
        publisher = await node.service.connect()
        for number in range(3):
            await publisher.publish("t", bytes([number]) * 20_000, qos=1)
        other = await node.service.connect("other", clean=False)
        assert [payload[0] for payload in await other.take_payloads(3)] == [0, 1, 2]
        assert node.counted("broker_dropped_user_bytes_total") == 6
        await eventually(lambda: has(lambda: node.counted("broker_session_bytes") > 60_000))

    async def test_a_subscription_beyond_it_is_refused_and_brings_nothing(self, start_node: StartNode) -> None:
        node = await start_node(sessions_user_max_bytes=65_536, mqtt_max_subscriptions=100)
        client = await node.service.connect("a", clean=False)
        filters = [(f"{number}/" + "x" * 1000, 1) for number in range(40)]
        codes = await client.subscribe(*filters)
        granted = codes.count(1)
        assert 20 < granted < 32
        assert codes == (1,) * granted + (0x80,) * (40 - granted)
        assert node.refused("session_bytes") == 40 - granted
        publisher = await node.service.connect()
        for topic, _ in (filters[granted], filters[granted - 1]):
            await publisher.publish(topic, b"1", qos=1)
            await publisher.publish(topic, b"0")
        assert [(await client.take()).topic for _ in range(2)] == [filters[granted - 1][0]] * 2
        await client.nothing_more()


class TestSessionsMax:
    async def test_a_user_has_so_many_persistent_sessions_and_no_more(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(sessions_user_max=2)
        await put_user(redis_client, "phones", MOBILE_ROLE)
        login: dict[str, Any] = {"user": "phones", "password": PASSWORD}
        for name in "ab":
            client = await node.service.subscriber(("v1/#", 1), client_id=name, clean=False, **login)
            await client.disconnect()
        refused, connack = await answer_to(node, connect("c", clean=False, **login))
        assert connack.code == UNAVAILABLE
        await refused.closed()
        assert node.refused("too_many_sessions") == 1
        assert (await node.service.connect("a", clean=False, **login)).session_present
        assert await (await node.service.connect("c", **login)).is_open()
        assert await (await node.service.connect("d", clean=False)).is_open()
        await eventually(lambda: has(lambda: node.counted("broker_sessions") == 3))

    async def test_there_are_so_many_of_all_users_and_no_more(self, start_node: StartNode) -> None:
        node = await start_node(sessions_max=1)
        assert await (await node.service.connect("a", clean=False)).is_open()
        assert (await answer_to(node, connect("b", clean=False)))[1].code == UNAVAILABLE


class TestRetainedMax:
    async def test_what_is_beyond_it_is_delivered_and_not_retained_and_counted(self, start_node: StartNode) -> None:
        node = await start_node(retained_max=2)
        subscriber, publisher = await node.service.subscriber(("#", 0)), await node.service.connect()
        for topic in "abc":
            await publisher.publish(topic, b"1", qos=1, retain=True)
        await publisher.publish("a", b"2", qos=1, retain=True)
        assert [(await subscriber.message()).topic for _ in range(4)] == ["a", "b", "c", "a"]
        late = await node.service.subscriber(("#", 0))
        retained = sorted([await late.message() for _ in range(2)], key=lambda message: message.topic)
        assert retained == [Publish("a", b"2", retain=True), Publish("b", b"1", retain=True)]
        await late.nothing_more()
        assert node.counted("broker_refused_retained_total") == 1


class TestRetainedAnonymousMax:
    async def test_the_mirror_has_its_place_whatever_anonymous_clients_and_cars_retain(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(retained_max=3, retained_anonymous_max=1, sys_interval=0.1)
        await put_user(redis_client, "car", CAR_ROLE)
        await put_user(redis_client, "mirror", Role.SERVICE)
        service = await node.service.subscriber(("#", 1), user="mirror", password=PASSWORD)
        car = await node.service.connect(user="car", password=PASSWORD)
        nobody = await node.service.connect()
        for number in range(3):
            await car.publish(f"car-iotp/{number}", b"a position", qos=1, retain=True)
            await nobody.publish(f"car-iotp/of-nobody/{number}", b"a position", qos=1, retain=True)
            await nobody.publish(f"chat/{number}", b"1", qos=1, retain=True)
        await service.publish("v1/zones/new", b"{}", qos=1, retain=True)
        await service.publish("v1/zones/newer", b"{}", qos=1, retain=True)
        assert await redis_client.hkeys("retained:{mqtt}") == [b"chat/0", b"v1/zones/new", b"v1/zones/newer"]
        assert node.counted("broker_refused_retained_total") == 2
        await eventually(lambda: has(lambda: node.counted("broker_retained_messages") == 3))
        figures = await node.service.subscriber(("$SYS/broker/retained/refused", 0), user="mirror", password=PASSWORD)
        assert (await figures.message()).payload == b"2"

    async def test_a_will_of_theirs_is_one_of_theirs(self, start_node: StartNode, redis_client: Redis) -> None:
        node = await start_node(retained_anonymous_max=1)
        publisher = await node.service.connect()
        await publisher.publish("chat", b"1", qos=1, retain=True)
        client = await node.service.connect("a", will=Will("gone", b"1", retain=True))
        client.drop()
        await eventually(lambda: has(lambda: node.counted("broker_refused_retained_total") == 1))
        assert await redis_client.hkeys("retained:{mqtt}") == [b"chat"]


class TestSessionExpiry:
    async def test_a_session_whose_client_stays_away_leaves_redis(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(session_expiry=1)
        client = await node.service.subscriber(("t", 1), client_id="away", clean=False)
        await client.disconnect()
        await (await node.service.connect()).publish("t", b"1", qos=1)
        assert await redis_client.exists("session:{mqtt}:away", "subscriptions:{mqtt}:away", queue("away")) == 3
        await eventually(lambda: self._nothing_of(redis_client, "away"))
        assert not (await node.service.connect("away", clean=False)).session_present

    async def _nothing_of(self, redis_client: Redis, client_id: str) -> bool:
        keys = [key.decode() for key in cast("list[bytes]", await redis_client.keys("*"))]
        return not any(key.endswith(f":{client_id}") for key in keys)


class TestClientIdentifiers:
    async def test_one_of_more_than_256_bytes_is_refused(self, node: RunningNode) -> None:
        _, connack = await answer_to(node, connect("é" * 129))
        assert connack.code == 2
        assert await (await node.service.connect("é" * 128)).is_open()


async def test_many_filters_in_one_subscribe_are_bounded_like_those_of_many(start_node: StartNode) -> None:
    node = await start_node(mqtt_max_subscriptions=10)
    client = await node.service.connect()
    await client.send(subscribe(1, *((f"t/{number}", 0) for number in range(5000))))
    answer = await client.receive()
    assert isinstance(answer, Suback)
    assert answer.codes == (0,) * 10 + (0x80,) * 4990
    assert await client.is_open()


class TestBrokerAddressShare:
    async def test_one_address_has_a_share_of_the_connections_and_others_the_rest(self, start_node: StartNode) -> None:
        node = await start_node(broker_max_connections=4, broker_address_share=0.5, broker_proxy_protocol=True)

        async def comes_from(address: str) -> Connection:
            client = await node.service.dial()
            await client.send(f"PROXY TCP6 {address} ::1 1 1\r\n".encode() + connect(""))
            return client

        first = await comes_from("2001:db8::1")
        second = await comes_from("2001:db8::2")
        assert isinstance(await first.receive(), Connack)
        assert isinstance(await second.receive(), Connack)
        await (await comes_from("2001:db8::3")).closed()
        assert node.refused("too_many_of_one_address") == 1
        assert isinstance(await (await comes_from("2001:db8:0:1::1")).receive(), Connack)
        await first.disconnect()
        await eventually(lambda: has(lambda: len(node.node.connections) == 2))
        assert isinstance(await (await comes_from("2001:db8::3")).receive(), Connack)


class TestClientConnectRate:
    async def test_who_may_log_in_may_do_so_with_one_client_id_so_often(
        self, start_node: StartNode, redis_client: Redis
    ) -> None:
        node = await start_node(client_connect_rate=3)
        await put_user(redis_client, "gate", Role.GATEWAY)
        for _ in range(5):
            _, connack = await answer_to(node, connect("gate-1", user="gate", password=b"wrong"))
            assert connack.code == BAD_CREDENTIALS
            _, connack = await answer_to(node, connect("gate-1", user="nobody", password=b"wrong"))
            assert connack.code == BAD_CREDENTIALS
        codes = []
        for _ in range(5):
            _, connack = await answer_to(node, connect("gate-1", user="gate", password=PASSWORD))
            codes.append(connack.code)
        assert codes == [0, 0, 0, UNAVAILABLE, UNAVAILABLE], "what others tried does not count"
        for other in (connect("gate-2", user="gate", password=PASSWORD), connect("anonymous")):
            _, connack = await answer_to(node, other)
            assert connack.code == 0
