"""`docker compose up` with nothing configured."""

import os
import socket
import subprocess

import httpx
import pytest

from core.kinds import DEFAULT_KINDS, Role
from tests.containers.conftest import IMAGES, Figures
from tests.containers.engine import docker
from tests.containers.people import People
from tests.containers.stack import RUNNING, Stack

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400)]
MEGABYTE = 1024 * 1024
BUDGET = {"haproxy": 256, "redis": 256, "broker": 256}
"""Megabytes that each container may have; InfluxDB's 256 are in the budget, too, and it is not here."""
INFLUXDB = 256
BUDGET_SUM = 1280
ROOT = {"engine", "registry"}
"""The gates before the socket of Docker, which is root's; without capabilities root can do nothing else."""
INSIDE = {"redis": 6379, "couchdb": 5984, "broker": 1883, "api": 8081, "decoder": 9100}
_KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        print("open", place)
    except OSError:
        pass
"""


def test_everything_is_well_after_one_command(stack: Stack, figures: Figures) -> None:
    assert stack.unwell() == []
    # Under a minute where nothing else runs; what else does decides about it, so it is told and not asserted.
    figures.say(f"from nothing to all healthy: {stack.first_up_seconds:.1f} s, load {os.getloadavg()[0]:.0f}")
    assert len(stack.containers("broker")) == 2


def test_the_log_says_where_everything_is_and_in_which_file_who_may_come_in(stack: Stack, people: People) -> None:
    log = stack.first_welcome
    assert f"http://localhost:{stack.ports['HTTP_PORT']}/" in log
    assert f"mqtts://localhost:{stack.ports['MQTTS_PORT']}" in log
    for user in people.users.values():
        assert user.password not in log
    assert people.api_key not in log
    assert str(stack.secrets / "people") in log
    assert set(people.users) == set(DEFAULT_KINDS.roles) - {Role.ANONYMOUS}


def test_no_log_tells_a_secret(stack: Stack, people: People) -> None:
    log = stack.logs(*RUNNING, "setup", "users", "api-key") + stack.first_welcome
    secrets = [people.api_key, *(user.password for user in people.users.values())]
    assert not [secret for secret in secrets if secret in log]
    # A stack trace at a start is nothing that people can read.
    assert "Traceback" not in log


def test_no_secret_is_in_the_environment_or_the_command_of_a_container(stack: Stack, people: People) -> None:
    values = stack.secret(".", "values.json")
    secrets = [people.api_key, *(part for part in values.split('"') if len(part) >= 16 and "_" not in part[:8])]
    assert len(secrets) > 8
    for container in stack.containers():
        shown = str(container.about)
        assert not [secret for secret in secrets if secret in shown], container.service


def test_haproxy_alone_has_ports_of_this_machine_and_only_those_for_itself(stack: Stack) -> None:
    for container in stack.containers():
        published = {
            (binding["HostIp"], int(binding["HostPort"]))
            for bindings in (container.about["HostConfig"]["PortBindings"] or {}).values()
            for binding in bindings
        }
        expected = {("127.0.0.1", port) for port in stack.ports.values()} if container.service == "haproxy" else set()
        assert published == expected, container.service


def test_what_is_behind_haproxy_cannot_be_reached_from_its_outer_network(stack: Stack) -> None:
    addresses = [
        f"{network['IPAddress']}:{INSIDE[container.service]}"
        for container in stack.containers()
        if container.service in INSIDE
        for network in container.about["NetworkSettings"]["Networks"].values()
    ]
    haproxy = f"{stack.one('haproxy').address('edge')}:1883"
    found = docker(
        *("run", "--rm", "--network", f"{stack.name}_edge", "--entrypoint", "python"),
        f"{IMAGES['IMAGE_PREFIX']}/setup:dev",
        *("-c", _KNOCK, *addresses, *(f"{service}:{port}" for service, port in INSIDE.items()), haproxy),
    )
    assert found.split("\n")[:-1] == [f"open {haproxy}"]


def test_containers_have_no_privileges_and_cannot_change_what_they_run(stack: Stack) -> None:
    for container in stack.containers():
        host = container.about["HostConfig"]
        assert not host["Privileged"], container.service
        assert host["CapDrop"] == ["ALL"], container.service
        assert "no-new-privileges:true" in host["SecurityOpt"], container.service
        # CouchDB writes its configuration at each start; what it runs is root's, and it is not.
        assert host["ReadonlyRootfs"] == (container.service != "couchdb"), container.service
        assert host["PidsLimit"], container.service
        if container.service in RUNNING:
            assert not host["CapAdd"], container.service
            is_root = container.about["Config"]["User"].split(":")[0] in ("", "0", "root")
            assert is_root == (container.service in ROOT), container.service
        written = subprocess.run(
            ["docker", "exec", container.id, "sh", "-c", "echo >/usr/changed"], capture_output=True, check=False
        )
        assert written.returncode != 0, container.service


def test_memory_is_limited_as_in_the_budget(stack: Stack) -> None:
    limits = dict.fromkeys(BUDGET, 0)
    for container in stack.containers():
        if container.service in RUNNING:
            limit = container.about["HostConfig"]["Memory"] // MEGABYTE
            assert limit, container.service
            if container.service in BUDGET:
                assert limit <= BUDGET[container.service], container.service
                limits[container.service] += limit
    assert sum(limits.values()) + INFLUXDB <= BUDGET_SUM


def test_plain_and_encrypted_http_lead_to_the_same_api(stack: Stack, people: People) -> None:
    plain = httpx.get(f"{stack.url}/v1/zones")
    encrypted = httpx.get(f"https://localhost:{stack.ports['HTTPS_PORT']}/v1/zones", verify=people.tls())
    assert plain.status_code == encrypted.status_code == httpx.codes.OK
    assert plain.json() == encrypted.json()


def test_who_does_not_know_our_authority_does_not_trust_the_certificate(stack: Stack) -> None:
    with pytest.raises(httpx.ConnectError, match=r"self-signed|unable to get local issuer"):
        httpx.get(f"https://localhost:{stack.ports['HTTPS_PORT']}/v1/zones")


def test_what_is_no_connect_is_cut_off(stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.ports["MQTT_PORT"]), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n")
        assert connection.recv(100) == b""
