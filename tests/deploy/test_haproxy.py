"""HAProxy with the configuration and the environment of a laptop run, before two nodes and an API that are not real."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.laptop.ports import BEHIND_HAPROXY, INTERNAL, PUBLIC
from deploy.laptop.processes import HAPROXY_CONFIG, Programs, describe
from deploy.laptop.routes import put_maps
from deploy.laptop.settings import LaptopSettings
from tests.conftest import free_port, missing
from tests.deploy.conftest import wait_until
from tests.deploy.web_server import WebServer, web_server
from tests.simulator.mqtt_server import MqttServer, mqtt_server

DISCONNECT = b"\xe0\x00"
CONNACK = b"\x20\x02\x00\x00"


def haproxy_executable() -> str:
    found = shutil.which("haproxy")
    return found or missing("haproxy", "install Debian's haproxy")


def connect(client_id: str, *, protocol: bytes = b"MQTT", level: int = 4) -> bytes:
    """A CONNECT of a clean session, [MQTT-3.1]."""
    body = len(protocol).to_bytes(2) + protocol + bytes([level, 2, 0, 60])
    body += (b"\0" if level == 5 else b"") + len(client_id).to_bytes(2) + client_id.encode()
    return bytes([0x10, len(body)]) + body


def environment(ports: dict[str, int], folder: Path, *, descriptors: int = 10_000) -> dict[str, str]:
    programs = Programs(redis_server=None, haproxy="haproxy", descriptors=descriptors)
    processes = describe(LaptopSettings(), folder=folder, ports=ports, programs=programs, environment=os.environ)
    found = next(process.environment for process in processes if process.name == "haproxy")
    put_maps(folder)
    # The nodes of these tests know no PROXY protocol; those of tests/haproxy do.
    return {**found, "BROKER_SEND_PROXY": ""}


@dataclass(frozen=True, slots=True)
class Proxy:
    nodes: tuple[MqttServer, MqttServer]
    health: tuple[WebServer, WebServer]
    api: WebServer
    ports: dict[str, int]

    def talk(self, *parts: bytes) -> bytes:
        """What comes back on a new connection, until four bytes are there or it is closed."""
        with socket.create_connection(("127.0.0.1", self.ports["mqtt_port"]), timeout=15) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                client.sendall(part)
            answer = b""
            while len(answer) < 4 and (more := client.recv(4)):
                answer += more
            return answer

    def get(self, port: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=15)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def statistics(self) -> dict[str, str]:
        """Whether each server of the backends brokers and api is UP or DOWN."""
        _, body = self.get("haproxy_ops_port", "/stats;csv")
        head, *rows = [line.split(",") for line in body.decode().splitlines()]
        # The nodes are there twice: the backend websockets has them under the same names.
        return {row[1]: row[head.index("status")] for row in rows if row[0] in {"brokers", "api"}}


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    program = haproxy_executable()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nodes = stack.enter_context(mqtt_server()), stack.enter_context(mqtt_server())
        health = stack.enter_context(web_server()), stack.enter_context(web_server())
        api = stack.enter_context(web_server())
        ports = {
            "mqtt_port": free_port(),
            "http_port": free_port(),
            "haproxy_ops_port": free_port(),
            "broker_1_port": nodes[0].port,
            "broker_2_port": nodes[1].port,
            # Nobody connects to these here; that nodes speak WebSocket is for their own tests.
            "broker_1_ws_port": free_port(),
            "broker_2_ws_port": free_port(),
            "broker_1_ops_port": health[0].server_port,
            "broker_2_ops_port": health[1].server_port,
            "decoder_ops_port": free_port(),
            "api_ops_port": free_port(),
            "api_port": api.server_port,
        }
        process = stack.enter_context(
            subprocess.Popen([program, "-db", "-f", str(HAPROXY_CONFIG)], env=environment(ports, folder))
        )
        stack.callback(process.terminate)
        running = Proxy(nodes, health, api, ports)
        wait_until(lambda: _all_up(running))
        yield running


def _all_up(proxy: Proxy) -> bool:
    try:
        statistics = proxy.statistics()
    except OSError:
        return False
    return all(statistics[name] == "UP" for name in ("broker-1", "broker-2", "api"))


def check(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [haproxy_executable(), "-c", "-f", str(HAPROXY_CONFIG)], env=env, capture_output=True, text=True, check=False
    )


def test_the_configuration_is_valid_as_it_is() -> None:
    checked = check({"PATH": os.environ["PATH"]})

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_configuration_is_valid_as_the_runner_uses_it(tmp_path: Path) -> None:
    ports = dict.fromkeys([*BEHIND_HAPROXY, *INTERNAL], 1)
    env = environment(ports | {"mqtt_port": 1883, "http_port": 8080, "haproxy_ops_port": 8404}, tmp_path)
    checked = check(env)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "packet",
    [
        connect("phone"),
        connect(""),
        connect("phone", protocol=b"MQIsdp", level=3),
        connect("", protocol=b"MQIsdp", level=3),
        connect("phone", level=5),
        connect("p" * 100),
    ],
    ids=["3.1.1", "3.1.1 without an id", "3.1", "3.1 without an id", "5", "long id"],
)
def test_a_connect_of_any_version_reaches_a_node(proxy: Proxy, packet: bytes) -> None:
    assert proxy.talk(packet) == CONNACK
    assert packet[2:] in [body for node in proxy.nodes for body in node.connects]


def test_a_connect_that_comes_in_pieces_reaches_a_node_as_a_whole(proxy: Proxy) -> None:
    packet = connect("in-pieces")

    assert proxy.talk(*(packet[index : index + 1] for index in range(len(packet)))) == CONNACK
    assert packet[2:] in [body for node in proxy.nodes for body in node.connects]


@pytest.mark.parametrize(
    "junk",
    [b"GET / HTTP/1.1\r\n\r\n", CONNACK, DISCONNECT, b"\x30\x07\x00\x05topic", b"\x10\xff\xff\xff\xff", b"\x00" * 100],
)
def test_what_is_no_connect_is_cut_off_and_no_node_sees_it(proxy: Proxy, junk: bytes) -> None:
    before = [len(node.connects) for node in proxy.nodes]
    try:
        answer = proxy.talk(junk)
    except ConnectionResetError:
        answer = b""

    assert answer == b""
    assert [len(node.connects) for node in proxy.nodes] == before


def nodes_of(proxy: Proxy, client_id: str, times: int) -> list[int]:
    """How often each node saw a client that connects again and again."""
    packet = connect(client_id)
    before = [node.connects.count(packet[2:]) for node in proxy.nodes]
    for _ in range(times):
        assert proxy.talk(packet) == CONNACK
    return sorted(node.connects.count(packet[2:]) - old for node, old in zip(proxy.nodes, before, strict=True))


def test_a_client_comes_back_to_its_node(proxy: Proxy) -> None:
    for number in range(6):
        assert nodes_of(proxy, f"car-{number}", 4) == [0, 4]


def test_clients_without_an_id_go_to_both_nodes(proxy: Proxy) -> None:
    assert min(nodes_of(proxy, "", 10)) > 0


def test_a_node_that_is_not_ready_gets_no_clients_until_it_is(proxy: Proxy) -> None:
    proxy.health[0].status = 503
    wait_until(lambda: proxy.statistics()["broker-1"] == "DOWN")
    before = len(proxy.nodes[0].connects)
    for number in range(6):
        assert proxy.talk(connect(f"phone-{number}")) == CONNACK
    assert len(proxy.nodes[0].connects) == before

    proxy.health[0].status = 200
    wait_until(lambda: proxy.statistics()["broker-1"] == "UP")


def test_where_no_node_is_ready_haproxy_is_not_ready_either(proxy: Proxy) -> None:
    for health in proxy.health:
        health.status = 503
    wait_until(lambda: proxy.get("haproxy_ops_port", "/readyz")[0].status == 503)
    assert proxy.get("haproxy_ops_port", "/healthz")[0].status == 200

    for health in proxy.health:
        health.status = 200
    wait_until(lambda: proxy.get("haproxy_ops_port", "/readyz")[0].status == 200)


def test_the_api_is_told_who_asks_whatever_the_client_claims(proxy: Proxy) -> None:
    response, _ = proxy.get("http_port", "/v1/zones", **{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})
    headers = next(headers for path, headers in proxy.api.asked if path == "/v1/zones")

    assert response.status == 200
    assert headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert headers.get_all("X-Forwarded-Proto") == ["http"]
    assert headers["X-Forwarded-Host"] == f"127.0.0.1:{proxy.ports['http_port']}"


def test_an_api_that_is_away_is_told_as_the_api_would(proxy: Proxy) -> None:
    proxy.api.status = 500
    wait_until(lambda: proxy.statistics()["api"] == "DOWN")
    response, body = proxy.get("http_port", "/v1/zones")
    proxy.api.status = 200

    assert response.status == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["status"] == 503
    wait_until(lambda: proxy.statistics()["api"] == "UP")


def test_operators_find_metrics_and_nothing_else(proxy: Proxy) -> None:
    assert b"haproxy_server_status" in proxy.get("haproxy_ops_port", "/metrics")[1]
    assert proxy.get("haproxy_ops_port", "/other")[0].status == 404


def test_haproxy_starts_with_few_descriptors(tmp_path: Path) -> None:
    ports = {name: free_port() for name in (*PUBLIC, *INTERNAL, *BEHIND_HAPROXY)}
    env = environment(ports, tmp_path, descriptors=256)
    command = f"ulimit -n 256; exec {haproxy_executable()} -db -f {HAPROXY_CONFIG}"
    with subprocess.Popen(["sh", "-c", command], env=env, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(ports["mqtt_port"]))
            assert process.poll() is None
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_run_has_maps_of_its_own_and_keeps_those_that_were_written(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    put_maps(folder)
    (folder / "routes" / "apps.map").write_text("update-schuman 1\n")
    (folder / "routes" / "shares.map").unlink()
    put_maps(folder)

    assert (folder / "routes" / "apps.map").read_text() == "update-schuman 1\n"
    assert (folder / "routes" / "shares.map").exists()
    ports = {name: free_port() for name in (*PUBLIC, *INTERNAL, *BEHIND_HAPROXY)}
    assert check(environment(ports, folder)).returncode == 0
