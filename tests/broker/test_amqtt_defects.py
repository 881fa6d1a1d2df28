"""What amqtt 0.12.1 does wrong, and a node must not: a class for each defect, so that an upgrade of amqtt tells us.

The places are those of amqtt 0.12.1.
"""

import asyncio

import pytest
from redis.asyncio import Redis

from core.kinds import Role
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, TwoNodes, has, put_user
from tests.conftest import eventually
from tests.mqtt.wire import Ack, Connack, Kind, Publish, ack, connect, publish
from tests.raw_streams import raw_messages


async def refused_login(node: RunningNode, client_id: str) -> None:
    """A CONNECT with a wrong password, answered and closed."""
    client = await node.service.dial()
    await client.send(connect(client_id, user="gate", password=b"wrong", clean=False))
    answer = await client.receive()
    assert isinstance(answer, Connack)
    assert answer.code == 4
    await client.closed()


class TestPubackBeforeItIsStored:
    """mqtt/protocol/handler.py 284, plugins/manager.py 315: PUBACK is sent before any plugin has run."""

    async def test_no_puback_without_the_message_in_the_stream(self, node: RunningNode, redis_client: Redis) -> None:
        client = await node.service.connect()
        for number in range(50):
            await client.publish("car-iotp", str(number).encode(), qos=1)
            assert len(await raw_messages(redis_client)) == number + 1


class TestTakeoverBeforeAuthentication:
    """broker.py 508, 559: a CONNECT with a wrong password ended the victim's connection, and its session."""

    @pytest.mark.parametrize("clean", [True, False])
    async def test_a_wrong_password_neither_disconnects_the_victim_nor_takes_its_session(
        self, nodes: TwoNodes, redis_client: Redis, *, clean: bool
    ) -> None:
        await put_user(redis_client, "gate", Role.GATEWAY)
        victim = await nodes.first.service.connect("victim", clean=clean, user="gate", password=PASSWORD)
        await victim.subscribe(("v1/#", 1))
        await refused_login(nodes.first, "victim")
        await refused_login(nodes.second, "victim")
        await put_user(redis_client, "decoder", Role.SERVICE)
        service = await nodes.second.service.connect(user="decoder", password=PASSWORD)
        await service.publish("v1/zones", b"still there", qos=1)
        assert (await victim.take()).payload == b"still there"
        await victim.nothing_more()


class TestSessionsOfFailedLogins:
    """broker.py 580: they were kept, one for each failure."""

    async def test_fifty_failures_leave_nothing(self, node: RunningNode, redis_client: Redis) -> None:
        await put_user(redis_client, "gate", Role.GATEWAY)
        before = set(await redis_client.keys("*"))
        for number in range(50):
            await refused_login(node, f"guess-{number}")
        await eventually(lambda: has(lambda: not node.node.connections and not node.node.tasks))
        assert not node.node.clients
        assert set(await redis_client.keys("*")) == before


class TestRetainedMessagesOfOthers:
    """broker.py 601: every client that connected was sent what matched anybody's filter."""

    async def test_a_client_without_subscriptions_is_sent_nothing(self, node: RunningNode) -> None:
        await node.service.subscriber(("t/#", 1))
        await (await node.service.connect()).publish("t/1", b"kept", qos=1, retain=True)
        await (await node.service.connect()).nothing_more()
        await (await node.service.connect(clean=False)).nothing_more()


class TestTakeoverOfASession:
    """broker.py 508, 565, 698, 912: of a persistent session it broke the new one, of a clean one it left the old."""

    async def test_a_persistent_session_goes_on_on_its_new_connection(self, node: RunningNode) -> None:
        older = await node.service.subscriber(("t", 1), client_id="same", clean=False)
        newer = await node.service.connect("same", clean=False)
        await older.closed()
        publisher = await node.service.connect()
        for number in range(20):
            await publisher.publish("t", str(number).encode(), qos=1)
        assert await newer.take_payloads(20) == [str(number).encode() for number in range(20)]

    async def test_the_old_socket_of_a_clean_session_is_closed(self, node: RunningNode) -> None:
        older = await node.service.subscriber(("t", 1), client_id="same")
        newer = await node.service.connect("same")
        await older.closed()
        await (await node.service.connect()).publish("t", b"not subscribed", qos=1)
        await newer.nothing_more()


