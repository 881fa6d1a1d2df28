"""A "no" for one document, and a "no" for all."""

import json

import pytest
from aiohttp import web

from core.errors import UnavailableError
from documents.document import document_id
from documents.store import RejectedDocumentError
from tests.documents.positions import position
from tests.documents.servers import Handler, accept, answering, store_behind, well


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")


async def forbids(request: web.Request) -> web.Response:
    answers = [{"id": each["_id"], "error": "forbidden", "reason": "no"} for each in (await request.json())["docs"]]
    return web.json_response(answers, status=201)


NOES: dict[str, Handler] = {
    "400": answering(400, error="bad_request", reason="no"),
    "413": answering(413, error="document_too_large", reason="no"),
    "422": answering(422, error="unprocessable", reason="no"),
    "rows": forbids,
}


class Server:
    """A well server that may say no to all documents, or to those that are named; and what it has stored."""

    def __init__(self, no: Handler) -> None:
        self.no = no
        self.to_all = False
        self.to: set[str] = set()
        self.stored: set[str] = set()
        self.requests = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/_bulk_docs"):
            return await well(request)
        self.requests += 1
        docs = (await request.json())["docs"]
        names = {each["_id"] for each in docs}
        if self.to_all or (names & self.to and self.no is not forbids):
            return await self.no(request)
        if self.no is forbids:
            rows = [
                {"id": name} | ({"error": "forbidden", "reason": "no"} if name in self.to else {"ok": True})
                for name in names
            ]
            self.stored |= names - self.to
            return web.json_response(rows, status=201)
        self.stored |= names
        return await accept(request)

    @property
    def kept(self) -> set[str]:
        return {name for name in self.stored if not name.startswith("probe-")}


@pytest.mark.parametrize("no", NOES)
async def test_a_server_that_refuses_every_document_is_waited_for_and_nothing_is_given_up(no: str) -> None:
    server = Server(NOES[no])
    positions = [position(number) for number in range(400)]

    async with store_behind(server.answer) as store:
        server.to_all = True
        with pytest.raises(UnavailableError, match=r"refuses every document: .*no"):
            await store.put(positions)
        # Not a request for each document: it is clear at once.
        assert server.requests == 2

        server.to_all = False
        assert await store.put(positions) == 400

    assert server.kept == set(map(document_id, positions))


@pytest.mark.parametrize("no", NOES)
async def test_documents_that_are_refused_alone_are_given_up_with_the_words_and_the_others_are_stored(no: str) -> None:
    server = Server(NOES[no])
    server.to = {document_id(position(number)) for number in (7, 300)}

    async with store_behind(server.answer) as store:
        with pytest.raises(RejectedDocumentError) as rejected:
            await store.put([position(number) for number in range(400)])

    assert rejected.value.reasons.keys() == server.to
    assert all(reason.endswith("no") for reason in rejected.value.reasons.values())
    assert server.kept == {document_id(position(number)) for number in range(400)} - server.to


@pytest.mark.parametrize("no", NOES)
async def test_one_document_that_is_refused_in_an_empty_store_holds_nobody_up(no: str) -> None:
    server = Server(NOES[no])
    server.to = {document_id(position())}

    async with store_behind(server.answer) as store:
        with pytest.raises(RejectedDocumentError):
            await store.put([position()])


@pytest.mark.parametrize("no", NOES)
async def test_a_server_that_is_set_right_while_it_is_asked_has_everything(no: str) -> None:
    """Wrongly set up for one request: the probe is taken already, and so are the documents after it."""
    server = Server(NOES[no])

    async def handler(request: web.Request) -> web.StreamResponse:
        server.to_all = request.path.endswith("/_bulk_docs") and server.requests == 0
        return await server.answer(request)

    positions = [position(number) for number in range(9)]
    async with store_behind(handler) as store:
        assert await store.put(positions) == 9

    assert server.kept == set(map(document_id, positions))


async def test_a_probe_is_a_document_like_the_others_of_no_zone_and_is_deleted_again() -> None:
    server = Server(NOES["rows"])
    server.to = {document_id(position())}
    probes: list[dict[str, object]] = []
    deleted: list[dict[str, object]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/_bulk_docs"):
            for each in (await request.json())["docs"]:
                if each["_id"].startswith("probe-"):
                    (deleted if each.get("_deleted") else probes).append(each)
        if request.path.endswith("/_all_docs"):
            assert (await request.json()) == {"start_key": "probe-", "end_key": "probe.", "limit": 100}
            row = {"id": probes[0]["_id"], "value": {"rev": "1-a"}}
            return web.json_response({"total_rows": 1, "rows": [row]})
        return await server.answer(request)

    async with store_behind(handler) as store:
        with pytest.raises(RejectedDocumentError):
            await store.put([position(speed=1.5)])

    (probe,) = probes
    properties = probe["properties"]
    assert isinstance(properties, dict)
    assert properties["device"] == "probe"
    assert properties["zones"] == []
    assert properties["speed"] == 1.5
    assert probe["geometry"] == {"type": "Point", "coordinates": [0.0, 0.0]}
    assert "campus" not in json.dumps(probe)
    assert [each["_id"] for each in deleted] == [probe["_id"]]
