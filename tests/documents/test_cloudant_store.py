"""What the Cloudant store makes of answers that a well server does not give."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import documents.cloudant
import documents.couch
import documents.indexes
from core.errors import BadSettingsError, UnavailableError
from documents.cloudant import CloudantStore
from documents.document import document_id
from documents.pace import Pace
from documents.query import PositionQuery
from documents.store import RejectedDocumentError
from documents.writing import REFUSED
from tests.conftest import NOON
from tests.documents.positions import position
from tests.documents.servers import accept, answering, complete, of_documents, rows, store_behind, well

DATE = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:09 GMT", "Date": DATE}, 9.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:59:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "9" * 400}, 3600.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
async def test_too_many_requests_is_unavailable_for_as_long_as_the_server_says(
    headers: dict[str, str], retry_after: float | None
) -> None:
    async with store_behind(answering(429, headers=headers, error="too_many_requests", reason="slow down")) as store:
        with pytest.raises(UnavailableError) as error:
            await store.put([position()])

    assert error.value.retry_after == retry_after


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_in_trouble_is_unavailable(status: int) -> None:
    async with store_behind(answering(status, headers={"Retry-After": "7"}, error="x")) as store:
        for attempt in (store.setup(), store.put([position()]), store.get(document_id(position())), store.count()):
            with pytest.raises(UnavailableError, match=f"answers {status}") as error:
                await attempt
            assert error.value.retry_after == 7.0


async def test_an_answer_that_breaks_off_is_unavailable() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()

    async with store_behind(hang_up) as store:
        with pytest.raises(UnavailableError, match="does not answer"):
            await store.put([position()])


async def test_an_answer_that_never_comes_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.couch, "READ_SECONDS", 0.05)
    over = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with store_behind(wait) as store:
        with pytest.raises(UnavailableError, match="Timeout"):
            await store.put([position()])
        over.set()


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
async def test_an_answer_that_is_not_json_is_unavailable(content_type: str) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(text="<h1>Log in to the campus network", content_type=content_type)

    async with store_behind(proxy) as store:
        with pytest.raises(UnavailableError, match="positions-2026-03 on 127"):
            await store.put([position()])


async def test_a_database_that_is_gone_is_unavailable_and_says_what_makes_it() -> None:
    async with store_behind(answering(404, error="not_found", reason="Database does not exist.")) as store:
        with pytest.raises(UnavailableError, match="python -m documents setup"):
            await store.put([position()])


async def test_each_row_is_read() -> None:
    one, two, three = (document_id(position(number)) for number in (1, 2, 3))
    answers = rows({"id": one, "ok": True}, {"id": two, "error": "conflict"}, {"id": three, "ok": True})

    async with store_behind(of_documents(answers)) as store:
        assert await store.put([position(1), position(2), position(3)]) == 2


async def test_rows_that_are_refused_are_named_and_all_the_others_are_stored() -> None:
    refused = {document_id(position(number)) for number in (2, 700)}
    stored = []

    async def fussy(request: web.Request) -> web.Response:
        answers: list[dict[str, str]] = []
        for each in (await request.json())["docs"]:
            if each["_id"] in refused:
                answers.append({"id": each["_id"], "error": "forbidden", "reason": "not on a Sunday"})
            else:
                stored.append(each["_id"])
                answers.append({"id": each["_id"], "ok": "true"})
        return web.json_response(answers, status=201)

    async with store_behind(of_documents(fussy)) as store:
        with pytest.raises(
            RejectedDocumentError, match=f"{document_id(position(2))}: forbidden: not on a Sunday"
        ) as error:
            await store.put([position(number) for number in range(1200)])

    assert error.value.reasons == dict.fromkeys(refused, "forbidden: not on a Sunday")
    assert len(stored) == 1198


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"error": None},
        {"error": "error", "reason": "internal_server_error"},
        {"error": "timeout"},
        {"error": "service unavailable"},
        {"error": "nodedown"},
        {"error": "write_quorum_not_met"},
        {"error": "too_many_requests"},
        {"error": "what a later version calls it"},
    ],
)
async def test_a_row_that_is_missing_or_failed_for_now_is_unavailable(row: dict[str, Any]) -> None:
    one, two = (document_id(position(number)) for number in (1, 2))
    answers = rows({"id": one, "ok": True}, *([{"id": two} | row] if row else []))

    async with store_behind(of_documents(answers)) as store:
        with pytest.raises(UnavailableError, match=f"did not store all of a batch: {row.get('error', 'no answer')}"):
            await store.put([position(1), position(2)])


@pytest.mark.parametrize("error", sorted(REFUSED))
async def test_a_row_that_says_never_is_no_reason_to_try_again(error: str) -> None:
    (name,) = (document_id(position()),)

    async with store_behind(of_documents(rows({"id": name, "error": error, "reason": "because"}))) as store:
        with pytest.raises(RejectedDocumentError) as rejected:
            await store.put([position()])

    assert rejected.value.reasons == {name: f"{error}: because"}


@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_that_is_refused_for_one_document_names_it_and_stores_the_others(status: int) -> None:
    refused = {document_id(position(number)) for number in (3, 40)}
    stored: list[str] = []

    async def strict(request: web.Request) -> web.Response:
        ids = [each["_id"] for each in (await request.json())["docs"]]
        if refused & set(ids):
            return web.json_response({"error": "document_too_large", "reason": "so it is"}, status=status)
        stored.extend(ids)
        return web.json_response([{"id": name, "ok": True} for name in ids], status=201)

    async with store_behind(of_documents(strict)) as store:
        with pytest.raises(RejectedDocumentError, match="so it is") as rejected:
            await store.put([position(number) for number in range(50)])

    assert rejected.value.reasons.keys() == refused
    assert sorted(stored) == sorted({document_id(position(number)) for number in range(50)} - refused)


async def test_a_proxy_that_takes_small_requests_only_is_sent_small_ones() -> None:
    stored: set[str] = set()

    async def small(request: web.Request) -> web.Response:
        body = await request.json()
        if len(await request.read()) > 10_000:
            return web.Response(status=413, text="<html>413 Request Entity Too Large")
        stored.update(each["_id"] for each in body["docs"])
        return await accept(request)

    async with store_behind(of_documents(small)) as store:
        assert await store.put([position(number) for number in range(300)]) == 300

    assert len(stored) == 300


async def test_a_request_has_500_documents_and_five_megabytes_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[int, list[str]]] = []

    async def record(request: web.Request) -> web.Response:
        body = await request.json()
        requests.append((len(await request.read()), [each["_id"] for each in body["docs"]]))
        return await accept(request)

    positions = [position(number) for number in range(1003)]
    async with store_behind(of_documents(record)) as store:
        assert await store.put([*positions, *positions]) == 1003
        assert sorted(len(ids) for _, ids in requests) == [3, 500, 500]

        requests.clear()
        monkeypatch.setattr(documents.cloudant, "BATCH_BYTES", 2000)
        await store.put(positions[:20])

    assert len(requests) > 1
    assert all(size <= 2000 + len('{"docs":[]}') for size, _ in requests)
    assert sorted(each for _, ids in requests for each in ids) == [document_id(each) for each in positions[:20]]


async def test_at_most_ten_requests_are_under_way() -> None:
    arrived = asyncio.Semaphore(0)
    over = asyncio.Event()

    async def hold(_: web.Request) -> web.Response:
        arrived.release()
        await over.wait()
        return web.json_response({"error": "not_found", "reason": "missing"}, status=404)

    async with store_behind(hold) as store, asyncio.TaskGroup() as group:
        for number in range(15):
            group.create_task(store.get(document_id(position(number))))
        for _ in range(10):
            await arrived.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(arrived.acquire(), 0.2)
        over.set()


async def test_databases_that_exist_are_not_made_again() -> None:
    methods: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        methods.append(request.method)
        if request.path == "/_all_dbs":
            return web.json_response(["positions-2026-03", "positions-2026-04"])
        return complete(request)

    async with store_behind(handler) as store:
        await store.setup()

    assert set(methods) == {"GET"}


async def test_a_database_that_somebody_else_makes_meanwhile_is_set_up() -> None:
    made: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/_all_dbs":
            return web.json_response([])
        if request.method == "GET":
            if request.path.endswith("/_index"):
                return web.json_response({"indexes": []})
            return web.json_response({"error": "not_found", "reason": "missing"}, status=404)
        made.append(request.path)
        if request.method == "POST":
            return web.json_response({"result": "exists"})
        status, error = (409, "conflict") if "_design" in request.path else (412, "file_exists")
        return web.json_response({"error": error, "reason": "x"}, status=status)

    async with store_behind(handler) as store:
        await store.setup()

    assert made == [
        f"/positions-{month}{path}"
        for month in ("2026-03", "2026-04")
        for path in ("", "/_index", "/_index", "/_index", "/_design/by-zone")
    ]


async def test_other_databases_are_left_alone() -> None:
    asked: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/_all_dbs":
            return web.json_response(
                ["_users", "positions", "positions-2025-01", "positions-2025-13", "positions-x", "positionsx-2025-01"]
            )
        asked.append((request.method, request.path))
        return web.json_response({"ok": True, "total_rows": 0, "rows": []})

    async with store_behind(handler) as store:
        await store.drop_before(NOON)

    assert asked == [("POST", "/positions-2025-01/_all_docs"), ("DELETE", "/positions-2025-01")]


@pytest.mark.parametrize(("status", "error"), [(402, "payment_required"), (408, "request_timeout"), (412, "nodedown")])
async def test_a_plan_that_is_full_or_a_node_that_is_down_is_waited_for(status: int, error: str) -> None:
    async with store_behind(answering(status, error=error, reason="quota")) as store:
        with pytest.raises(UnavailableError, match=f"answers {status}"):
            await store.put([position()])


async def test_a_query_by_zone_reads_a_range_of_the_view() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/_all_dbs":
            return web.json_response(["positions-2026-02", "positions-2026-03"])
        asked.append((request.path, await request.json()))
        return web.json_response({"total_rows": 0, "rows": []})

    async with store_behind(handler) as store:
        await store.find(PositionQuery(start=NOON, end=NOON + 60_000, zone="main"), limit=20)

    ((path, body),) = asked  # and nothing of another month
    assert path == "/positions-2026-03/_design/by-zone/_view/positions"
    assert body == {
        "start_key": ["main", "2026-03-01T12:01:00.000Z", ""],
        "end_key": ["main", "2026-03-01T12:00:00.000Z"],
        "descending": True,
        "include_docs": True,
        "limit": 22,
    }


async def test_after_an_error_nothing_more_is_sent() -> None:
    requests = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.json_response({"error": "x"}, status=503)

    async with store_behind(handler) as store:
        with pytest.raises(UnavailableError):
            await store.put([position(number) for number in range(20_000)])

    assert requests <= 4


class LitePlan:
    """A server that takes ten writes in any second of a clock that only waiting moves on.

    A design document, which is an index, is a write as well.
    """

    def __init__(self) -> None:
        self.databases: set[str] = set()
        self.indexes: dict[str, list[dict[str, Any]]] = {}
        self.designs: dict[str, dict[str, Any]] = {}
        self.now = 0.0
        self.writes: list[tuple[float, int]] = []
        self.taken = self.refused = 0
        self.stored: set[str] = set()

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/_all_dbs":
            return web.json_response(sorted(self.databases))
        database, _, rest = request.path.strip("/").partition("/")
        if request.method == "GET":
            if rest == "_index":
                return web.json_response({"indexes": self.indexes.get(database, [])})
            design = self.designs.get(request.path)
            return web.json_response(design or {}, status=200 if design else 404)
        if not rest:
            self.databases.add(database)
            return web.json_response({"ok": True}, status=201)
        body = await request.json()
        if rest == "_bulk_docs":
            return self._write({each["_id"] for each in body["docs"]})
        if rest == "_index":
            index = {"ddoc": f"_design/{body['ddoc']}", "name": body["name"], "def": body["index"]}
            self.indexes.setdefault(database, []).append(index)
        else:
            self.designs[request.path] = body
        refused = self._write({f"{database} {body.get('ddoc')}"}).status != HTTPStatus.CREATED
        return web.json_response({"ok": not refused}, status=429 if refused else 201)

    def _write(self, ids: set[str]) -> web.Response:
        self.now += 0.05  # on its way
        self.writes = [(at, count) for at, count in self.writes if at > self.now - 1]
        self.writes.append((self.now, len(ids)))
        if sum(count for _, count in self.writes) > 10:
            self.refused += 1
            return web.json_response({"error": "too_many_requests"}, status=429)
        self.stored |= ids
        self.taken += len(ids)
        self.now += 0.1  # on the way back
        return web.json_response([{"id": name, "ok": True} for name in ids], status=201)


async def test_a_lite_plan_of_ten_writes_a_second_works_without_an_error_only_slowly() -> None:
    plan = LitePlan()
    pace = Pace(10, now=lambda: plan.now, sleep=plan.sleep)

    async with store_behind(plan.answer, pace=pace) as store:
        # Two partitions at the same time, one of them with small batches.
        news = await asyncio.gather(
            store.put([position(number) for number in range(83)]),
            *(store.put([position(number) for number in range(start, start + 3)]) for start in range(100, 121, 3)),
        )

    assert sum(news) == 104
    assert len(plan.stored) == 104 + 4  # with the indexes
    assert plan.refused == 0
    assert 10 < plan.now < 25


async def test_a_lite_plan_is_kept_to_when_databases_and_indexes_are_made_too() -> None:
    plan = LitePlan()
    pace = Pace(10, now=lambda: plan.now, sleep=plan.sleep)

    async with store_behind(plan.answer, pace=pace) as store:
        # As the stages of several partitions begin: all at once.
        await asyncio.gather(*(store.setup() for _ in range(5)), store.put([position(each) for each in range(20)]))

    assert plan.databases == {"positions-2026-03", "positions-2026-04"}
    assert len(plan.stored) == plan.taken == 20 + 8
    assert plan.refused == 0


async def test_without_a_pace_the_same_server_refuses() -> None:
    plan = LitePlan()

    async with store_behind(plan.answer) as store:
        with pytest.raises(UnavailableError, match="429"):
            await store.put([position(number) for number in range(83)])


async def test_the_sdk_does_not_retry_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_ENABLE_RETRIES", "true")
    requests = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.json_response({"error": "x"}, status=503)

    async with store_behind(handler) as store:
        with pytest.raises(UnavailableError):
            await store.put([position()])

    assert requests == 1


async def test_a_session_that_the_server_forgot_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "COUCHDB_SESSION")
    monkeypatch.setenv("CLOUDANT_USERNAME", "archive")
    monkeypatch.setenv("CLOUDANT_PASSWORD", "a secret")
    valid = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal valid
        if request.path == "/_session":
            assert await request.json() == {"username": "archive", "password": "a secret"}
            valid += 1
            response = web.json_response({"ok": True})
            response.set_cookie("AuthSession", str(valid))
            return response
        if request.cookies.get("AuthSession") != str(valid):
            return web.json_response({"error": "unauthorized", "reason": "You are not authorized"}, status=401)
        return await well(request)

    async with store_behind(handler) as store:
        assert await store.put([position(1)]) == 1
        valid += 1  # the server starts anew, with another secret
        assert await store.put([position(2)]) == 1

    assert valid == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_login_that_is_refused_names_the_variables(status: int) -> None:
    async with store_behind(answering(status, error="unauthorized", reason="Name or password is wrong.")) as store:
        with pytest.raises(
            BadSettingsError, match=r"CLOUDANT_USERNAME and CLOUDANT_PASSWORD.*Name or password is wrong"
        ):
            await store.setup()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_login_that_worked_and_is_refused_later_is_waited_for(status: int) -> None:
    taken_away = False

    async def handler(request: web.Request) -> web.StreamResponse:
        if taken_away:
            return web.json_response({"error": "unauthorized", "reason": "The key is gone."}, status=status)
        return await well(request)

    async with store_behind(handler) as store:
        await store.put([position(1)])
        taken_away = True
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"CLOUDANT_APIKEY.*The key is gone"):
                await store.put([position(2)])
        taken_away = False
        assert await store.put([position(2)]) == 1


async def test_a_key_that_ibm_cloud_does_not_know_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "IAM")
    monkeypatch.setenv("CLOUDANT_APIKEY", "a secret")

    async def iam(request: web.Request) -> web.Response:
        assert request.path == "/identity/token"
        return web.json_response({"errorMessage": "Provided API key could not be found"}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", iam)
    async with TestServer(app) as server, TestServer(web.Application(), host="127.0.0.2") as cloudant:
        monkeypatch.setenv("CLOUDANT_AUTH_URL", str(server.make_url("")).rstrip("/"))
        store = CloudantStore(url=str(cloudant.make_url("")), database="positions")
        with pytest.raises(BadSettingsError, match=r"CLOUDANT_APIKEY.*could not be found"):
            await store.setup()
        store.close()


@pytest.mark.parametrize("url", ["", "localhost:5984", "ftp://localhost", "http://", "{https://host}"])
def test_an_address_that_cannot_work_names_its_variable(url: str) -> None:
    with pytest.raises(BadSettingsError, match="CLOUDANT_URL"):
        CloudantStore(url=url, database="positions")


def test_a_login_without_a_password_names_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "BASIC")
    monkeypatch.setenv("CLOUDANT_USERNAME", "archive")

    with pytest.raises(BadSettingsError, match="CLOUDANT_PASSWORD"):
        CloudantStore(url="http://localhost:5984", database="positions")


def test_no_login_at_all_says_which_variables_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDANT_AUTH_TYPE")
    monkeypatch.setenv("CLOUDANT_URL", "http://localhost:5984")

    with pytest.raises(BadSettingsError, match="CLOUDANT_AUTH_TYPE"):
        CloudantStore(url="http://localhost:5984", database="positions")