class TestKeepalive:
    """broker_handler.py 86: a silent client stayed for ever."""

    async def test_a_silent_client_is_disconnected(self, node: RunningNode) -> None:
        await (await node.service.connect(keepalive=1)).closed()


class TestPublishToADollarOrWildcardTopic:
    """broker.py 762: it left a zombie whose later messages were acknowledged and never delivered."""

    @pytest.mark.parametrize("topic", ["$SYS/x", "$anything", "v1/refused"])
    async def test_after_a_refused_topic_messages_are_delivered_as_before(
        self, node: RunningNode, redis_client: Redis, topic: str
    ) -> None:
        subscriber, client = await node.service.subscriber(("t", 1)), await node.service.connect()
        await client.publish(topic, b"refused", qos=1)
        await client.publish("t", b"delivered", qos=1)
        await client.publish("car-iotp", b"stored", qos=1)
        assert (await subscriber.take()).payload == b"delivered"
        assert [message.payload for message in await raw_messages(redis_client)] == [b"stored"]

    @pytest.mark.parametrize("topic", ["a/+", "#", "a/#/b", ""])
    async def test_a_topic_that_is_none_ends_the_connection_at_once(
        self, node: RunningNode, redis_client: Redis, topic: str
    ) -> None:
        client = await node.service.connect()
        await client.send(publish(topic, b"", qos=1, packet_id=1), publish("car-iotp", b"", qos=1, packet_id=2))
        await client.closed()
        assert not await raw_messages(redis_client)


class TestDeliveredQos:
    """broker.py 788, 1023: delivery was at the subscription's QoS, so that 0 became 1."""

    @pytest.mark.parametrize("granted", [0, 1, 2])
    @pytest.mark.parametrize("published", [0, 1, 2])
    @pytest.mark.parametrize("clean", [True, False])
    async def test_it_is_the_lower_of_the_two(
        self, node: RunningNode, published: int, granted: int, *, clean: bool
    ) -> None:
        subscriber = await node.service.subscriber(("t", granted), clean=clean)
        await (await node.service.connect()).publish("t", b"x", qos=published)
        assert (await subscriber.take()).qos == min(published, granted)


