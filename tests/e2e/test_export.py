"""`make run EXPORT=parquet`: what a bus sends is in the lake as it is in the documents, and an erasure reaches it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from lake.layout import POSITIONS
from lake.reading import read_table
from lake.settings import LakeSettings
from lake.store import open_lake
from tests.e2e.system import BUS, System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LIMIT_SECONDS = 120.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(tmp_path_factory.mktemp("export"), EXPORT="parquet", LAKE_EVERY="1")
    try:
        yield running
    finally:
        running.stop()


def in_lake(system: System) -> set[str]:
    lake = open_lake(LakeSettings(), system.data_dir)
    files = [stored.path for stored in lake.list(POSITIONS)]
    return {each for path in files for each in read_table(lake, path)["_id"].to_pylist()}


def documents(system: System) -> set[str]:
    with closing(sqlite3.connect(system.data_dir / "documents.sqlite3")) as file:
        return {row[0] for row in file.execute("SELECT id FROM positions")}


def test_the_lake_has_what_the_documents_are_and_an_erasure_takes_it_away(system: System) -> None:
    replayed = system.run("simulator", "replay", str(BUS), "--device", "bus-304")
    assert replayed.returncode == 0, replayed.stderr
    system.wait_until_done(LIMIT_SECONDS)
    kept = documents(system)
    assert len(kept) == 80
    wait_for(lambda: in_lake(system) == kept, "the lake has all documents", LIMIT_SECONDS)
    assert "not started again" not in system.text
    key = (system.data_dir / "demo-api-key").read_text().strip()

    def erased() -> httpx.Response | None:
        # What takes longer than a request may is done by the next one.
        answer = httpx.delete(
            f"{system.url}/v1/devices/bus-304/positions",
            params={"kind": "car"},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        return answer if answer.status_code != 503 else None

    answer = wait_for(erased, "the device is erased", LIMIT_SECONDS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lake"] >= len(kept)
    assert documents(system) == set()
    assert in_lake(system) == set()
