"""Devices with real connections: nodes die and connections break, and what is inside arrives, and nothing else."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from core.clock import parse_rfc3339, system_clock
from simulator.device import Command, Device, Policy
from simulator.device_paho import DrivenDevice
from simulator.fix import Fix
from simulator.outline import Rings
from tests.conftest import eventually, free_port, holds, missing
from tests.mqtt.relay import relay
from tests.mqtt.servers import Address, OneNode, _node, one_node
from tests.mqtt.zones_server import ZonesServer, zones_server
from tests.raw_streams import raw_messages
from tests.redis_servers.chosen import chosen, chosen_redis

pytestmark = pytest.mark.skipif(chosen() != "single", reason="what Redis it is makes no difference to a device")

INSIDE, OUTSIDE = (-8.5715, 52.6741), (-8.6267, 52.6680)
EACH = Policy(moving_seconds=0, still_seconds=0, outline_retry_seconds=1)
"""Each fix is worth sending: so that each can be looked for."""
LIMIT = 60.0
CERTIFICATE = Path(__file__).parents[2] / "haproxy" / "certificate"
NODE_MODULES = Path(__file__).parents[1] / "node"
NODE_DEVICE = Path(__file__).parents[2] / "simulator" / "device_node.mjs"


class Knowing(Device):
    """Tells when it has the outline: that it was asked for is not yet that it has come, and before it no fix counts."""

    knows = False

    def outline(self, rings: Rings | None, etag: str | None, now_ms: int) -> list[Command]:
        commands = super().outline(rings, etag, now_ms)
        self.knows = rings is not None
        return commands


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two nodes of one service."""

    tcp: list[Address]
    websocket: list[Address]
    processes: list[subprocess.Popen[bytes]]
    redis: str


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as stack:
        url = stack.enter_context(chosen_redis())
        tcp, websocket, processes = [], [], []
        for number in (1, 2):
            port, websocket_port = free_port(), free_port()
            settings = {
                "BROKER_NODE": f"device-{number}",
                "BROKER_PORT": str(port),
                "BROKER_WS_PORT": str(websocket_port),
                "OPS_PORT": str(free_port()),
                "REDIS_URL": url,
                "MQTT_ALLOW_ANONYMOUS": "1",
                "LOG_LEVEL": "warning",
                "DATA_DIR": str(tmp_path),
            }
            processes.append(stack.enter_context(_node(settings, tmp_path / f"node-{number}.log")))
            tcp.append(("127.0.0.1", port))
            websocket.append(("127.0.0.1", websocket_port))
        yield Nodes(tcp, websocket, processes, url)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    """A node that lives, for tests with devices of their own."""
    with one_node(tmp_path_factory.mktemp("alone")) as node:
        yield node


