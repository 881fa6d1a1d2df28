"""Law 1, kept: an acknowledgement goes out after Redis has the message; and what follows while it cannot."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import BadSettingsError, Reason, UnavailableError
from core.messages import RawMessage
from runtime.settings import CommonSettings
from state.client import open_redis
from state.durability import Durability, check_durability
from tests.broker.conftest import RunningNode, StartNode, has
from tests.broker.processes import ROOT
from tests.conftest import RAW, WAIT_SECONDS, eventually
from tests.mqtt.client import Connection
from tests.mqtt.wire import PINGREQ, Ack, Connack, Kind, Pingresp, ack, publish
from tests.oracle.durable import DurableRedis
from tests.raw_streams import raw_messages

SILENT_SECONDS = 0.3


async def says_nothing(connection: Connection, seconds: float = SILENT_SECONDS) -> None:
    """Fails where anything comes in that time."""
    with pytest.raises(TimeoutError):
        await connection.receive(limit=seconds)


def came(node: RunningNode, count: int, qos: int = 0) -> Callable[[], bool]:
    """Whether so many PUBLISHes have come."""
    return lambda: node.counted("broker_received_messages_total", qos=str(qos)) == count


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_published_position_is_in_the_stream(node: RunningNode, redis_client: Redis, qos: int) -> None:
    node.node.reader._publishing._clock = lambda: 1_772_366_400_000
    client = await node.service.connect()
    await client.publish("car-iotp", b"payload", qos=qos)
    messages = await eventually(lambda: raw_messages(redis_client))
    assert messages == [RawMessage("car-iotp", "", "anonymous", 1_772_366_400_000, b"payload")]


@pytest.mark.parametrize("topic", ["car-iotp", "mobile-iotp/phone", "elsewhere"])
@pytest.mark.parametrize(("qos", "kind"), [(1, Kind.PUBACK), (2, Kind.PUBREC)])
async def test_an_acknowledgement_comes_only_after_redis_has_answered(
    node: RunningNode, redis_client: Redis, topic: str, qos: int, kind: Kind
) -> None:
    client = await node.service.connect()
    await client.send(publish(topic, b"1", qos=qos, packet_id=1))
    assert await client.receive() == Ack(kind, 1)
    await redis_client.client_pause(1000, all=True)
    await client.send(publish(topic, b"2", qos=qos, packet_id=2))
    await says_nothing(client)
    assert await client.receive() == Ack(kind, 2)


async def test_a_pubcomp_of_a_persistent_session_comes_only_after_redis_has_forgotten_the_identifier(
    node: RunningNode, redis_client: Redis
) -> None:
    client = await node.service.connect(clean=False)
    await client.send(publish("car-iotp", b"1", qos=2, packet_id=1))
    assert await client.receive() == Ack(Kind.PUBREC, 1)
    await redis_client.client_pause(1000, all=True)
    await client.send(ack(Kind.PUBREL, 1))
    await says_nothing(client)
    assert await client.receive() == Ack(Kind.PUBCOMP, 1)


async def test_pubacks_come_in_the_order_of_the_publishes_whatever_their_topics(node: RunningNode) -> None:
    count = 3000
    client = await node.service.connect()
    # Positions, a routed topic, a refused one and one that somebody listens to: each is stored in another way.
    topics = ("car-iotp", "elsewhere", "v1/refused", "listened", "mobile-iotp")
    listener = await node.service.subscriber(("listened", 0))
    for first in range(0, count, 100):
        await client.send(
            *(publish(topics[number % 5], b"x", qos=1, packet_id=number + 1) for number in range(first, first + 100))
        )
    for number in range(count):
        assert await client.receive() == Ack(Kind.PUBACK, number + 1)
    assert len([await listener.message() for _ in range(count // 5)]) == count // 5


async def test_a_pingresp_does_not_overtake_the_pubacks_before_it(node: RunningNode, redis_client: Redis) -> None:
    client = await node.service.connect()
    await redis_client.client_pause(200, all=True)
    await client.send(publish("car-iotp", b"1", qos=1, packet_id=1), b"\xc0\0")
    assert await client.receive() == Ack(Kind.PUBACK, 1)
    await client.ping()


async def test_a_position_of_qos_2_that_comes_twice_is_stored_once(node: RunningNode, redis_client: Redis) -> None:
    client = await node.service.connect()
    await client.send(publish("car-iotp", b"1", qos=2, packet_id=7), publish("car-iotp", b"1", qos=2, packet_id=7))
    assert [await client.receive() for _ in range(2)] == [Ack(Kind.PUBREC, 7)] * 2
    await client.send(ack(Kind.PUBREL, 7))
    assert await client.receive() == Ack(Kind.PUBCOMP, 7)
    # After its PUBREL the identifier is free for another message.
    await client.send(publish("car-iotp", b"2", qos=2, packet_id=7))
    assert await client.receive() == Ack(Kind.PUBREC, 7)
    assert [message.payload for message in await raw_messages(redis_client)] == [b"1", b"2"]


async def test_a_position_over_the_limit_leaves_a_note_for_the_dead_letters_and_the_connection_lives(
    node: RunningNode, redis_client: Redis
) -> None:
    client = await node.service.connect()
    await client.publish("car-iotp", b"x" * 65_536, qos=1)
    await client.publish("car-iotp", b"x" * 65_537, qos=1)
    await client.publish("car-iotp", b"y", qos=1)
    kept, refused, after = await raw_messages(redis_client)
    assert (len(kept.payload), kept.refused) == (65_536, None)
    assert (refused.payload, refused.refused) == (b"", Reason.TOO_LARGE)
    assert (after.payload, after.refused) == (b"y", None)
    assert node.refused("too_large") == 1


async def test_messages_of_qos_0_are_not_dropped_while_redis_is_there(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(qos0_buffer=0)
    client = await node.service.connect()
    for _ in range(100):
        await client.send(publish("car-iotp", b"x" * 1000))
    await client.ping()
    assert len(await raw_messages(redis_client)) == 100
    assert not node.counted("broker_dropped_total", reason="qos0_buffer")


class TestRawThatIsTooLong:
    LIMIT = 1000

    @pytest.fixture
    async def node(self, start_node: StartNode) -> RunningNode:
        return await start_node(raw_max_length=self.LIMIT)

    async def test_publishers_wait_until_a_decoder_has_made_room(self, node: RunningNode, redis_client: Redis) -> None:
        async with redis_client.pipeline() as pipeline:
            for _ in range(self.LIMIT):
                pipeline.xadd(RAW, {"t": "car-iotp"})
            await pipeline.execute()
        client = await node.service.connect()
        # So many may wait, and one more.
        await client.publish("car-iotp", b"1", qos=1)
        await client.send(publish("car-iotp", b"2", qos=1, packet_id=2))
        await eventually(lambda: has(lambda: "RAW_MAX_LENGTH" in (node.node.problem or "")))
        await says_nothing(client)
        assert await redis_client.xlen(RAW) == self.LIMIT + 1
        await redis_client.xtrim(RAW, maxlen=0, approximate=False)
        assert await client.receive() == Ack(Kind.PUBACK, 2)
        await eventually(lambda: has(lambda: node.node.problem is None))

    async def test_later_messages_are_not_acknowledged_before_one_that_waits(
        self, node: RunningNode, redis_client: Redis
    ) -> None:
        async with redis_client.pipeline() as pipeline:
            for _ in range(self.LIMIT):
                pipeline.xadd(RAW, {"t": "car-iotp"})
            await pipeline.execute()
        client = await node.service.connect()
        await client.publish("car-iotp", b"1", qos=1)
        topics = ("car-iotp", "elsewhere", "v1/refused", "car-iotp")
        for number, topic in enumerate(topics, 2):
            # One by one: what is read together is acknowledged together.
            await client.send(publish(topic, b"x", qos=1, packet_id=number))
            await eventually(lambda number=number: has(came(node, number, qos=1)))  # type: ignore[misc]
        await says_nothing(client)
        await redis_client.xtrim(RAW, maxlen=0, approximate=False)
        assert [await client.receive() for _ in topics] == [Ack(Kind.PUBACK, 2 + n) for n in range(len(topics))]

    async def test_messages_that_are_no_positions_go_on(self, node: RunningNode, redis_client: Redis) -> None:
        async with redis_client.pipeline() as pipeline:
            for _ in range(self.LIMIT):
                pipeline.xadd(RAW, {"t": "car-iotp"})
            await pipeline.execute()
        client = await node.service.connect()
        await client.publish("car-iotp", b"1", qos=1)
        other = await node.service.subscriber(("elsewhere", 1))
        await (await node.service.connect()).publish("elsewhere", b"goes on", qos=1)
        assert (await other.take()).payload == b"goes on"


class TestRedisThatGoesAway:
    async def test_nothing_is_acknowledged_and_all_of_it_when_redis_is_back(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url)
        client = await node.service.connect()
        await client.publish("car-iotp", b"0", qos=1)
        await own_redis.kill()
        await client.send(*(publish("car-iotp", str(n).encode(), qos=1, packet_id=n) for n in range(1, 500)))
        await client.send(publish("elsewhere", b"x", qos=1, packet_id=500))
        await eventually(lambda: has(lambda: node.node.problem))
        await says_nothing(client)
        await own_redis.start()
        for number in range(1, 501):
            assert await client.receive(limit=WAIT_SECONDS) == Ack(Kind.PUBACK, number)
        async with Redis.from_url(own_redis.url) as redis_client:
            # More than once is possible: an answer may have been lost with the connection.
            stored = dict.fromkeys(int(message.payload) for message in await raw_messages(redis_client))
        assert list(stored) == list(range(500))
        await eventually(lambda: has(lambda: node.node.problem is None))

    async def test_a_publisher_is_read_no_further_and_gets_all_its_acknowledgements_in_the_end(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url)
        client = await node.service.connect("busy")
        await own_redis.kill()
        await eventually(lambda: has(lambda: node.node.problem))
        packets = [publish("car-iotp", b"x" * 10_000, qos=1, packet_id=number) for number in range(1, 1001)]
        sending = asyncio.create_task(client.send(*packets))
        await eventually(lambda: has(lambda: node.connection("busy")._not_read))
        await says_nothing(client)
        # 10 MB are on their way, of which the node holds what it may, and what one read brought.
        assert node.connection("busy").answers._size < 1024 * 1024
        assert node.metrics.bytes_in < 2 * 1024 * 1024
        await own_redis.start()
        for number in range(1, 1001):
            assert await client.receive(limit=WAIT_SECONDS) == Ack(Kind.PUBACK, number)
        await sending

    async def test_a_client_is_not_taken_for_silent_while_it_is_not_read(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url)
        client = await node.service.connect("patient", keepalive=1)
        await own_redis.kill()
        await eventually(lambda: has(lambda: node.node.problem))
        sending = asyncio.create_task(
            client.send(*(publish("car-iotp", b"x" * 10_000, qos=1, packet_id=n) for n in range(1, 101)))
        )
        await eventually(lambda: has(lambda: node.connection("patient")._not_read))
        assert not await client.is_closed_within(2.5)
        await own_redis.start()
        await client.acknowledged(Kind.PUBACK, 100)
        await sending

    async def test_messages_of_qos_0_are_dropped_beyond_their_buffer_and_counted(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url, qos0_buffer=20_000)
        client = await node.service.connect()
        await own_redis.kill()
        await client.send(publish("car-iotp", b"x"))
        await eventually(lambda: has(lambda: node.node.ingest.problem))
        for number in range(2, 27):
            # One by one: what is read together is taken or dropped together.
            await client.send(publish("car-iotp", b"x" * 1000))
            await eventually(lambda number=number: has(came(node, number)))  # type: ignore[misc]
        assert node.counted("broker_dropped_total", reason="qos0_buffer") == 5
        await own_redis.start()
        await client.publish("car-iotp", b"after", qos=1)
        async with Redis.from_url(own_redis.url) as redis_client:
            stored = await raw_messages(redis_client)
        # The first may be there twice: its answer may have been lost with Redis.
        assert len(stored) in {22, 23}
        assert stored[-1].payload == b"after"

    async def test_one_publisher_of_qos_0_is_read_on_until_the_buffer_of_the_node_is_full(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url, qos0_buffer=1_000_000)
        client = await node.service.connect()
        await own_redis.kill()
        await client.send(publish("car-iotp", b"x"))
        await eventually(lambda: has(lambda: node.node.ingest.problem))
        await client.send(*(publish("car-iotp", b"x" * 10_000) for _ in range(300)))
        await eventually(lambda: has(came(node, 301)))
        assert node.counted("broker_dropped_total", reason="qos0_buffer") > 100
        assert 1_000_000 <= node.metrics.qos_0_waiting < 1_500_000

    async def test_a_publisher_that_waits_for_its_pubacks_still_gets_its_pingresp(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url)
        client = await node.service.connect()
        await own_redis.kill()
        await client.send(publish("car-iotp", b"x", qos=1, packet_id=1))
        await eventually(lambda: has(lambda: node.node.problem))
        await client.send(PINGREQ)
        assert await client.receive() == Pingresp()
        await own_redis.start()
        assert await client.receive() == Ack(Kind.PUBACK, 1)

    async def test_a_client_that_comes_meanwhile_is_told_that_the_server_is_unavailable(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        node = await start_node(own_redis.url, mqtt_connect_timeout=0.5)
        await own_redis.kill()
        client = await node.service.dial()
        await client.send(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1a")
        received = await client.closed_whatever_came_before()
        assert [getattr(packet, "code", None) for packet in received] == [3]
        assert not node.node.clients
        await own_redis.start()

        async def welcomed() -> bool:
            # Half a second may be too short for one attempt, on a machine that is busy.
            again = await node.service.dial()
            await again.send(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1a")
            return await again.receive() == Connack(session_present=False, code=0)

        await eventually(welcomed)

    async def test_subscribers_of_other_messages_get_them_afterwards(
        self, own_redis: DurableRedis, start_node: StartNode
    ) -> None:
        nodes = [await start_node(own_redis.url, broker_node=name) for name in ("node-1", "node-2")]
        subscriber = await nodes[0].service.subscriber(("t/#", 1))
        publisher = await nodes[1].service.connect()
        await own_redis.kill()
        await publisher.send(publish("t/1", b"meanwhile", qos=1, packet_id=1))
        await eventually(lambda: has(lambda: nodes[0].node.problem and nodes[1].node.problem))
        await own_redis.start()
        async with asyncio.timeout(WAIT_SECONDS):
            await publisher.acknowledged(Kind.PUBACK, 1)
            assert (await subscriber.take()).payload == b"meanwhile"


async def test_a_redis_that_does_not_sync_each_write_is_refused_where_that_was_asked_for(redis_client: Redis) -> None:
    await check_durability(redis_client, Durability.ACCEPTED)
    with pytest.raises(BadSettingsError, match="appendfsync always"):
        await check_durability(redis_client, Durability.FSYNCED)


async def test_a_redis_that_syncs_each_write_is_accepted(own_redis: DurableRedis) -> None:
    async with Redis.from_url(own_redis.url) as client:
        await check_durability(client, Durability.FSYNCED)
        await client.config_set("appendfsync", "everysec")
        with pytest.raises(BadSettingsError, match="everysec"):
            await check_durability(client, Durability.FSYNCED)


async def test_a_redis_that_does_not_answer_is_not_refused(own_redis: DurableRedis) -> None:
    await own_redis.kill()
    async with open_redis(CommonSettings(redis_url=own_redis.url)) as client:
        with pytest.raises(UnavailableError):
            await check_durability(client, Durability.FSYNCED)


async def test_a_node_does_not_start_where_redis_cannot_keep_the_promise(redis_server: str) -> None:
    environment = {**os.environ, "REDIS_URL": redis_server, "DURABILITY": "fsynced", "BROKER_PORT": "1"}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "broker"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS * 2,
        check=False,
    )
    assert ended.returncode == 2
    assert "DURABILITY=fsynced needs a Redis with `appendonly yes` and `appendfsync always`" in ended.stderr


class TestADiskWithoutRoom:
    """As whoever runs Redis says it, by taking away the reserve."""

    async def test_nothing_is_acknowledged_until_there_is_room(
        self, start_node: StartNode, redis_client: Redis, tmp_path: Path
    ) -> None:
        reserve = tmp_path / "reserve"
        reserve.touch()
        node = await start_node(redis_reserve=reserve)
        client = await node.service.connect()
        listener = await node.service.subscriber(("elsewhere", 1))
        await client.publish("car-iotp", b"1", qos=1)
        reserve.unlink()
        await client.send(publish("car-iotp", b"2", qos=1, packet_id=2))
        await eventually(lambda: has(lambda: "nearly full" in (node.node.ingest.problem or "")))
        other = await node.service.connect()
        await other.send(publish("elsewhere", b"3", qos=1, packet_id=3))
        await says_nothing(client)
        await says_nothing(other)
        assert [message.payload for message in await raw_messages(redis_client)] == [b"1"]
        assert "nearly full" in (node.node.problem or "")
        reserve.touch()
        assert await client.receive() == Ack(Kind.PUBACK, 2)
        assert await other.receive() == Ack(Kind.PUBACK, 3)
        assert (await listener.take()).payload == b"3"
        await eventually(lambda: has(lambda: node.node.problem is None))
