"""What the tests of the containers stand on, without a container."""

from pathlib import Path
from typing import Any

import pytest

from core.clock import system_clock
from tests.containers import engine
from tests.containers.base_images import debian_archives
from tests.containers.compose import compose_program
from tests.containers.numbered import EVERY_MS, Numbered
from tests.containers.stack import Container

TRAFFIC = Numbered(prefix="harness", day="2019-01-15", devices=4, on_campus=5)
COUNT = 200


def container(**state: Any) -> Container:
    return Container("0" * 64, "broker", 1, {"State": {"Status": "running", "Running": True, "ExitCode": 0, **state}})


def test_a_number_is_always_the_same_position() -> None:
    assert TRAFFIC.messages(COUNT) == TRAFFIC.messages(COUNT)
    assert len({payload for _, payload in TRAFFIC.messages(COUNT)}) == COUNT


def test_as_many_positions_are_on_the_campus_as_was_asked_for() -> None:
    truth = TRAFFIC.truth(range(COUNT), b"k" * 32, user="somebody", now=system_clock())
    assert truth.totals == {"messages": COUNT, "positions": COUNT // 2, "outside": COUNT // 2}
    assert len(truth.documents) == COUNT // 2
    last = TRAFFIC.start + COUNT // TRAFFIC.devices * EVERY_MS
    assert all(TRAFFIC.start - 86_400_000 < start < last for _, start, _, _ in truth.windows)


def test_without_a_number_the_oracle_comes_to_something_else() -> None:
    def windows(count: int) -> object:
        return TRAFFIC.truth(range(count), b"k" * 32, user="somebody", now=system_clock()).documents

    assert windows(COUNT) != windows(COUNT - 10)


@pytest.mark.parametrize(
    ("state", "healthy"),
    [
        ({}, True),
        ({"Health": {"Status": "healthy"}}, True),
        ({"Health": {"Status": "starting"}}, False),
        ({"Running": False, "Status": "exited"}, False),
    ],
)
def test_a_container_is_well_if_it_runs_and_its_check_says_so(state: dict[str, Any], *, healthy: bool) -> None:
    assert container(**state).healthy is healthy


def test_a_container_that_was_to_end_ended_well_with_exit_code_0_alone() -> None:
    assert container(Running=False, Status="exited").ended_well
    assert not container(Running=False, Status="exited", ExitCode=1).ended_well
    assert not container(Running=False, Status="created").ended_well
    assert not container().ended_well


def test_compose_is_the_program_itself_which_has_an_exit_code() -> None:
    assert Path(compose_program()).read_bytes()[:4] == b"\x7fELF"


def test_an_engine_that_cannot_be_started_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no dockerd"), engine.running_engine(tmp_path / "log"):
        pass


def test_an_engine_that_ends_at_once_shows_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, does in (("docker", "exit 1"), ("dockerd", "echo no room for an engine; exit 7")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(AssertionError, match=r"exit code 7:\nno room"), engine.running_engine(tmp_path / "log"):
        pass


def test_an_engine_of_ones_own_runs_meanwhile_and_ends_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    up = tmp_path / "up"
    programs = {
        "docker": f"[ -e {up} ] && echo 20.10",
        "dockerd": f"trap 'rm {up}; exit 0' TERM; : >{up}; while :; do sleep 0.05; done",
    }
    for name, does in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with engine.running_engine(tmp_path / "log") as version:
        assert version == "20.10"
        assert up.exists()
    assert not up.exists()


def test_debian_comes_from_where_this_machine_gets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = (
        "Debian|http://mirror.example/debian-security/|bookworm-security|main\n"
        "Debian|http://mirror.example/debian/|bookworm|main\n"
        "Debian|http://mirror.example/debian/|bookworm|contrib\n"
        "Debian|http://mirror.example/debian/|trixie|main\n"
        "Somebody|http://elsewhere.example/debian/|bookworm|main\n"
    )
    (tmp_path / "told").write_text(told)
    for name, does in (("apt-get", f"cat {tmp_path / 'told'}"), ("debootstrap", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [(archive.address, archive.suite) for archive in debian_archives()] == [
        ("http://mirror.example/debian/", "bookworm"),
        ("http://mirror.example/debian-security/", "bookworm-security"),
    ]
