"""MQTT over WebSocket (6)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.conftest import missing
from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import LIMIT_SECONDS, Service
from tests.mqtt.servers import Servers
from tests.mqtt.wire import (
    PINGREQ,
    Ack,
    Connack,
    Kind,
    Pingresp,
    Publish,
    Received,
    Suback,
    Will,
    connect,
    parse,
    publish,
    subscribe,
)


@dataclass(slots=True)
class WebSocket:
    """A WebSocket whose frames a test makes."""

    socket: aiohttp.ClientWebSocketResponse
    buffer: bytearray = field(default_factory=bytearray)

    async def receive(self) -> Received:
        """The next packet; the frames that bring it must be binary."""
        while True:
            length, start = 0, 1
            while start < len(self.buffer):
                digit = self.buffer[start]
                length |= (digit & 0x7F) << 7 * (start - 1)
                start += 1
                if digit < 0x80:
                    if len(self.buffer) < start + length:
                        break
                    packet = parse(self.buffer[0], bytes(self.buffer[start : start + length]))
                    del self.buffer[: start + length]
                    return packet
            message = await self.socket.receive(LIMIT_SECONDS)
            assert message.type is aiohttp.WSMsgType.BINARY, f"[MQTT-6.0.0-1] a frame {message.type!r}"
            self.buffer += message.data

    async def closed(self) -> None:
        """Wait until the server has closed; fails where a packet comes before that."""
        message = await self.socket.receive(LIMIT_SECONDS)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def urls(mqtt_servers: Servers) -> list[str]:
    if not mqtt_servers.websocket:
        missing("the URL of the server's WebSocket", "set MQTT_CONFORMANCE_WEBSOCKET")
    return [mqtt_servers.websocket[index % len(mqtt_servers.websocket)] for index in range(2)]


async def opened(http: aiohttp.ClientSession, url: str, *fields: bytes) -> WebSocket:
    """A WebSocket on which these frames were sent."""
    websocket = WebSocket(await http.ws_connect(url, protocols=["mqtt"], autoping=True))
    for frame in fields:
        await websocket.socket.send_bytes(frame)
    return websocket


@clause("MQTT-6.0.0-4")
@pytest.mark.parametrize("offered", [["mqtt"], ["other", "mqtt"], ["mqtt", "mqttv3.1"]])
async def test_the_server_answers_with_the_subprotocol_mqtt(
    http: aiohttp.ClientSession, urls: list[str], offered: list[str]
) -> None:
    for url in urls:
        async with http.ws_connect(url, protocols=offered) as socket:
            assert socket.protocol == "mqtt"


@clause("MQTT-6.0.0-1", "MQTT-7.1.1-1")
async def test_packets_are_sent_in_binary_frames(
    http: aiohttp.ClientSession, urls: list[str], service: Service
) -> None:
    websocket = await opened(http, urls[0], connect(service.name()))
    assert await websocket.receive() == Connack(session_present=False, code=0)
    await websocket.socket.send_bytes(PINGREQ)
    assert await websocket.receive() == Pingresp()


@clause("MQTT-6.0.0-1")
@pytest.mark.parametrize(
    "connected", [pytest.param(True, marks=mosquitto_deviates("takes text frames as it does binary ones")), False]
)
async def test_a_text_frame_closes_the_connection(
    http: aiohttp.ClientSession, urls: list[str], service: Service, *, connected: bool
) -> None:
    websocket = await opened(http, urls[0])
    if connected:
        await websocket.socket.send_bytes(connect(service.name()))
        await websocket.receive()
    await websocket.socket.send_str("\x10\x00" if not connected else "\x30\x03\x00\x01t")
    await websocket.closed()


@clause("MQTT-6.0.0-2")
async def test_a_packet_may_come_in_many_frames(http: aiohttp.ClientSession, urls: list[str], service: Service) -> None:
    topic = service.topic()
    packets = connect(service.name()) + subscribe(7, (topic, 1)) + publish(topic, b"x" * 300, qos=1, packet_id=8)
    websocket = await opened(http, urls[0], *(packets[index : index + 1] for index in range(len(packets))))
    assert await websocket.receive() == Connack(session_present=False, code=0)
    assert await websocket.receive() == Suback(7, (1,))
    received = [await websocket.receive() for _ in range(2)]
    assert Ack(Kind.PUBACK, 8) in received
    assert b"x" * 300 in [packet.payload for packet in received if isinstance(packet, Publish)]


@clause("MQTT-6.0.0-2")
async def test_a_frame_may_bring_many_packets_and_a_part_of_one(
    http: aiohttp.ClientSession, urls: list[str], service: Service
) -> None:
    topic = service.topic()
    one = publish(topic, b"one", qos=1, packet_id=1)
    two = publish(topic, b"two", qos=1, packet_id=2)
    websocket = await opened(http, urls[0], connect(service.name()) + one + two[:4], two[4:] + PINGREQ)
    assert await websocket.receive() == Connack(session_present=False, code=0)
    received = [await websocket.receive() for _ in range(3)]
    assert received == [Ack(Kind.PUBACK, 1), Ack(Kind.PUBACK, 2), Pingresp()]


@clause("MQTT-7.1.1-1")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_websocket_and_a_socket_hear_each_other(
    http: aiohttp.ClientSession, urls: list[str], service: Service, qos: int
) -> None:
    plain = await service.subscriber((service.topic("plain"), qos))
    websocket = await opened(http, urls[1], connect(service.name()), subscribe(7, (service.topic("ws"), qos)))
    assert await websocket.receive() == Connack(session_present=False, code=0)
    assert await websocket.receive() == Suback(7, (qos,))
    await plain.publish(service.topic("ws"), b"from plain" * 1000, qos=qos)
    message = await websocket.receive()
    assert isinstance(message, Publish)
    assert (message.payload, message.qos) == (b"from plain" * 1000, qos)
    await websocket.socket.send_bytes(
        publish(service.topic("plain"), b"from ws", qos=qos, packet_id=9 if qos else None)
    )
    if qos == 2:
        assert await websocket.receive() == Ack(Kind.PUBREC, 9)
        await websocket.socket.send_bytes(b"\x62\x02\x00\x09")
    assert (await plain.take()).payload == b"from ws"


@clause("MQTT-4.8.0-1", "MQTT-3.1.4-1")
@pytest.mark.parametrize("packet", [b"\xf0\x00", b"\x10\x00", PINGREQ], ids=["reserved", "empty-connect", "pingreq"])
async def test_a_violation_closes_the_websocket(http: aiohttp.ClientSession, urls: list[str], packet: bytes) -> None:
    websocket = await opened(http, urls[0], packet)
    await websocket.closed()


@clause("MQTT-3.1.2-8")
@pytest.mark.parametrize("politely", [True, False])
async def test_a_websocket_that_closes_without_disconnect_leaves_its_will(
    http: aiohttp.ClientSession, urls: list[str], service: Service, *, politely: bool
) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    will = Will(service.topic("will"), b"websocket gone", qos=1)
    websocket = await opened(http, urls[1], connect(service.name(), will=will))
    await websocket.receive()
    if politely:
        await websocket.socket.close()
    else:
        await http.close()
    assert (await watcher.take()).payload == b"websocket gone"
