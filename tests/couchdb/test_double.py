"""What the double does that no CouchDB in CI could be made to do; and that it is one server, started and killed."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import WAIT_SECONDS, eventually, missing
from tests.couchdb.double import MAIN, PASSWORD, USER, CouchDouble, is_there

DESIGN = {"views": {"by-n": {"map": "function (doc) { emit(doc.n, null); }"}}}


@pytest.fixture
def double() -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as server:
        yield server


def client_of(double: CouchDouble) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=double.url, auth=(USER, PASSWORD), trust_env=False, timeout=WAIT_SECONDS)


async def fill(client: httpx.AsyncClient, count: int) -> None:
    (await client.put("/db")).raise_for_status()
    documents = {"docs": [{"_id": f"{number:03d}", "n": number} for number in range(count)]}
    (await client.post("/db/_bulk_docs", json=documents)).raise_for_status()


async def index_of(client: httpx.AsyncClient, design: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/db/_design/{design}/_info")).json()["view_index"]
    return found


async def test_an_index_is_built_in_the_background_and_a_question_waits_for_it(double: CouchDouble) -> None:
    double.configure("double", "index_documents_per_second", "1")
    async with client_of(double) as client:
        await fill(client, 100)
        await client.put("/db/_design/v", json=DESIGN)
        await client.post("/db/_index", json={"index": {"fields": ["n"]}, "ddoc": "m", "name": "m"})
        rows = asyncio.create_task(client.get("/db/_design/v/_view/by-n"))
        documents = asyncio.create_task(client.post("/db/_find", json={"selector": {"n": {"$gte": 0}}, "limit": 200}))

        async def asked() -> bool:
            return all([(await index_of(client, each))["waiting_clients"] == 1 for each in ("v", "m")])

        await eventually(asked)
        for each in ("v", "m"):
            index = await index_of(client, each)
            assert index["updater_running"] is True
            assert index["updates_pending"]["total"] > 50
        unbuilt = await client.get("/db/_design/v/_view/by-n?update=false")
        assert unbuilt.json()["rows"] == []
        assert not rows.done()
        assert not documents.done()

        double.configure("double", "index_documents_per_second", "100000")
        assert len((await rows).json()["rows"]) == 100
        assert len((await documents).json()["docs"]) == 100
        assert (await index_of(client, "v"))["updater_running"] is False


async def test_a_question_whose_database_goes_away_while_it_waits_is_told_so(double: CouchDouble) -> None:
    double.configure("double", "index_documents_per_second", "1")
    async with client_of(double) as client:
        await fill(client, 100)
        await client.put("/db/_design/v", json=DESIGN)
        rows = asyncio.create_task(client.get("/db/_design/v/_view/by-n"))

        async def asked() -> bool:
            return bool((await index_of(client, "v"))["waiting_clients"] == 1)

        await eventually(asked)
        await client.delete("/db")

        assert (await rows).json() == {"error": "not_found", "reason": "Database does not exist."}


async def test_a_plan_lets_so_many_requests_of_a_class_through_a_second(double: CouchDouble) -> None:
    async with client_of(double) as client:
        await fill(client, 1)
        for kind in ("reads", "writes", "queries"):
            # A class that is full lets nothing through: so much in no second needs no clock.
            double.configure("double", f"{kind}_per_second", "0")

        for kind, answer in {
            "read": await client.get("/db/000"),
            "write": await client.put("/db/x", json={}),
            "query": await client.get("/db/_all_docs"),
        }.items():
            assert answer.status_code == 429
            assert answer.json() == {
                "error": "too_many_requests",
                "reason": f"You've exceeded your current limit of 0 requests per second for {kind} class."
                " Please try later.",
                "class": kind,
                "rate": 0,
            }


async def test_each_document_of_a_request_is_one_of_the_writes_of_a_plan(double: CouchDouble) -> None:
    async with client_of(double) as client:
        await fill(client, 1)
        double.configure("double", "second_ms", "600000")
        double.configure("double", "writes_per_second", "400")
        documents = {"docs": [{"_id": f"new-{number}"} for number in range(500)]}

        served, refused = await client.post("/db/_bulk_docs", json=documents), await client.put("/db/x", json={})

        assert (served.status_code, len(served.json())) == (201, 500)
        assert refused.status_code == 429


async def test_who_gives_wrong_passwords_is_locked_out_with_the_right_one_too(double: CouchDouble) -> None:
    async with client_of(double) as client:
        for _ in range(5):
            assert (await client.get("/_all_dbs", auth=(USER, "wrong"))).status_code == 401

        locked = await client.get("/_all_dbs")

        assert locked.status_code == 403
        assert locked.json() == {
            "error": "forbidden",
            "reason": "Account is temporarily locked due to multiple authentication failures",
        }


def test_without_an_administrator_there_is_no_server(tmp_path: Path) -> None:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    done = subprocess.run(
        ["node", MAIN, "--port", "0"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_SECONDS
    )

    assert done.returncode == 1
    assert "no admin is set" in done.stderr


async def test_what_couchdb_has_and_the_double_has_not_is_never_mistaken_for_an_answer(double: CouchDouble) -> None:
    async with client_of(double) as client:
        await fill(client, 1)
        for path in ("/db/_changes", "/db/_bulk_get", "/_replicate", "/db/000?open_revs=all", "/db/_design/v/_show/x"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]) == (501, "not_in_the_double")
