"""No answer of a server is a defect of ours: what each status means, for every kind of request."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web

import documents.index_keeper
from core.errors import BadSettingsError, UnavailableError
from documents.answers import Meaning, meaning
from documents.cloudant import CloudantStore
from documents.document import document_id
from documents.query import PositionQuery
from tests.conftest import NOON
from tests.documents.positions import position
from tests.documents.servers import Handler, answering, store_behind, well

DAY = 86_400_000
STATUSES = range(400, 600)
USUAL = [*(status.value for status in HTTPStatus if status.value in STATUSES), 499, 520, 599]
"""Those that have a name, and some that proxies have made up."""
OF_EACH_MEANING = [400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503, 599]
"""Each that has a meaning of its own, and some that have not: `test_each_status_has_one_meaning` knows of no others."""


async def _scan(store: CloudantStore, **span: int) -> list[Any]:
    return [document async for document in store.scan(**span)]


def within(**conditions: Any) -> PositionQuery:
    return PositionQuery(start=NOON - DAY, end=NOON + DAY, **conditions)


CALLS: dict[str, Callable[[CloudantStore], Awaitable[Any]]] = {
    "setup": lambda store: store.setup(),
    "being_built": lambda store: store.being_built(),
    "put": lambda store: store.put([position(number) for number in range(4)]),
    "get": lambda store: store.get(document_id(position())),
    "count": lambda store: store.count(),
    "scan": _scan,
    "scan of a range": lambda store: _scan(store, start=NOON, end=NOON + 1),
    "find by device": lambda store: store.find(within(device="0"), limit=1),
    "find by zone": lambda store: store.find(within(zone="campus"), limit=1),
    "find by box": lambda store: store.find(within(bbox=(0.0, 0.0, 0.001, 0.001)), limit=1),
    "drop": lambda store: store.drop_before(NOON + 90 * DAY),
    "erase": lambda store: store.erase("0"),
}
REQUESTS = {
    "the list of databases": ("GET", "/_all_dbs"),
    "making a database": ("PUT", "/positions-2026-04"),
    "dropping a database": ("DELETE", "/positions-2026-03"),
    "the list of indexes": ("GET", "/positions-2026-03/_index"),
    "making an index": ("POST", "/positions-2026-03/_index"),
    "reading a design": ("GET", "/positions-2026-03/_design/by-zone"),
    "making a view": ("PUT", "/positions-2026-03/_design/by-zone"),
    "how far an index is": ("GET", "/positions-2026-03/_design/by-tile/_info"),
    "building an index": ("POST", "/positions-2026-03/_design/by-tile/_view/by-tile"),
    "writing documents": ("POST", "/positions-2026-03/_bulk_docs"),
    "documents by id": ("POST", "/positions-2026-03/_all_docs"),
    "documents by a Mango index": ("POST", "/positions-2026-03/_find"),
    "documents by the view": ("POST", "/positions-2026-03/_design/by-zone/_view/positions"),
    "one document": ("GET", f"/positions-2026-03/{document_id(position())}"),
}


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_says_the_same_to_everything_is_waited_for_or_its_settings_are_named(call: str) -> None:
    status = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        return await answering(status, error="no", reason="because of that")(request)

    async with store_behind(handler) as store:
        for each in USUAL:
            status = each
            expected: type[Exception] = BadSettingsError if status in (401, 403) else UnavailableError
            if status == 404 and call in ("get", "being_built"):
                assert not await CALLS[call](store)
                continue
            with pytest.raises(expected, match="no: because of that"):
                await CALLS[call](store)


@pytest.mark.parametrize("request_", REQUESTS)
async def test_whatever_one_request_is_answered_ends_in_an_answer_or_in_waiting(
    request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents.index_keeper, "MAKE_AGAIN_SECONDS", 0)
    monkeypatch.setattr(documents.index_keeper, "MAKE_ATTEMPTS", 2)
    method, path = REQUESTS[request_]
    status, asked = 0, False

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        if (request.method, request.path) == (method, path):
            asked = True
            if status:
                return await answering(status, error="no", reason="because of that")(request)
        return await bare(request)

    async with store_behind(handler) as store:
        await store.count()  # lets us in
        for answer in OF_EACH_MEANING:
            status = answer
            for call in CALLS.values():
                with suppress(UnavailableError):
                    await call(store)
    assert asked


async def bare(request: web.Request) -> web.StreamResponse:
    """A well server without the present month, whose indexes are missing and behind: every kind of request is made."""
    if request.path == "/_all_dbs":
        return web.json_response(["positions-2026-03"])
    if request.method == "GET" and request.path.endswith("/_index"):
        return web.json_response({"indexes": []})
    if request.method == "GET" and request.path.endswith("/by-zone"):
        return web.json_response({"error": "not_found", "reason": "missing"}, status=404)
    if request.path.endswith("/_info"):
        pending = {"updates_pending": {"minimum": 7}, "updater_running": False}
        return web.json_response({"view_index": pending})
    return await well(request)


ODD = '{"rows": [5], "docs": ["x"], "indexes": [null]}'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("{}", "application/json"),
        ("[]", "application/json"),
        ("null", "application/json"),
        (ODD, "application/json"),
        ("hello", "text/plain"),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_of_another_shape_is_waited_for(call: str, body: str, content_type: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type=content_type)

    async with store_behind(handler) as store:
        if (call, body) in ANSWERED:
            await CALLS[call](store)
            return
        with pytest.raises(UnavailableError):
            await CALLS[call](store)


ANSWERED = {
    # An empty list of databases, and what follows from it.
    *((call, "[]") for call in ("count", "scan", "scan of a range", "find by device", "find by zone", "find by box")),
    *((call, "[]") for call in ("drop", "erase")),
    ("being_built", "{}"),
    ("get", "{}"),
    ("being_built", ODD),
    ("get", ODD),
}


def test_each_status_has_one_meaning() -> None:
    assert {
        status: meaning(status, "", writes=True)
        for status in STATUSES
        if meaning(status, "", writes=True) is not Meaning.WAIT
    } == {
        400: Meaning.SPLIT,
        401: Meaning.LOGIN,
        403: Meaning.LOGIN,
        404: Meaning.MISSING,
        413: Meaning.SPLIT,
        422: Meaning.SPLIT,
    }
    assert {
        status: meaning(status, "", writes=False)
        for status in STATUSES
        if meaning(status, "", writes=False) is not Meaning.WAIT
    } == {401: Meaning.LOGIN, 403: Meaning.LOGIN, 404: Meaning.MISSING}
    assert meaning(400, "no_usable_index", writes=False) is Meaning.MISSING


async def test_the_words_of_a_server_whose_disk_is_full_are_passed_on() -> None:
    full: Handler = answering(500, error="enospc", reason="no space left on device")

    async with store_behind(full) as store:
        with pytest.raises(UnavailableError, match="answers 500: enospc: no space left on device"):
            await store.put([position()])


async def test_words_in_a_message_are_one_line_and_not_a_long_one() -> None:
    async with store_behind(answering(500, error="badmatch", reason="a\x1b[31m\n" + "b" * 5000)) as store:
        with pytest.raises(UnavailableError) as error:
            await store.count()

    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


async def test_the_rows_by_which_couchdb_says_that_it_wrote_nothing_are_waited_for() -> None:
    """CouchDB 3.5.0 on a full disk: 500, and a list where every other error is an object."""

    async def full(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/_bulk_docs"):
            return await well(request)
        docs = (await request.json())["docs"]
        return web.json_response(
            [{"id": each["_id"], "error": "error", "reason": "internal_server_error"} for each in docs], status=500
        )

    async with store_behind(full) as store:
        with pytest.raises(UnavailableError, match="answers 500: error: internal_server_error"):
            await store.put([position(1), position(2)])


ERRORS = [
    "[]",
    "[1]",
    '[{"id": "a"}]',
    '[{"error": null}]',
    "null",
    "5",
    '"text"',
    "{}",
    '{"error": null}',
    '{"error": {"a": [1]}, "reason": 5}',
    '{"errors": []}',
    '{"errors": "x"}',
    '{"errors": [5]}',
    '{"trace": 1}',
    "",
    "{",
    "<html>",
]


@pytest.mark.parametrize("status", [400, 404, 413, 429, 500])
@pytest.mark.parametrize("body", [*(text.encode() for text in ERRORS), b"\xff\xfe", b'{"error": "\xff"}'])
async def test_an_error_of_any_shape_is_waited_for(body: bytes, status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    async with store_behind(handler) as store:
        for call in ("setup", "put", "count", "find by zone", "find by device"):
            with pytest.raises(UnavailableError):
                await CALLS[call](store)
