"""A running system whose counts are protected, with a user of Redis for each service: who is told what of positions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from core.clock import format_rfc3339, system_clock
from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
DEVICE = "van-of-a-certain-person"
PURPOSE = "a study of queues"
PLACE = (-8.5722, 52.6738)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    running = start(tmp_path / "data", PRIVACY="protected")
    yield running
    assert running.stop() == 0


def key(system: System, *arguments: str) -> dict[str, str]:
    made = system.run("api", "keys", "add", *arguments)
    assert made.returncode == 0, made.stderr
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def send(system: System, headers: dict[str, str], *times: int) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": PLACE},
            "properties": {"device_id": DEVICE, "timestamp": format_rfc3339(at)},
        }
        for at in times
    ]
    answer = httpx.post(
        f"{system.url}/v1/positions",
        params={"kind": "car"},
        json={"type": "FeatureCollection", "features": features},
        headers=headers,
    )
    assert answer.status_code == 202, answer.text


def asked(system: System, headers: dict[str, str], **query: str) -> httpx.Response:
    return httpx.get(f"{system.url}/v1/positions", params=query, headers=headers)


def audited(system: System) -> list[dict[str, Any]]:
    found = system.run("api", "audit", "--json")
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_positions_are_read_for_a_purpose_under_other_names_and_that_is_written_down(system: System) -> None:
    now = system_clock()
    send(system, key(system, "--scope", "positions:write"), now - 3000, now - 2000, now - 1000)
    exact = key(system, "--scope", "positions:exact", "--purpose", PURPOSE)
    start_of_both = format_rfc3339(now - 10_000)

    def stored() -> list[dict[str, Any]]:
        exported = system.run("documents", "export").stdout.splitlines()
        return [each for each in map(json.loads, exported) if len(exported) == 3]

    documents = wait_for(stored, "three documents", 120)

    # A key that does not say what for, also an administrator's, reads none.
    assert system.run("api", "keys", "add", "--scope", "positions:read").returncode == 2
    admin = {"Authorization": f"Bearer {(system.data_dir / 'demo-api-key').read_text().strip()}"}
    assert asked(system, admin).json()["type"] == "/docs#purpose-needed"

    told = asked(system, exact, start=start_of_both).json()["features"]
    assert len(told) == 3
    names = {each["properties"]["device"] for each in told}
    assert not names & {each["properties"]["device"] for each in documents}
    assert not {each["id"] for each in told} & {each.get("_id", each.get("id")) for each in documents}
    of_one = asked(system, exact, device=told[0]["properties"]["device"]).json()["features"]
    assert [each["id"] for each in of_one] == [
        each["id"] for each in told if each["properties"]["device"] == told[0]["properties"]["device"]
    ]

    # Who may read cells is told nothing of so few.
    cells = asked(system, key(system, "--scope", "positions:read", "--purpose", "a map")).json()
    assert (cells["features"], cells["protected"]) == ([], True)

    erased = httpx.delete(f"{system.url}/v1/devices/{quote(DEVICE)}/positions", headers=admin, timeout=120)
    assert erased.status_code == 200, erased.text
    assert erased.json()["documents"] == 3
    assert asked(system, exact, start=start_of_both).json()["features"] == []

    rows = audited(system)
    assert [(each["purpose"], each["shown"], each["given"]) for each in rows] == [
        (PURPOSE, "exact", 3),
        (PURPOSE, "exact", len(of_one)),
        ("a map", "cells", 0),
        ("", "nothing", 0),
        (PURPOSE, "exact", 0),
    ]
    assert rows[0]["asked"].startswith(f"start={start_of_both}&end=")
    assert DEVICE not in json.dumps(rows)
    # Each request has the id that its answer had, and that HAProxy's log has.
    assert len({each["request"] for each in rows}) == 5
    with system.redis() as client:
        assert client.acl_log() == []
