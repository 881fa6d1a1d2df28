"""Servers that say what a test wants, in place of a CouchDB."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

import documents.indexes
from documents.cloudant import CloudantStore
from documents.pace import Pace
from tests.conftest import NOON

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def store_behind(handler: Handler, *, pace: Pace | None = None) -> AsyncIterator[CloudantStore]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        store = CloudantStore(url=str(server.make_url("")), database="positions", pace=pace, clock=lambda: NOON)
        yield store
        store.close()


def answering(status: int, *, headers: dict[str, str] | None = None, **body: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return handler


def rows(*answers: dict[str, Any]) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(answers, status=201)

    return handler


async def accept(request: web.Request) -> web.Response:
    body = await request.json()
    return web.json_response([{"ok": True, "id": each["_id"], "rev": "1-x"} for each in body["docs"]], status=201)


INDEXES = [
    {"ddoc": "_design/by-time", "name": "by-time", "def": {"fields": [{"properties.observed_at": "asc"}]}},
    {
        "ddoc": "_design/by-device",
        "name": "by-device",
        "def": {"fields": [{"properties.device": "asc"}, {"properties.observed_at": "asc"}]},
    },
    {
        "ddoc": "_design/by-tile",
        "name": "by-tile",
        "def": {"fields": [{"properties.tile": "asc"}, {"properties.observed_at": "asc"}]},
    },
]


def complete(request: web.Request) -> web.Response:
    """What a database that has all its indexes says of them."""
    if request.path.endswith("/_index"):
        return web.json_response({"indexes": INDEXES})
    assert request.path.endswith("/_design/by-zone")
    views = {"positions": {"map": documents.indexes._ZONE_MAP}}
    return web.json_response({"_id": "_design/by-zone", "_rev": "1-a", "views": views})


QUESTIONS: dict[str, Any] = {
    "_all_dbs": ["positions-2026-03", "positions-2026-04", "positions-other"],
    "_all_docs": {"total_rows": 0, "rows": []},
    "_find": {"docs": []},
    "positions": {"total_rows": 0, "offset": 0, "rows": []},  # the view by zone
    "_info": {"name": "x", "view_index": {"updater_running": False}},
}
"""What a server with nothing in it says."""


def of_documents(handler: Handler) -> Handler:
    """A well server but for the documents that are written: what it says of these is the handler's. It takes probes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        last = request.path.rpartition("/")[2]
        if last == "_bulk_docs":
            probe = (await request.json())["docs"][0]["_id"].startswith("probe-")
            return await (accept if probe else handler)(request)
        if last in QUESTIONS:
            return web.json_response(QUESTIONS[last])
        if request.method != "GET":
            return web.json_response({"ok": True}, status=201)
        if last in ("_index", "by-zone"):
            return complete(request)
        return web.json_response({"error": "not_found", "reason": "missing"}, status=404)

    return answer


well = of_documents(accept)