class TestUnacknowledgedMessages:
    """handler.py 318: a QoS 1 message was dropped after 5 s without PUBACK, and not sent again on a new connection."""

    async def test_they_come_again_on_a_new_connection_until_they_are_acknowledged(self, nodes: TwoNodes) -> None:
        client = await nodes.first.service.subscriber(("t", 1), client_id="away", clean=False)
        await (await nodes.first.service.connect()).publish("t", b"x", qos=1)
        first = await client.message()
        for node in (nodes.second, nodes.first, nodes.second):
            client.drop()
            client = await node.service.connect("away", clean=False)
            again = await client.message()
            assert again == Publish("t", b"x", 1, dup=True, packet_id=first.packet_id)
        await client.send(ack(Kind.PUBACK, first.packet_id or 0))
        await client.ping()
        await client.disconnect()
        client = await nodes.first.service.connect("away", clean=False)
        await client.nothing_more()

    async def test_a_late_puback_counts(self, node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
        client = await node.service.subscriber(("t", 1))
        await (await node.service.connect()).publish("t", b"x", qos=1)
        message = await client.message()
        later = asyncio.get_running_loop().time() + 3600
        monkeypatch.setattr(node.node, "now", lambda: later)
        await client.ping()
        outbox = node.node.connections[1].outbox
        assert outbox is not None
        assert list(outbox.under_way) == [message.packet_id]  # type: ignore[union-attr]
        await client.send(ack(Kind.PUBACK, message.packet_id or 0))
        await client.nothing_more()
        assert not outbox.under_way  # type: ignore[union-attr]


class TestSlowConsumer:
    """broker.py 1053: its messages had no limit, and left thousands of stuck tasks."""

    async def test_it_is_disconnected_and_leaves_no_task(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_slow_consumer_bytes=65_536)
        tasks = len(asyncio.all_tasks())
        slow, publisher = await node.service.subscriber(("t", 0)), await node.service.connect()
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        while not node.refused("slow_consumer"):
            await publisher.publish("t", b"x" * 50_000, qos=1)
            assert len(asyncio.all_tasks()) < tasks + 20
        assert len(node.node.clients) == 1


class TestConnectWithoutLimits:
    """broker.py 489, mqtt/packet.py 84: no time limit on CONNECT, and 32 MB were buffered from one socket."""

    async def test_a_socket_that_says_nothing_is_closed(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_connect_timeout=0.3)
        await (await node.service.dial()).closed()

    async def test_a_large_packet_is_not_buffered(self, node: RunningNode) -> None:
        client = await node.service.dial()
        await client.send(b"\x10\xff\xff\xff\x0f" + b"x" * 1_000_000)
        await client.closed_whatever_came_before()
        assert node.metrics.bytes_in < 1_000_000
        assert not node.node.connections


class TestSecondSubscribe:
    """broker.py 887: another QoS for the same filter was ignored."""

    @pytest.mark.parametrize("clean", [True, False])
    async def test_the_new_qos_holds(self, nodes: TwoNodes, *, clean: bool) -> None:
        subscriber = await nodes.first.service.connect(clean=clean)
        publisher = await nodes.second.service.connect()
        for qos in (0, 2, 1, 0):
            assert await subscriber.subscribe(("t", qos)) == (qos,)
            await publisher.publish("t", b"x", qos=2)
            assert (await subscriber.take()).qos == qos
            await subscriber.nothing_more()


class TestSharedSubscriptions:
    """They were accepted, and brought nothing."""

    async def test_they_are_refused(self, node: RunningNode, redis_client: Redis) -> None:
        await put_user(redis_client, "decoder", Role.SERVICE)
        for client in (
            await node.service.connect(),
            await node.service.connect(user="decoder", password=PASSWORD),
        ):
            assert await client.subscribe(("$share/group/t", 1)) == (0x80,)


class TestProxyProtocol:
    """adapters.py 179: the peer was HAProxy, and `send-proxy-v2` broke it."""

    @pytest.mark.parametrize(
        "header",
        [
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes((192, 0, 2, 7, 192, 0, 2, 1)) + b"\x12\x67\x07\x5b",
        ],
    )
    async def test_the_peer_is_the_one_that_the_proxy_names(self, start_node: StartNode, header: bytes) -> None:
        node = await start_node(broker_proxy_protocol=True)
        client = await node.service.dial()
        await client.send(header + connect("proxied") + publish("car-iotp", b"1", qos=1, packet_id=1))
        assert await client.receive() == Connack(session_present=False, code=0)
        assert await client.receive() == Ack(Kind.PUBACK, 1)
        assert node.connection("proxied").peer == "192.0.2.7"


class TestAnonymousByDefault:
    """contexts.py 150: amqtt's default plugins let everybody in."""

    async def test_nobody_comes_in_unless_a_setting_says_so(self, start_node: StartNode) -> None:
        node = await start_node(mqtt_allow_anonymous=False)
        client = await node.service.dial()
        await client.send(connect("stranger"))
        assert await client.receive() == Connack(session_present=False, code=5)
        await client.closed()


class TestBytesOfSys:
    """plugins/sys/broker.py 211, 220: each packet was made again, to count its bytes."""

    async def test_bytes_are_those_of_the_sockets(self, node: RunningNode) -> None:
        sent = [connect("a"), publish("car-iotp", b"x" * 1000, qos=1, packet_id=1)]
        client = await node.service.dial()
        await client.send(*sent)
        assert await client.receive() == Connack(session_present=False, code=0)
        assert await client.receive() == Ack(Kind.PUBACK, 1)
        assert node.metrics.bytes_in == sum(map(len, sent))
        assert node.metrics.bytes_out == 8
