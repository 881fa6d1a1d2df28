"""The smoke test against the whole system: what works, and each way in which it can be broken."""

import csv
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.kinds import Role
from tests.deploy.tls_front import certificate, tls_front
from tests.e2e.system import System, start
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that lets in users alone."""
    running = start(tmp_path_factory.mktemp("smoke"), MQTT_ALLOW_ANONYMOUS="false")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def password(system: System, role: Role) -> str:
    with (system.data_dir / "demo-users.csv").open() as file:
        return next(row[2] for row in csv.reader(file) if row[1] == role.name)


def smoke(
    system: System,
    *options: str,
    role: Role = CAR_ROLE,
    mqtt: str = "",
    api: str = "",
    known: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """One run, as the demo user of a role; `known` is its password, by default the right one."""
    return system.run(
        "deploy.smoke",
        *("--mqtt", mqtt or f"mqtt://127.0.0.1:{system.mqtt_port}", "--api", api or system.url),
        *("--username", f"demo-{role}", *options),
        MQTT_PASSWORD=password(system, role) if known is None else known,
    )


def test_a_position_is_seen_everywhere_and_each_step_has_its_time(system: System) -> None:
    done = smoke(system)
    assert done.returncode == 0, done.stderr
    *steps, last = done.stdout.splitlines()
    assert last == "the system does its job"
    assert all(re.match(r" *\d+\.\d\d s  ", step) for step in steps)
    assert [word for word in ("acknowledged", "counted", "event has told", "history has") if word in done.stdout] == [
        "acknowledged",
        "counted",
        "event has told",
        "history has",
    ]


def test_where_counts_are_protected_it_looks_for_no_single_position(tmp_path: Path) -> None:
    running = start(tmp_path, MQTT_ALLOW_ANONYMOUS="false", PRIVACY="protected", PRIVACY_SLOT="10s")
    try:
        done = smoke(running, "--limit", "60")
        assert done.returncode == 0, done.stderr
        told = done.stdout.splitlines()
        assert told[-1] == "the system does its job"
        assert told[-2].endswith("released counts are fresh")
        assert "acknowledged" in told[-3]
    finally:
        running.stop()


def test_it_can_be_run_again_at_once_and_leaves_one_device(system: System) -> None:
    for _ in range(2):
        done = smoke(system)
        assert done.returncode == 0, done.stderr
    assert system.get("/v1/zones/campus/occupancy").json()["car"] == 1


def test_a_phone_is_as_good(system: System) -> None:
    done = smoke(system, "--kind", "mobile", role=MOBILE_ROLE)
    assert done.returncode == 0, done.stderr


def test_a_gateway_may_name_the_device(system: System) -> None:
    done = smoke(system, "--device", "probe-7", role=Role.GATEWAY)
    assert done.returncode == 0, done.stderr
    assert "device probe-7" in done.stdout


def test_a_password_can_be_in_a_file(system: System, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(password(system, CAR_ROLE) + "\n")
    done = smoke(system, "--password-file", str(file), known="")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("over", ["mqtts", "wss"])
def test_it_speaks_tls_to_those_whom_an_authority_vouches_for(system: System, pem: Path, over: str) -> None:
    http = int(system.environment["HTTP_PORT"])
    with tls_front(pem, port=system.mqtt_port) as mqtts, tls_front(pem, port=http) as https:
        mqtt = f"mqtts://127.0.0.1:{mqtts}" if over == "mqtts" else f"wss://127.0.0.1:{https}/mqtt"
        done = smoke(system, "--ca", str(pem), mqtt=mqtt, api=f"https://127.0.0.1:{https}")
        assert done.returncode == 0, done.stderr
        for untrusted in (smoke(system, mqtt=mqtt), smoke(system, api=f"https://127.0.0.1:{https}")):
            assert untrusted.returncode == 1
            assert "certificate is not trusted (self-signed certificate)" in untrusted.stderr


@pytest.mark.parametrize(
    ("options", "role", "known", "said"),
    [
        ((), CAR_ROLE, "wrong", "the broker refused the password"),
        (("--kind", "mobile"), CAR_ROLE, None, "may this user publish as a mobile"),
        (("--device", "another"), CAR_ROLE, None, "as device another?"),
    ],
)
def test_who_may_not_is_told_what_he_may_not(
    system: System, options: tuple[str, ...], role: Role, known: str | None, said: str
) -> None:
    done = smoke(system, "--limit", "2", *options, role=role, known=known)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def below(pid: int, command: str) -> int:
    """The process with `command` among the descendants of another."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True, timeout=20)
    rows = [(int(row[0]), int(row[1]), row[2]) for row in (line.split(None, 2) for line in listing.stdout.splitlines())]
    family = {pid}
    while more := {child for child, parent, _ in rows if parent in family} - family:
        family |= more
    [found] = [child for child, _, what in rows if child in family and command in what and " -c " not in what]
    return found


def test_a_decoder_that_stands_still_is_found(system: System) -> None:
    decoder = below(system.process.pid, "-m decoder")
    os.kill(decoder, signal.SIGSTOP)
    try:
        done = smoke(system, "--limit", "3")
    finally:
        os.kill(decoder, signal.SIGCONT)
    assert done.returncode == 1
    assert re.search(r"The decoder is \d+ s behind: does it run", done.stderr), done.stderr
    system.wait_until_done()