@pytest.fixture
def zones() -> Iterator[ZonesServer]:
    with zones_server() as server:
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        missing("openssl", "apt install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([CERTIFICATE, folder], check=True, capture_output=True)
    return folder


async def arrived(url: str) -> dict[str, list[tuple[int, tuple[float, float]]]]:
    """What nodes have appended of each device: times and places, in the order in which they came."""
    found: dict[str, list[tuple[int, tuple[float, float]]]] = {}
    async with Redis.from_url(url) as client:
        for message in await raw_messages(client):
            document = json.loads(base64.b64decode(message.payload))
            for feature in document.get("features", [document]):
                at = parse_rfc3339(feature["properties"]["timestamp"])
                place = tuple(feature["geometry"]["coordinates"])
                found.setdefault(feature["properties"]["device_id"], []).append((at, place))
    return found


def track(count: int) -> list[Fix]:
    """Fixes of the last seconds, each third of them outside."""
    now = system_clock()
    return [Fix(*(OUTSIDE if number % 3 == 2 else INSIDE), now - count + number) for number in range(count)]


def way(scheme: str, port: int) -> str:
    return f"{scheme}://127.0.0.1:{port}" + ("/mqtt" if scheme.startswith("ws") else "")


@pytest.mark.parametrize("scheme", ["mqtts", "ws"])
async def test_what_is_inside_arrives_while_a_node_dies_and_connections_break_and_nothing_else_does(
    nodes: Nodes, zones: ZonesServer, certificates: Path, scheme: str
) -> None:
    targets = nodes.websocket if scheme.startswith("ws") else nodes.tcp
    certificate = certificates / "server.pem" if scheme in ("mqtts", "wss") else None
    device, fixes = Knowing("phone-7", "mobile-iotp", EACH), track(90)
    with relay(targets[0], certificate) as between:
        driven = DrivenDevice(
            device,
            broker=way(scheme, between.port),
            zones=zones.url,
            client_id="phone-7",
            ca_file=str(certificates / "ca.pem"),
            chance=lambda: 0.0,
        )
        with driven:
            await eventually(holds(lambda: device.knows), limit=LIMIT)
            await _given(driven, device, fixes[:30])
            await eventually(holds(lambda: between.connections == 1), limit=LIMIT)
            nodes.processes[0].kill()
            between.target = targets[1]
            await _given(driven, device, fixes[30:60])
            between.cut()
            await _given(driven, device, fixes[60:])
            await eventually(holds(lambda: device.unsent == 0), limit=LIMIT)

    inside = {fix.at_ms for fix in fixes if (fix.longitude, fix.latitude) == INSIDE}
    seen = (await arrived(nodes.redis))["phone-7"]
    assert {at for at, _ in seen} == inside
    assert {place for _, place in seen} == {INSIDE}
    assert between.connections >= 2
    assert device.dropped == 0


async def _given(driven: DrivenDevice, device: Device, fixes: list[Fix]) -> None:
    """Fixes that the device has looked at: the last of them is outside."""
    for fix in fixes:
        driven.fix(fix)
    await eventually(holds(lambda: device.inside is False), limit=LIMIT)
    device.inside = None


async def test_while_nobody_may_know_the_campus_nothing_is_sent_and_it_is_said(
    alone: OneNode, zones: ZonesServer
) -> None:
    zones.status = 401
    said: list[str] = []
    device = Device("refused-7", "mobile-iotp", EACH)
    with (
        relay(alone.mqtt) as between,
        DrivenDevice(
            device, broker=way("mqtt", between.port), zones=zones.url, client_id="refused-7", say=said.append
        ) as driven,
    ):
        await eventually(holds(lambda: said), limit=LIMIT)
        for fix in track(9):
            driven.fix(fix)
        # It asks again; that it was answered comes after the fixes.
        asked = len(zones.etags)
        await eventually(holds(lambda: len(zones.etags) > asked), limit=LIMIT)
        assert between.connections == 0
        assert device.unsent == 0

        zones.status = 200
        await eventually(holds(lambda: zones.etags and len(zones.etags) > asked + 1), limit=LIMIT)
        await _until_inside(driven, device)
        await eventually(holds(lambda: device.unsent == 0), limit=LIMIT)

    assert "is not open to the public (401): nothing is sent" in said[0]
    assert len((await arrived(alone.redis))["refused-7"]) >= 1


async def _until_inside(driven: DrivenDevice, device: Device) -> None:
    async def inside() -> bool:
        driven.fix(Fix(*INSIDE, system_clock()))
        return device.inside is True

    await eventually(inside, limit=LIMIT)


async def test_the_outline_is_asked_for_with_its_tag_and_holds_while_the_api_is_away(
    alone: OneNode, zones: ZonesServer
) -> None:
    device = Device("away-7", "mobile-iotp", Policy(moving_seconds=0, still_seconds=0, outline_seconds=1))
    with DrivenDevice(device, broker=way("mqtt", alone.mqtt[1]), zones=zones.url, client_id="away-7") as driven:
        await eventually(holds(lambda: zones.etags[:3] == [None, '"campus-1"', '"campus-1"']), limit=LIMIT)
        zones.status = 503
        asked = len(zones.etags)
        await eventually(holds(lambda: len(zones.etags) > asked + 1), limit=LIMIT)
        await _until_inside(driven, device)
        await eventually(holds(lambda: device.unsent == 0), limit=LIMIT)

    assert len((await arrived(alone.redis))["away-7"]) >= 1


# paho leaves a socket open where the handshake of TLS fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_who_is_refused_says_so_and_a_certificate_that_nobody_trusts_is_none(
    alone: OneNode, zones: ZonesServer, certificates: Path
) -> None:
    said: list[str] = []
    options: dict[str, Any] = {"zones": zones.url, "client_id": "nobody-7", "say": said.append}
    with (
        relay(alone.mqtt, certificates / "server.pem") as between,
        DrivenDevice(Device("nobody-7", "mobile-iotp", EACH), broker=way("mqtts", between.port), **options) as driven,
    ):
        await eventually(_asks(driven, lambda: any("CERTIFICATE_VERIFY_FAILED" in each for each in said)), limit=LIMIT)
    said.clear()
    options |= {"username": "nobody", "password": "of nobody"}
    with DrivenDevice(Device("nobody-7", "mobile-iotp", EACH), broker=way("mqtt", alone.mqtt[1]), **options) as driven:
        await eventually(_asks(driven, lambda: any("refuses the connection" in each for each in said)), limit=LIMIT)
    assert "nobody-7" not in await arrived(alone.redis)


