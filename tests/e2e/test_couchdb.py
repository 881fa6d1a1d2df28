"""The main job with CouchDB for the documents: its double, or the server that CLOUDANT_URL names."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from ibmcloudant.cloudant_v1 import CloudantV1

from tests.conftest import missing
from tests.couchdb.double import CouchDouble, is_there
from tests.e2e.system import BUS, System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
DAY = {"start": "2019-02-18T00:00:00Z", "end": "2019-02-19T00:00:00Z"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that was started before its document store was there, and in which the bus has been replayed."""
    given = {name: value for name, value in os.environ.items() if name.startswith("CLOUDANT_")}
    double = CouchDouble()
    if not given and not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with ExitStack() as resources:
        if not given:
            # Its port is taken at the first start; only then is there an address.
            resources.enter_context(double)
            double.kill()
        name = f"e2e-{uuid.uuid4().hex}"
        if given:
            resources.callback(drop, name)
        running = start(
            tmp_path_factory.mktemp("couchdb"),
            until="API key of an administrator, made now",
            DOCUMENT_STORE="cloudant",
            CLOUDANT_DATABASE=name,
            **(given or double.environment),
        )
        resources.callback(running.stop)
        replayed = running.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
        assert replayed.returncode == 0, replayed.stderr
        assert "sent 2144, acknowledged 2144" in replayed.stdout
        if not given:
            double.start()
        running.wait_until_done(limit=90)
        yield running


def drop(prefix: str) -> None:
    """Remove what was made on a server that stays."""
    client: Any = CloudantV1.new_instance()
    for name in client.get_all_dbs().get_result():
        if name.startswith(f"{prefix}-"):
            client.delete_database(name)


def key_of(system: System) -> dict[str, str]:
    return {"Authorization": f"Bearer {(Path(system.data_dir) / 'demo-api-key').read_text().strip()}"}


def found(system: System, **query: str) -> list[str]:
    """The ids of the positions of that day, by REST; as a client asks, which comes again when it is told to."""

    def ask() -> httpx.Response | None:
        answer = httpx.get(
            f"{system.url}/v1/positions", params={**DAY, "limit": "100", **query}, headers=key_of(system)
        )
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    answer = wait_for(ask, "an answer")
    assert answer.status_code == httpx.codes.OK, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


def test_80_of_2144_fixes_are_documents_though_the_store_was_not_there_when_they_came(system: System) -> None:
    assert system.run("documents", "count").stdout.strip() == "80"
    assert len(system.run("documents", "export", "-").stdout.splitlines()) == 80


def test_they_are_found_by_zone_by_device_and_by_place(system: System) -> None:
    everywhere = found(system, zone="campus")
    assert len(everywhere) == 80
    assert found(system, bbox="-8.6,52.6,-8.5,52.7") == everywhere
    assert set(found(system, zone="car-park-west")) < set(everywhere)
    assert found(system, zone="kemmy") == []


def test_a_replay_changes_nothing(system: System) -> None:
    before = found(system, zone="campus")
    assert system.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max").returncode == 0
    system.wait_until_done()

    assert system.run("documents", "count").stdout.strip() == "80"
    assert found(system, zone="campus") == before
