"""What users of well-known clients do, over TCP and over WebSocket, with two nodes in turn."""

import asyncio
import queue
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.conftest import missing
from tests.mqtt.clauses import clause
from tests.mqtt.servers import Servers

LIMIT_SECONDS = 30.0
NODE_SCENARIO = Path(__file__).parents[1] / "node" / "mqtt_scenario.mjs"
Transport = Literal["tcp", "websockets"]
OVER = pytest.mark.parametrize("transport", ["tcp", "websockets"])


def urls(servers: Servers, transport: Transport) -> tuple[str, str]:
    """The first and the second node; twice the same where there is one."""
    if transport == "websockets" and not servers.websocket:
        missing("the URL of the server's WebSocket", "set MQTT_CONFORMANCE_WEBSOCKET")
    found = servers.websocket if transport == "websockets" else [f"mqtt://{host}:{port}" for host, port in servers.mqtt]
    return found[0], found[-1]


@pytest.fixture
def prefix() -> str:
    return f"r{uuid.uuid4().hex[:12]}"


class PahoClient:
    """A paho client on its own thread; what it receives waits in a queue."""

    def __init__(self, url: str, transport: Transport, client_id: str, **options: Any) -> None:
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, transport=transport, **options)
        self.client.on_connect = lambda _client, _data, flags, code, _properties: self.answers.put((flags, code))
        self.client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.answers.put(codes)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        address = urlsplit(url)
        if transport == "websockets":
            self.client.ws_set_options(path=address.path)
        assert address.hostname
        assert address.port
        self.client.connect(address.hostname, address.port)
        self.client.loop_start()
        flags, code = self.answers.get(timeout=LIMIT_SECONDS)
        assert code == 0, code
        self.session_present = bool(flags.session_present)

    def subscribe(self, topic_filter: str, qos: int) -> int:
        self.client.subscribe(topic_filter, qos)
        return int(self.answers.get(timeout=LIMIT_SECONDS)[0].value)

    def publish(self, topic: str, payload: str, qos: int, *, retain: bool = False) -> None:
        sent = self.client.publish(topic, payload, qos, retain)
        sent.wait_for_publish(LIMIT_SECONDS)
        assert sent.is_published()

    def message(self) -> tuple[str, str, int, bool]:
        message = self.messages.get(timeout=LIMIT_SECONDS)
        return message.topic, message.payload.decode(), message.qos, message.retain

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def paho_clients() -> Iterator[list[PahoClient]]:
    clients: list[PahoClient] = []
    yield clients
    for client in clients:
        client.close()


@clause("MQTT-7.0.0-2")
@OVER
@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv31])
def test_paho(
    mqtt_servers: Servers,
    prefix: str,
    paho_clients: list[PahoClient],
    transport: Transport,
    version: MQTTProtocolVersion,
) -> None:
    first, second = urls(mqtt_servers, transport)

    def connected(url: str, name: str, **options: Any) -> PahoClient:
        client = PahoClient(url, transport, prefix + name, protocol=version, **options)
        paho_clients.append(client)
        return client

    topic = f"{prefix}/paho/t"
    subscriber = connected(first, "sub")
    assert subscriber.subscribe(f"{prefix}/+/t", 2) == 2
    publisher = connected(second, "pub")
    for qos in range(3):
        publisher.publish(topic, f"qos {qos}", qos)
        assert subscriber.message() == (topic, f"qos {qos}", qos, False)

    publisher.publish(topic, "kept", 1, retain=True)
    assert subscriber.message() == (topic, "kept", 1, False)
    later = connected(first, "later")
    later.subscribe(f"{prefix}/#", 1)
    assert later.message() == (topic, "kept", 1, True)
    publisher.publish(topic, "", 1, retain=True)

    away = connected(second, "stored", clean_session=False)
    away.subscribe(f"{prefix}/away/#", 2)
    away.close()
    for qos in (1, 2):
        publisher.publish(f"{prefix}/away/t", f"waited {qos}", qos)
    again = connected(first, "stored", clean_session=False)
    assert again.session_present is (version is MQTTProtocolVersion.MQTTv311)
    assert [again.message()[1] for _ in range(2)] == ["waited 1", "waited 2"]


