"""Whom `python -m simulator misbehave` speaks as."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import UnavailableError
from runtime.demo_users import DemoUser, keep_demo_users
from simulator.__main__ import app
from simulator.misbehaviour.system import System


@pytest.mark.parametrize(
    ("host", "users"), [("127.0.0.1", {"gateway"}), ("localhost", {"gateway"}), ("192.0.2.7", set())]
)
def test_passwords_of_this_machine_go_to_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, users: set[str]
) -> None:
    asked: list[System] = []

    def check(system: System) -> None:
        asked.append(system)
        raise UnavailableError("enough")

    monkeypatch.setattr(System, "check", check)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    keep_demo_users(tmp_path, [DemoUser("demo-gateway", "gateway", "secret")])

    done = CliRunner().invoke(app, ["misbehave", "--host", host])

    assert (done.exit_code, done.stderr) == (1, "enough\n")
    assert [set(system.users) for system in asked] == [users]
