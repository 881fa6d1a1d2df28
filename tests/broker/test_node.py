import asyncio
import struct

import aiomqtt
import pytest
from prometheus_client import generate_latest
from redis.asyncio import Redis

from broker.settings import BrokerSettings
from core import streams
from core.errors import Reason
from core.messages import RawMessage, Role
from tests.broker.conftest import RunningNode
from tests.conftest import NOON, entries, eventually

RAW = streams.raw(0)


def client(node: RunningNode, **options: object) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", node.port, **options)  # type: ignore[arg-type]


async def raw_messages(redis_client: Redis) -> list[RawMessage]:
    return [RawMessage.decode(fields) for fields in await entries(redis_client, RAW)]


def connect_packet(client_id: str, keepalive: int = 60, flags: int = 2) -> bytes:
    body = b"\0\4MQTT\4" + bytes((flags,)) + struct.pack("!HH", keepalive, len(client_id)) + client_id.encode()
    return bytes((0x10, len(body))) + body


def publish_packet(topic: str, payload: bytes, packet_id: int, qos: int = 1) -> bytes:
    body = struct.pack("!H", len(topic)) + topic.encode() + struct.pack("!H", packet_id) + payload
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    return bytes((0x30 | qos << 1,)) + length + body


async def connected(node: RunningNode, packet: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(packet)
    return reader, writer


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_published_position_is_in_the_stream(node: RunningNode, redis_client: Redis, qos: int) -> None:
    async with client(node) as mqtt:
        await mqtt.publish("car-iotp", b"payload", qos=qos)
        messages = await eventually(lambda: raw_messages(redis_client))
    assert messages == [RawMessage("car-iotp", "", Role.ANONYMOUS, NOON, b"payload")]


async def test_an_acknowledgement_comes_only_after_redis_has_the_message(
    node: RunningNode, redis_client: Redis
) -> None:
    reader, writer = await connected(node, connect_packet("slow") + publish_packet("car-iotp", b"1", 1))
    assert await reader.readexactly(4 + 4) == b"\x20\x02\0\0" + b"\x40\x02\0\1"
    # A Redis that holds its answers back holds the acknowledgement back.
    await redis_client.client_pause(300, all=True)
    writer.write(publish_packet("car-iotp", b"2", 2) + publish_packet("mobile-iotp/phone", b"3", 3))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.2)
    assert await reader.readexactly(8) == b"\x40\x02\0\2" + b"\x40\x02\0\3"
    assert [message.payload for message in await raw_messages(redis_client)] == [b"1", b"2", b"3"]
    writer.close()


async def test_acknowledgements_come_in_the_order_of_the_messages(node: RunningNode, redis_client: Redis) -> None:
    count = 2000
    batch = b"".join(publish_packet("car-iotp", str(number).encode(), number) for number in range(1, count + 1))
    redis_limit = node.node._settings.raw_max_length  # the stream may grow beyond it by what was under way
    assert count > redis_limit
    reader, writer = await connected(node, connect_packet("ordered") + batch)
    await reader.readexactly(4)
    acknowledged = 0
    while acknowledged < count:
        header, packet_id = struct.unpack("!HH", await reader.readexactly(4))
        assert header == 0x4002
        acknowledged += 1
        assert packet_id == acknowledged
        if acknowledged % 500 == 0:
            # The decoder's part: what is done leaves the stream, and publishers go on.
            await redis_client.xtrim(RAW, maxlen=0, approximate=False)
    writer.close()


async def test_publishers_wait_while_the_stream_is_longer_than_its_limit(
    node: RunningNode, redis_client: Redis
) -> None:
    async with redis_client.pipeline() as pipeline:
        for _ in range(1001):
            pipeline.xadd(RAW, {"t": "car-iotp"})
        await pipeline.execute()
    reader, writer = await connected(node, connect_packet("waits") + publish_packet("car-iotp", b"1", 1))
    await reader.readexactly(4 + 4)  # what was read before the node knew is stored, and said so
    writer.write(publish_packet("car-iotp", b"2", 2))
    await eventually(lambda: _problem(node))
    assert "RAW_MAX_LENGTH" in (node.ingest.problem or "")
    assert await redis_client.xlen(RAW) == 1002
    await redis_client.xtrim(RAW, maxlen=0, approximate=False)
    assert await reader.readexactly(4) == b"\x40\x02\0\2"
    writer.close()


async def _problem(node: RunningNode) -> str | None:
    return node.ingest.problem


