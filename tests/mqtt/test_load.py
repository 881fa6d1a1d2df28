"""A load over whatever carries MQTT, to a node itself."""

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.carrier import Carrier
from simulator.load.measured import Measured
from simulator.load.mqtt_load import LoadError, Message, MqttLoad
from simulator.load.run import run
from simulator.load.schedule import Schedule
from simulator.login import Login
from tests.conftest import missing
from tests.mqtt.relay import relay
from tests.mqtt.servers import OneNode, one_node
from tests.redis_servers.chosen import chosen

CERTIFICATE = Path(__file__).parents[2] / "haproxy" / "certificate"
pytestmark = pytest.mark.skipif(chosen() != "single", reason="what Redis it is makes no difference to a load")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with one_node(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        missing("openssl", "apt install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([CERTIFICATE, folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("carrier", list(Carrier))
async def test_all_that_is_due_is_acknowledged_whatever_carries_it(
    node: OneNode, trusted: Path, carrier: Carrier
) -> None:
    measured = Measured()
    messages = [Message("car-iotp", b"%%%"), Message("car-iotp", b"%" * 300), Message("car-iotp", b"%" * 66_000)]
    # The last is larger than a payload may be, and acknowledged all the same (decision 3).
    load = MqttLoad(messages, measured, time.monotonic)
    with relay(
        node.websocket if carrier.websocket else node.mqtt, trusted / "server.pem" if carrier.encrypted else None
    ) as between:
        tls = ssl.create_default_context(cafile=trusted / "ca.pem") if carrier.encrypted else None
        await load.open(2, host="127.0.0.1", port=between.port, login=Login(), tls=tls, websocket=carrier.websocket)
        summary = await run(
            load,
            Schedule(60, 1),
            measured,
            over="mqtt",
            connections=2,
            elapsed=time.monotonic,
            progress=lambda _due: None,
        )
    assert (summary.sent, summary.answers, summary.broken) == (60, {"PUBACK": 60}, {})


async def test_who_is_not_trusted_and_who_speaks_no_websocket_is_said(node: OneNode, trusted: Path) -> None:
    def load() -> MqttLoad:
        return MqttLoad([Message("car-iotp", b"%")], Measured(), time.monotonic)

    with relay(node.mqtt, trusted / "server.pem") as between, pytest.raises(LoadError, match="certificate"):
        await load().open(1, host="127.0.0.1", port=between.port, login=Login(), tls=ssl.create_default_context())
    http = await asyncio.start_server(_not_found, "127.0.0.1", 0)
    async with http:
        port = http.sockets[0].getsockname()[1]
        with pytest.raises(LoadError, match=r"WebSocket with HTTP/1\.1 404"):
            await load().open(1, host="127.0.0.1", port=port, login=Login(), websocket=True)


async def _not_found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    writer.close()