@clause("MQTT-7.0.0-2")
@OVER
async def test_aiomqtt(mqtt_servers: Servers, prefix: str, transport: Transport) -> None:
    first, second = urls(mqtt_servers, transport)

    def client(url: str, name: str, *, clean: bool = True) -> aiomqtt.Client:
        address = urlsplit(url)
        return aiomqtt.Client(
            str(address.hostname),
            address.port or 0,
            identifier=prefix + name,
            transport=transport,
            websocket_path=address.path or None,
            clean_session=clean,
            protocol=aiomqtt.ProtocolVersion.V311,
            timeout=LIMIT_SECONDS,
        )

    async def message(of: aiomqtt.Client) -> tuple[str, Any, int, bool]:
        async with asyncio.timeout(LIMIT_SECONDS):
            received = await anext(of.messages)
        return str(received.topic), received.payload, received.qos, received.retain

    topic = f"{prefix}/aiomqtt/t"
    async with client(first, "sub") as subscriber, client(second, "pub") as publisher:
        await subscriber.subscribe(f"{prefix}/+/t", 2)
        for qos in range(3):
            await publisher.publish(topic, f"qos {qos}", qos)
            assert await message(subscriber) == (topic, f"qos {qos}".encode(), qos, False)

        await publisher.publish(topic, "kept", 1, retain=True)
        assert await message(subscriber) == (topic, b"kept", 1, False)
        async with client(first, "later") as later:
            await later.subscribe(f"{prefix}/#", 1)
            assert await message(later) == (topic, b"kept", 1, True)
        await publisher.publish(topic, "", 1, retain=True)

        async with client(second, "stored", clean=False) as away:
            await away.subscribe(f"{prefix}/away/#", 2)
        for qos in (1, 2):
            await publisher.publish(f"{prefix}/away/t", f"waited {qos}", qos)
        async with client(first, "stored", clean=False) as again:
            assert [(await message(again))[1] for _ in range(2)] == [b"waited 1", b"waited 2"]


def mosquitto(tool: str, url: str, *arguments: str) -> subprocess.Popen[str]:
    if not shutil.which(tool):
        missing(tool, "install Debian's mosquitto-clients")
    address = urlsplit(url)
    # What it prints must come at once, also where it is not a terminal that it prints to.
    command = ["stdbuf", "-oL", tool, "-h", str(address.hostname), "-p", str(address.port), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output(process: subprocess.Popen[str]) -> list[str]:
    """What a tool prints until it ends, which has to be a success."""
    printed, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, printed
    return printed.splitlines()


@clause("MQTT-7.0.0-2")
@pytest.mark.parametrize("version", ["mqttv311", "mqttv31"])
def test_mosquitto_pub_and_sub(mqtt_servers: Servers, prefix: str, version: str) -> None:
    first, second = urls(mqtt_servers, "tcp")
    topic = f"{prefix}/mosquitto/t"

    def published(topic: str, payload: str, qos: int, *more: str) -> None:
        arguments = ("-V", version, "-t", topic, "-m", payload, "-q", f"{qos}", *more)
        assert output(mosquitto("mosquitto_pub", second, *arguments)) == []

    limits = ("-V", version, "-W", f"{LIMIT_SECONDS:.0f}", "-F", "%t %q %r %p")
    # -d says when it has subscribed.
    subscriber = mosquitto("mosquitto_sub", first, *limits, "-d", "-q", "2", "-t", f"{prefix}/+/t", "-C", "4")
    assert subscriber.stdout
    assert any("SUBACK" in line for line in iter(subscriber.stdout.readline, ""))
    for qos in range(3):
        published(topic, f"qos-{qos}", qos)
    published(topic, "kept", 1, "-r")
    received = [line for line in output(subscriber) if line.startswith(prefix)]
    # QoS 2 takes a round trip more, in which the next one comes: order holds within a QoS alone.
    assert sorted(received) == sorted([*(f"{topic} {qos} 0 qos-{qos}" for qos in range(3)), f"{topic} 1 0 kept"])

    later = mosquitto("mosquitto_sub", first, *limits, "-q", "1", "-t", f"{prefix}/#", "-C", "1")
    assert output(later) == [f"{topic} 1 1 kept"]
    assert output(mosquitto("mosquitto_pub", second, "-V", version, "-t", topic, "-n", "-r", "-q", "1")) == []

    stored = ("-V", version, "-i", f"{prefix}s", "-c", "-q", "2", "-t", f"{prefix}/away/#")
    # -E ends it as soon as it has subscribed.
    assert output(mosquitto("mosquitto_sub", second, *stored, "-E")) == []
    for qos in (1, 2):
        published(f"{prefix}/away/t", f"waited-{qos}", qos)
    assert output(mosquitto("mosquitto_sub", first, *stored, *limits[2:], "-C", "2")) == [
        f"{prefix}/away/t {qos} 0 waited-{qos}" for qos in (1, 2)
    ]


@clause("MQTT-7.0.0-2")
@OVER
@pytest.mark.parametrize("version", ["4", "3"])
def test_mqtt_js(mqtt_servers: Servers, prefix: str, transport: Transport, version: str) -> None:
    if not (shutil.which("node") and (NODE_SCENARIO.parent / "node_modules" / "mqtt").exists()):
        missing("MQTT.js", "install Node.js, then: npm ci --prefix tests/node")
    scenario = subprocess.run(
        ["node", NODE_SCENARIO, *urls(mqtt_servers, transport), prefix, version],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * LIMIT_SECONDS,
    )
    assert scenario.returncode == 0, scenario.stderr
