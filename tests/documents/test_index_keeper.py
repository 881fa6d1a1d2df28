"""Indexes that are being built: who asks hears it, and is not kept waiting."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing
from aiohttp import web

import documents.couch
import documents.index_keeper
from core.errors import UnavailableError
from documents.building import Building
from documents.cloudant import CloudantStore
from documents.query import PositionQuery
from documents.store import IndexBeingBuiltError
from tests.conftest import NOON
from tests.documents.servers import store_behind, well

ZONE = PositionQuery(start=NOON, end=NOON + 1, zone="campus")
DEVICE = PositionQuery(start=NOON, end=NOON + 1, device="0")


class Builder:
    """A server whose indexes are so many documents behind, and that answers what asks them when they no longer are."""

    def __init__(self) -> None:
        self.behind: dict[str, int] = {}
        self.runs = False
        self.asked: list[str] = []
        self.built: list[str] = []
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.split("/")
        if path[-1] == "_all_dbs":
            return web.json_response(["positions-2026-03"])
        if path[-1] == "_info":
            pending = {"minimum": self.behind.get(path[-2], 0), "preferred": 0, "total": 0}
            return web.json_response({"view_index": {"updater_running": self.runs, "updates_pending": pending}})
        if "_view" in path and (await request.json()).get("update") == "lazy":
            self.built.append(path[-1])
            return web.json_response({"rows": []})
        index = {"positions": "by-zone", "_find": "by-device"}.get(path[-1])
        if index:
            self.asked.append(index)
            if self.behind.get(index):
                await self.over.wait()
        return await well(request)


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")


@asynccontextmanager
async def building() -> AsyncIterator[tuple[Builder, CloudantStore]]:
    server = Builder()
    async with store_behind(server.answer) as store:
        try:
            yield server, store
        finally:
            server.over.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.couch, "READ_SECONDS", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_a_question_to_an_index_that_is_being_built_says_so_and_when_to_ask_again() -> None:
    async with building() as (server, store):
        server.behind = {"by-zone": 12_345}
        with pytest.raises(
            IndexBeingBuiltError, match=r"^index by-zone of positions-2026-03 is being built: 12345 d"
        ) as error:
            await store.find(ZONE, limit=1)

    assert error.value.retry_after == 5.0


@pytest.mark.usefixtures("impatient")
async def test_once_that_is_known_nobody_waits_for_the_index_until_it_is_built() -> None:
    async with building() as (server, store):
        server.behind = {"by-zone": 12_345}
        store._keeper._now = lambda: 0.0
        for _ in range(4):
            with pytest.raises(IndexBeingBuiltError):
                await store.find(ZONE, limit=1)
        assert server.asked == ["by-zone"]

        server.behind = {}
        store._keeper._now = lambda: 10.0  # it is time to look again
        assert (await store.find(ZONE, limit=1)).documents == []


@pytest.mark.usefixtures("impatient")
async def test_an_index_that_is_gone_while_it_was_being_built_is_made_by_who_asks_it() -> None:
    gone = False
    made: list[str] = []
    server = Builder()
    server.behind = {"by-zone": 12_345}

    async def handler(request: web.Request) -> web.StreamResponse:
        if gone and not made and "by-zone" in request.path:
            if request.method == "PUT":
                made.append(request.path)
                return web.json_response({"ok": True}, status=201)
            return web.json_response({"error": "not_found", "reason": "deleted"}, status=404)
        return await server.answer(request)

    async with store_behind(handler) as store:
        store._keeper._now = lambda: 0.0
        with pytest.raises(IndexBeingBuiltError):
            await store.find(ZONE, limit=1)
        gone, server.behind = True, {}
        server.over.set()
        store._keeper._now = lambda: 10.0

        assert (await store.find(ZONE, limit=1)).documents == []

    assert made == ["/positions-2026-03/_design/by-zone"]


async def test_a_store_that_is_away_is_said_once() -> None:
    async def away(_: web.Request) -> web.Response:
        return web.json_response({"error": "x"}, status=503)

    async with store_behind(away) as store:
        looks = Building(store, say=lambda _: None)
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await looks.step()

    assert [line["event"] for line in logs] == ["indexes cannot be looked at"]


async def test_what_a_server_adds_to_a_definition_is_no_other_index() -> None:
    writes: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            writes.append(request.path)
        answer = await well(request)
        if request.path.endswith("/_index"):
            assert isinstance(answer, web.Response)
            found = json.loads(str(answer.text))
            for each in found["indexes"]:
                each |= {"type": "json", "partitioned": False}
                each["def"]["partial_filter_selector"] = {}
            return web.json_response(found)
        if request.path.endswith("/by-zone"):
            assert isinstance(answer, web.Response)
            found = json.loads(str(answer.text))
            return web.json_response(found | {"autoupdate": True, "options": {}})
        return answer

    async with store_behind(handler) as store:
        await store.setup()

    assert writes == []


async def test_a_server_that_refuses_a_question_is_away_however_its_indexes_are() -> None:
    server = Builder()
    server.behind = {"by-zone": 10}

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/positions"):
            return web.json_response({"error": "nodedown", "reason": "progress not possible"}, status=503)
        return await server.answer(request)

    async with store_behind(handler) as store:
        with pytest.raises(UnavailableError, match="progress not possible") as error:
            await store.find(ZONE, limit=1)

    assert not isinstance(error.value, IndexBeingBuiltError)


async def test_a_look_has_each_index_built_that_is_behind_and_names_those_that_are_far_behind() -> None:
    async with building() as (server, store):
        server.behind = {"by-zone": 12_345, "by-tile": 10}

        assert await store.being_built() == [
            "index by-zone of positions-2026-03 is being built: 12345 documents to go",
        ]
        assert server.built == ["by-tile", "positions"]

        server.runs = True
        await store.being_built()
        assert server.built == ["by-tile", "positions"]


async def test_what_is_being_built_is_told_as_long_as_it_is_and_logged_once() -> None:
    told: list[str | None] = []
    async with building() as (server, store):
        looks = Building(store, say=told.append)
        with structlog.testing.capture_logs() as logs:
            for documents_to_go in (6000, 5500, 0):
                server.behind = {"by-device": documents_to_go}
                await looks.step()

    assert told == [
        "index by-device of positions-2026-03 is being built: 6000 documents to go",
        "index by-device of positions-2026-03 is being built: 5500 documents to go",
        None,
    ]
    assert [line["event"] for line in logs] == ["indexes are being built", "indexes are built"]


async def test_a_question_to_a_database_that_is_gone_makes_none() -> None:
    made: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/_all_dbs":
            return web.json_response(["positions-2026-03"])
        if request.method == "PUT":
            made.append(request.path)
        return web.json_response({"error": "not_found", "reason": "Database does not exist."}, status=404)

    async with store_behind(handler) as store:
        assert (await store.find(ZONE, limit=1)).documents == []
        assert (await store.find(DEVICE, limit=1)).documents == []
        assert [document async for document in store.scan(start=NOON, end=NOON + 1)] == []

    assert made == []


async def test_an_index_that_somebody_else_is_making_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.index_keeper, "MAKE_AGAIN_SECONDS", 0)
    there: list[dict[str, object]] = []
    refused = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal refused
        if not request.path.endswith("/_index"):
            return await well(request)
        if request.method == "GET":
            return web.json_response({"indexes": there})
        body = await request.json()
        index = {"ddoc": f"_design/{body['ddoc']}", "name": body["name"], "def": body["index"]}
        if body["name"] == "by-tile" and refused < 2:
            refused += 1
            if refused == 2:  # the other is done
                there.append(index)
            return web.json_response({"error": "error_saving_ddoc", "reason": "Unknown error"}, status=500)
        there.append(index)
        return web.json_response({"result": "created"})

    async with store_behind(handler) as store:
        await store.setup()

    assert refused == 2
    assert {each["name"] for each in there} == {"by-time", "by-device", "by-tile"}