def _asks(driven: DrivenDevice, probe: Callable[[], bool]) -> Callable[[], Any]:
    async def told() -> bool:
        driven.fix(Fix(*INSIDE, system_clock()))
        return probe()

    return told


@pytest.mark.parametrize(
    ("broker", "zones_url"),
    [("http://a", "http://b/v1/zones"), ("mqtt://", "http://b/v1/zones"), ("mqtt://a", "file:///etc/passwd")],
)
def test_what_is_no_address_is_refused(broker: str, zones_url: str) -> None:
    with pytest.raises(ValueError, match="is no address of"):
        DrivenDevice(Device("phone-7", "mobile-iotp"), broker=broker, zones=zones_url, client_id="phone-7")


@pytest.mark.parametrize("scheme", ["mqtt", "wss"])
async def test_the_twin_on_node_js_loses_nothing_inside_either(
    nodes: Nodes, zones: ZonesServer, certificates: Path, scheme: str
) -> None:
    if not (shutil.which("node") and (NODE_MODULES / "node_modules" / "mqtt").exists()):
        missing("MQTT.js", "install Node.js, then: npm ci --prefix tests/node")
    targets = nodes.websocket if scheme.startswith("ws") else nodes.tcp
    certificate = certificates / "server.pem" if scheme == "wss" else None
    now = system_clock()
    # Six seconds apart, each second one outside: more than a moment to cut the connection in.
    fixes = [
        {"longitude": place[0], "latitude": place[1], "at_ms": now - 6000 * (40 - number)}
        for number, place in enumerate([INSIDE, OUTSIDE] * 20)
    ]
    # Who stands still is reported once a minute: every tenth fix.
    with relay(targets[0], certificate) as between:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
            ["node", str(NODE_DEVICE), *_options(way(scheme, between.port), zones.url)],
            cwd=NODE_MODULES,
            env=_environment(certificates),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("".join(f"{json.dumps(fix)}\n" for fix in fixes[:20]))
        process.stdin.flush()
        await eventually(holds(lambda: between.connections == 1), limit=LIMIT)
        nodes.processes[0].kill()
        between.target = targets[1]
        out, errors = process.communicate("".join(f"{json.dumps(fix)}\n" for fix in fixes[20:]), timeout=LIMIT)

    assert process.returncode == 0, errors
    said = json.loads(out)
    assert said["dropped"] == 0
    seen = (await arrived(nodes.redis))["phone-7"]
    assert {at for at, _ in seen} == {fix["at_ms"] for fix in fixes[::10]}
    assert {place for _, place in seen} == {INSIDE}
    assert '"link":"connected"' in errors


def _environment(certificates: Path) -> dict[str, str]:
    return {**os.environ, "NODE_EXTRA_CA_CERTS": str(certificates / "ca.pem")}


def _options(broker: str, zones_url: str) -> list[str]:
    return ["--broker", broker, "--zones", zones_url, "--device", "phone-7", "--topic", "mobile-iotp"]
