import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.demo_users import DemoUser, keep_demo_users
from simulator.login import Login, logins_without_a_user
from tests.simulator.mqtt_server import MqttServer, mqtt_server
from tests.simulator.recordings import gpx, recorded, walk

DEMO = [DemoUser("demo-car", "car", "of the car"), DemoUser("demo-gateway", "gateway", "of, the gateway")]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_on_this_machine_the_demo_gateway_logs_in_and_otherwise_nobody(tmp_path: Path, host: str) -> None:
    assert logins_without_a_user(host, tmp_path) == [Login()]
    keep_demo_users(tmp_path, DEMO)
    assert logins_without_a_user(host, tmp_path) == [Login("demo-gateway", "of, the gateway"), Login()]


def test_this_machine_has_other_addresses_than_that_of_its_loopback(tmp_path: Path) -> None:
    keep_demo_users(tmp_path, DEMO)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel says from which address it would be.
            probe.connect(("198.51.100.7", 9))
        except OSError:
            pytest.skip("this machine has no address but that of its loopback")
        own = probe.getsockname()[0]
    assert logins_without_a_user(own, tmp_path) == [Login("demo-gateway", "of, the gateway"), Login()]


@pytest.mark.parametrize(
    "host",
    ["203.0.113.7", "224.0.0.1", "2001:db8::7", "mqtt.example.org", "127.0.0.1.example.org", "localhost.example.org"],
)
def test_no_other_machine_is_told_the_password_of_a_demo_user(tmp_path: Path, host: str) -> None:
    keep_demo_users(tmp_path, DEMO)
    assert logins_without_a_user(host, tmp_path) == [Login()]


def test_a_login_does_not_show_its_password() -> None:
    assert "secret" not in repr(Login("car-7", "secret"))


def replayed(
    server: MqttServer, data_dir: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    track = recorded(data_dir, gpx(walk(3)))
    return subprocess.run(
        [sys.executable, "-m", "simulator", "replay", str(track), *arguments],
        env={**os.environ, "MQTT_PORT": str(server.port), "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_replay_logs_in_as_the_demo_gateway(tmp_path: Path) -> None:
    keep_demo_users(tmp_path, DEMO)
    with mqtt_server() as server:
        done = replayed(server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [b"demo-gateway" in body and b"of, the gateway" in body for body in server.connects] == [True]
    assert len(server.received) == 3


def test_a_replay_goes_without_a_user_where_the_demo_gateway_is_one_of_another_run(tmp_path: Path) -> None:
    keep_demo_users(tmp_path, DEMO)
    with mqtt_server() as server:
        server.connack_to_users = 4
        done = replayed(server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sent 3, acknowledged 3" in done.stdout
    assert [b"demo-gateway" in body for body in server.connects] == [True, False]


def test_where_nobody_is_let_in_the_error_says_how_to_name_a_user(tmp_path: Path) -> None:
    keep_demo_users(tmp_path, DEMO)
    with mqtt_server(connack=5) as server:
        done = replayed(server, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not authorized. MQTT_USERNAME and MQTT_PASSWORD" in done.stderr


def test_a_user_who_is_named_is_tried_alone(tmp_path: Path) -> None:
    keep_demo_users(tmp_path, DEMO)
    with mqtt_server() as server:
        server.connack_to_users = 4
        done = replayed(server, tmp_path, "--username", "car-7", MQTT_PASSWORD="topsecret")  # noqa: S106 - a test's
    assert done.returncode == 1
    assert [b"car-7" in body and b"topsecret" in body for body in server.connects] == [True]
    assert "topsecret" not in done.stdout + done.stderr
