"""The users of Redis: what is written down is what follows from `state`, and who uses what may do it."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from deploy.access import acl
from deploy.access.users import PLAIN, USERS, VERSIONS, template

ROOT = Path(__file__).resolve().parents[3]
USES = {
    "broker": {"broker", "users-command"},
    "decoder": {"decoder", "dead-letters"},
    "api": {"api", "api-open", "keys-command", "auditor"},
    "autoscaler": {"autoscaler"},
    "controller": {"controller"},
}
"""By package: the users of its service and commands."""
WORDS_ALONE = {
    # What it publishes is in the rights of `mqtt`; topics of refusals.
    "broker": {"publishing", "refusals"},
    # Settings and figures: how a device is settled, and how long a day is kept.
    "decoder": {"devices", "seen"},
    # The name of a group.
    "autoscaler": {"raw"},
}
"""Modules that a package uses without asking Redis for what is theirs."""


def imported(package: str) -> set[str]:
    """The modules of `state` that a package names."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("state."):
                found.add(str(node.module).removeprefix("state."))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_down_is_what_follows(version: str) -> None:
    assert (acl.RULES / f"{version}.acl").read_text() == template(version), "python -m deploy.access"


@pytest.mark.parametrize("package", USES)
def test_a_package_has_the_rights_of_what_it_uses_of_state(package: str) -> None:
    has_rights = {name for name in imported(package) if hasattr(importlib.import_module(f"state.{name}"), "ACCESS")}
    granted = {module for user in USES[package] for module in USERS[user]}
    assert has_rights - WORDS_ALONE.get(package, set()) <= granted


def test_no_service_is_forgotten() -> None:
    assert {user for users in USES.values() for user in users} | {"status"} == USERS.keys()
    assert not USERS.keys() & PLAIN.keys()
    assert {*USERS, *PLAIN} - {"health"} == set(acl.users())


def test_a_redis_is_given_what_it_understands() -> None:
    given = ["6.2.14", "7.0", "7.0.15", "7.2.4", "7.4", "8", "8.2.1"]
    assert [acl.version_for(each) for each in given] == ["6.2", "7.0", "7.0", "7.2", "7.2", "7.2", "7.2"]
    for wrong in ("6.0.16", "latest", ""):
        with pytest.raises(ValueError, match=r"is no version of Redis from 6\.2 on"):
            acl.version_for(wrong)
    assert "(" not in (acl.RULES / "6.2.acl").read_text()
    assert "waitaof" not in (acl.RULES / "7.0.acl").read_text()


def test_a_user_without_a_password_is_left_out_and_no_password_is_written() -> None:
    lines = acl.acl({"keda": "of-a-test"}).splitlines()
    assert [line.split()[1] for line in lines] == ["default", "health", "keda"]
    # echo -n of-a-test | sha256sum
    assert re.search(r"on #[0-9a-f]{64} resetkeys", lines[2])
    assert "of-a-test" not in "".join(lines)