async def test_a_position_of_qos_2_that_comes_twice_is_stored_once(node: RunningNode, redis_client: Redis) -> None:
    reader, writer = await connected(node, connect_packet("twice") + publish_packet("car-iotp", b"1", 7, qos=2) * 2)
    assert await reader.readexactly(12) == b"\x20\x02\0\0" + b"\x50\x02\0\7" * 2
    writer.write(b"\x62\x02\0\7")
    assert await reader.readexactly(4) == b"\x70\x02\0\7"
    # After its PUBREL the id is free for another message.
    writer.write(publish_packet("car-iotp", b"2", 7, qos=2))
    assert await reader.readexactly(4) == b"\x50\x02\0\7"
    assert [message.payload for message in await raw_messages(redis_client)] == [b"1", b"2"]
    writer.close()


async def test_a_payload_over_64_kib_leaves_a_note_for_the_dead_letters_and_the_connection_lives(
    node: RunningNode, redis_client: Redis
) -> None:
    async with client(node) as mqtt:
        await mqtt.publish("car-iotp", b"x" * 65_536, qos=1)
        await mqtt.publish("car-iotp", b"x" * 65_537, qos=1)
    kept, refused = await raw_messages(redis_client)
    assert (len(kept.payload), kept.refused) == (65_536, None)
    assert (refused.payload, refused.refused) == (b"", Reason.TOO_LARGE)


async def test_a_packet_over_the_limit_ends_its_connection_and_no_other(node: RunningNode, redis_client: Redis) -> None:
    async with client(node) as other:
        reader, writer = await connected(node, connect_packet("greedy") + b"\x30\xff\xff\xff\x7f")
        assert await reader.readexactly(4) == b"\x20\x02\0\0"
        assert await reader.read() == b""
        writer.close()
        await other.publish("car-iotp", b"fine", qos=1)
    assert [message.payload for message in await raw_messages(redis_client)] == [b"fine"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"\xff" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\xff",
        b"\x10\x02\0\0",
        b"\x10\xff\xff\xff\x7f",
    ],
)
async def test_what_is_not_a_connect_costs_its_own_connection(node: RunningNode, garbage: bytes) -> None:
    reader, writer = await connected(node, garbage)
    writer.write_eof()
    assert await reader.read() in {b"", b"\x20\x02\0\1"}
    writer.close()
    async with client(node) as mqtt:
        await mqtt.publish("other", b"alive", qos=1)


async def test_a_client_that_is_silent_for_one_and_a_half_keepalives_is_disconnected(node: RunningNode) -> None:
    reader, writer = await connected(node, connect_packet("silent", keepalive=1))
    assert await reader.readexactly(4) == b"\x20\x02\0\0"
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert b'broker_refused_total{reason="keepalive"} 1.0' in generate_latest(node.metrics.registry)


async def test_positions_cannot_be_subscribed_to(node: RunningNode) -> None:
    async with client(node) as mqtt:
        refused = [await mqtt.subscribe(topic) for topic in ("car-iotp", "car-iotp/#", "mobile-iotp")]
        allowed = await mqtt.subscribe("other/#", qos=1)
    assert [str(code) for codes in refused for code in codes] == ["Unspecified error"] * 3
    assert [str(code) for code in allowed] == ["Granted QoS 1"]


async def test_a_subscriber_to_everything_is_not_given_positions(node: RunningNode) -> None:
    async with client(node) as reader, client(node) as writer:
        await reader.subscribe("#", qos=1)
        await writer.publish("car-iotp", b"secret", qos=1)
        await writer.publish("notices/today", b"public", qos=1)
        message = await anext(aiter(reader.messages))
    assert message.topic.value == "notices/today"


async def test_a_second_connection_of_a_client_ends_the_first(node: RunningNode) -> None:
    first, first_writer = await connected(node, connect_packet("same"))
    assert await first.readexactly(4) == b"\x20\x02\0\0"
    second, second_writer = await connected(node, connect_packet("same"))
    assert await second.readexactly(4) == b"\x20\x02\0\0"
    async with asyncio.timeout(5):
        assert await first.read() == b""
    second_writer.write(publish_packet("car-iotp", b"1", 1))
    assert await second.readexactly(4) == b"\x40\x02\0\1"
    first_writer.close()
    second_writer.close()


async def test_a_publish_to_a_dollar_topic_ends_the_connection(node: RunningNode) -> None:
    reader, writer = await connected(node, connect_packet("dollar") + publish_packet("$SYS/x", b"1", 1))
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"\x20\x02\0\0")
    writer.close()


class TestWithoutAnonymousClients:
    @pytest.fixture
    def broker_settings(self, broker_settings: BrokerSettings) -> BrokerSettings:
        return broker_settings.model_copy(update={"mqtt_allow_anonymous": False})

    async def test_nobody_comes_in_and_no_session_is_kept(self, node: RunningNode) -> None:
        with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
            async with client(node, identifier="stranger"):
                pass
        assert not node.node.sessions
