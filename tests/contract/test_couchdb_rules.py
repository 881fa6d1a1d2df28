"""What CouchDB 3.5 refuses, and how it answers: true of CouchDB, and so of the double that stands in for it.

Without CLOUDANT_URL these run against the double; with it, against that server: `docs/testing-with-couchdb.md`.
"""

import http.client
import json
import socket
import uuid
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.contract.couchdb_probes import DESIGN, FULL, INDEX, READING, WRITING, Probe

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, headers with their names in small letters, and the body's JSON or bytes."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Server:
    """A server, asked over connections of one request each."""

    host: str
    port: int
    user: str
    password: str

    def ask(
        self, method: str, path: str, body: object = None, *, login: bool = True, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request. A body that is not bytes is JSON; a Content-Type of "" is none."""
        sent = {"Authorization": self.basic} if login else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent = {name: value for name, value in {**sent, **(headers or {})}.items() if value}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        try:
            found = json.loads(content)
        except ValueError:
            found = content
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, found)

    @property
    def basic(self) -> str:
        """The header of a login."""
        return f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"

    def raw(self, sent: bytes, *, patience: float = SECONDS) -> tuple[bytes, bool]:
        """What comes back, up to the end of its JSON, and whether the server closes within `patience` seconds."""
        with socket.create_connection((self.host, self.port), timeout=SECONDS) as connection:
            connection.sendall(sent)
            received = b""
            while b"}\n" not in received and b"]\n" not in received:
                part = connection.recv(65536)
                if not part:
                    return received, True
                received += part
            connection.settimeout(patience)
            try:
                return received, connection.recv(1) == b""
            except (TimeoutError, BlockingIOError):
                return received, False


@pytest.fixture(scope="module")
def server(cloudant_server: dict[str, str]) -> Server:
    address = urlsplit(cloudant_server["CLOUDANT_URL"])
    assert address.hostname
    return Server(
        address.hostname,
        address.port or 80,
        cloudant_server["CLOUDANT_USERNAME"],
        cloudant_server["CLOUDANT_PASSWORD"],
    )


def make(server: Server) -> str:
    """A new database with documents, an index and views."""
    name = f"rules-{uuid.uuid4().hex}"
    assert server.ask("PUT", f"/{name}").status == 201
    assert server.ask("POST", f"/{name}/_bulk_docs", FULL).status == 201
    assert server.ask("PUT", f"/{name}/_design/v", DESIGN).status == 201
    assert server.ask("POST", f"/{name}/_index", INDEX).body["result"] == "created"
    return name


@pytest.fixture(scope="module")
def full(server: Server) -> Iterator[str]:
    name = make(server)
    yield name
    server.ask("DELETE", f"/{name}")


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    name = make(server)
    yield name
    server.ask("DELETE", f"/{name}")


def filled(value: Any, name: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value.replace("{db}", name)
    if isinstance(value, list):
        return [filled(each, name) for each in value]
    return {key: filled(each, name) for key, each in value.items()} if isinstance(value, dict) else value


def holds(expected: Any, found: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether JSON is as expected: of an object, the members that are named; a member that is None may be absent."""
    if expected is ...:
        return True
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            holds(each, found.get(name) if each is None else found.get(name, holds)) for name, each in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(holds, expected, found))
    return type(expected) is type(found) and bool(expected == found)


def check(server: Server, probe: Probe, name: str) -> None:
    method, path = filled(probe.request, name).split(" ", 1)
    answer = server.ask(method, path, probe.body, headers=probe.headers)

    assert (answer.status, answer.body) == (probe.status, answer.body)
    assert holds(filled(probe.answer, name), answer.body), answer.body


@pytest.mark.parametrize("probe", READING, ids=lambda probe: probe.name)
def test_a_request_is_answered_as_couchdb_answers_it(server: Server, full: str, probe: Probe) -> None:
    check(server, probe, full)


@pytest.mark.parametrize("probe", WRITING, ids=lambda probe: probe.name)
def test_a_request_that_writes_is_answered_as_couchdb_answers_it(server: Server, database: str, probe: Probe) -> None:
    check(server, probe, database)


def test_a_request_that_is_refused_has_stored_nothing(server: Server, database: str) -> None:
    server.ask("POST", f"/{database}/_bulk_docs", {"docs": [{"_id": "new"}, {"_id": "_bad"}]})

    assert server.ask("GET", f"/{database}/new").status == 404


# --- several at once --------------------------------------------------------------------------------------------------


def test_of_several_that_make_a_database_one_does_and_the_others_are_told_that_it_is_there(server: Server) -> None:
    name = f"rules-{uuid.uuid4().hex}"
    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(lambda _: server.ask("PUT", f"/{name}").status, range(8)))
    server.ask("DELETE", f"/{name}")

    assert statuses == [201] + [412] * 7


def test_of_several_that_save_a_design_document_one_does(server: Server, database: str) -> None:
    def save(_: int) -> int:
        return server.ask("PUT", f"/{database}/_design/x", {"views": {}}).status

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(save, range(8)))

    assert statuses == [201] + [409] * 7


def test_of_several_that_make_an_index_some_may_be_told_500_and_the_index_is_there(
    server: Server, database: str
) -> None:
    def save(_: int) -> Answer:
        return server.ask("POST", f"/{database}/_index", {"index": {"fields": ["a"]}, "ddoc": "x", "name": "x"})

    refused = []
    # Who comes late finds it there: on a real server, any number of eight may be late.
    for _ in range(10):
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(save, range(8)))
        refused += [each.body for each in answers if each.status != 200]
        results = sorted(each.body["result"] for each in answers if each.status == 200)
        assert results == ["created"] + ["exists"] * (len(results) - 1)
        assert server.ask("DELETE", f"/{database}/_index/x/json/x").status == 200

    assert refused
    for each in refused:
        assert holds(
            {"error": "error_saving_ddoc", "reason": "Encountered a conflict while saving the design document."}, each
        )


# --- revisions --------------------------------------------------------------------------------------------------------


def test_what_was_deleted_leaves_its_revisions_behind_and_may_be_written_again(server: Server, database: str) -> None:
    path = f"/{database}/d3"
    first = server.ask("GET", path).body["_rev"]
    assert holds({"ok": True, "id": "d3", "rev": ...}, server.ask("DELETE", f"{path}?rev={first}").body)

    assert server.ask("GET", path).body == {"error": "not_found", "reason": "deleted"}
    assert server.ask("GET", f"{path}?rev={first}").body["n"] == 3
    row = server.ask("POST", f"/{database}/_all_docs", {"keys": ["d3"], "include_docs": True}).body["rows"][0]
    assert holds({"id": "d3", "value": {"deleted": True}, "doc": None}, row)
    assert holds({"doc_count": 6, "doc_del_count": 1}, server.ask("GET", f"/{database}").body)

    assert server.ask("PUT", path, {"again": 1}).body["rev"].startswith("3-")
    assert server.ask("GET", f"{path}?revs=true").body["_revisions"]["start"] == 3


def test_a_conflict_that_was_replicated_has_a_winner_and_the_other_is_told_when_asked(
    server: Server, database: str
) -> None:
    old = server.ask("GET", f"/{database}/d1").body["_rev"]
    winner = "1-" + "f" * 32
    body = {"docs": [{"_id": "d1", "_rev": winner, "c": 1}], "new_edits": False}
    assert server.ask("POST", f"/{database}/_bulk_docs", body).body == []

    assert server.ask("GET", f"/{database}/d1").body == {"_id": "d1", "_rev": winner, "c": 1}
    assert server.ask("GET", f"/{database}/d1?conflicts=true").body["_conflicts"] == [old]


def test_a_document_that_has_not_changed_need_not_be_sent_again(server: Server, full: str) -> None:
    tag = server.ask("GET", f"/{full}/d1").headers["etag"]

    assert server.ask("GET", f"/{full}/d1", headers={"If-None-Match": tag}).status == 304


# --- indexes ----------------------------------------------------------------------------------------------------------


def test_a_question_waits_for_its_index_and_then_nothing_is_pending(server: Server, database: str) -> None:
    documents = [{"_id": f"x{number}", "n": number, "kind": "bus"} for number in range(300)]
    server.ask("POST", f"/{database}/_bulk_docs", {"docs": documents})

    assert len(server.ask("GET", f"/{database}/_design/v/_view/by-n?start_key=5").body["rows"]) == 295
    wanted = {"selector": {"kind": "bus", "n": {"$gte": 0}}, "limit": 400}
    assert len(server.ask("POST", f"/{database}/_find", wanted).body["docs"]) == 300

    for design in ("v", "by-kind"):
        index = server.ask("GET", f"/{database}/_design/{design}/_info").body["view_index"]
        assert index["updates_pending"]["total"] == 0
        assert index["updater_running"] is False


def test_a_page_of_an_answer_goes_on_where_its_bookmark_says(server: Server, full: str) -> None:
    wanted = {"selector": {"kind": "mobile", "n": {"$gte": 0}}, "limit": 2}
    first = server.ask("POST", f"/{full}/_find", wanted).body
    second = server.ask("POST", f"/{full}/_find", {**wanted, "bookmark": first["bookmark"]}).body

    assert [[each["_id"] for each in page["docs"]] for page in (first, second)] == [["d0", "d2"], ["d4"]]


# --- logging in -------------------------------------------------------------------------------------------------------

NOT_AN_ADMIN = {"error": "unauthorized", "reason": "You are not a server admin."}
NOT_OF_THIS_DATABASE = {"error": "unauthorized", "reason": "You are not authorized to access this db."}
WRONG = {"error": "unauthorized", "reason": "Name or password is incorrect."}


@pytest.mark.parametrize(
    ("method", "path", "status", "answer"),
    [
        ("GET", "/", 200, {"couchdb": "Welcome"}),
        ("GET", "/_up", 200, {"status": "ok"}),
        ("GET", "/_session", 200, {"userCtx": {"name": None, "roles": []}}),
        ("GET", "/_all_dbs", 401, NOT_AN_ADMIN),
        ("GET", "/_nothing", 401, NOT_AN_ADMIN),
        ("PUT", "/rules-nobodys", 401, NOT_AN_ADMIN),
        ("GET", "/{db}", 401, NOT_OF_THIS_DATABASE),
        ("GET", "/{db}/d1", 401, NOT_OF_THIS_DATABASE),
        ("POST", "/{db}/_bulk_docs", 401, NOT_OF_THIS_DATABASE),
    ],
)
def test_who_is_not_logged_in_may_ask_whether_it_is_up_and_nothing_else(
    server: Server, full: str, method: str, path: str, status: int, answer: dict[str, Any]
) -> None:
    found = server.ask(method, filled(path, full), {} if method == "POST" else None, login=False)

    assert found.status == status
    assert holds(answer, found.body), found.body


@pytest.mark.parametrize(
    ("login", "status", "answer"),
    [
        ("Basic " + b64encode(b"nobody:wrong").decode(), 401, WRONG),
        ("Basic zzz", 400, {"reason": "Authorization header has invalid base64 value"}),
        ("Bearer zzz", 401, NOT_AN_ADMIN),
    ],
)
def test_a_login_that_is_none_is_refused(server: Server, login: str, status: int, answer: dict[str, Any]) -> None:
    found = server.ask("GET", "/_all_dbs", login=False, headers={"Authorization": login})

    assert found.status == status
    assert holds(answer, found.body), found.body


@pytest.mark.parametrize("member", ["name", "username"])
@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_session_lets_in_by_its_cookie_until_it_is_ended(server: Server, kind: str, member: str) -> None:
    credentials = {member: server.user, "password": server.password}
    body = json.dumps(credentials) if kind == "json" else urlencode(credentials)
    content_type = "application/json" if kind == "json" else "application/x-www-form-urlencoded"
    opened = server.ask("POST", "/_session", body.encode(), login=False, headers={"Content-Type": content_type})

    assert opened.status == 200
    assert holds({"ok": True, "name": server.user, "roles": ["_admin"]}, opened.body)
    cookie = opened.headers["set-cookie"].split(";")[0]
    assert cookie.startswith("AuthSession=")
    assert "Max-Age=600; Path=/; HttpOnly" in opened.headers["set-cookie"]
    for sent, status in ((cookie, 200), (cookie[:-4] + "AAAA", 401), ("AuthSession=", 401), ("AuthSession=zzz", 400)):
        assert server.ask("GET", "/_all_dbs?limit=1", login=False, headers={"Cookie": sent}).status == status
    ended = server.ask("DELETE", "/_session", login=False, headers={"Cookie": cookie})
    assert ended.headers["set-cookie"].startswith("AuthSession=;")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "answer"),
    [
        (b"name=nobody&password=x", "application/x-www-form-urlencoded", 401, WRONG),
        (b"", "application/x-www-form-urlencoded", 400, {"reason": "request body must contain a username"}),
        (b"nope", "application/json", 400, {"reason": "invalid UTF-8 JSON"}),
        (b"name=x", "text/plain", 415, {"error": "bad_content_type"}),
    ],
)
def test_a_session_is_not_opened_for_what_is_no_login(
    server: Server, body: bytes, content_type: str, status: int, answer: dict[str, Any]
) -> None:
    found = server.ask("POST", "/_session", body, login=False, headers={"Content-Type": content_type})

    assert found.status == status
    assert holds(answer, found.body), found.body


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(server: Server) -> None:
    """The server has the limits of tests/couchdb/limits.ini."""
    for section, key, value in (
        ("couchdb", "max_document_size", "1000000"),
        ("chttpd", "max_http_request_size", "11000000"),
    ):
        if server.ask("GET", f"/_node/_local/_config/{section}/{key}").body != value:
            pytest.skip("the server has other limits than those of tests/couchdb/limits.ini")


@pytest.mark.usefixtures("limited")
def test_one_document_that_is_too_large_refuses_the_whole_request_and_is_named(server: Server, database: str) -> None:
    large = {"_id": "large", "text": "x" * 1_000_001}

    bulk = server.ask("POST", f"/{database}/_bulk_docs", {"docs": [{"_id": "small"}, large]})
    alone = server.ask("PUT", f"/{database}/large", large)

    assert (bulk.status, bulk.body) == (413, {"error": "document_too_large", "reason": "large"})
    assert alone.status == 413
    assert server.ask("GET", f"/{database}/small").status == 404


@pytest.mark.usefixtures("limited")
def test_a_request_that_is_too_large_is_refused_by_its_length_and_the_connection_ends(
    server: Server, database: str
) -> None:
    head = f"POST /{database}/_bulk_docs HTTP/1.1\r\nHost: x\r\nAuthorization: {server.basic}\r\n"
    received, closed = server.raw(f"{head}Content-Type: application/json\r\nContent-Length: 12000000\r\n\r\n".encode())

    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.endswith(b'{"error":"too_large","reason":"the request entity is too large"}\n')
    assert closed


# --- HTTP/1.1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/_up", "/{db}", "/{db}/d1", "/{db}/_design/v", "/{db}/none"])
def test_head_has_the_length_of_what_get_has_and_no_body(server: Server, full: str, path: str) -> None:
    asked = filled(path, full)
    whole, head = server.ask("GET", asked), server.ask("HEAD", asked)

    assert (head.status, head.body) == (whole.status, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert head.headers.get("etag") == whole.headers.get("etag")


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        ("GET /_all_dbs", None),
        ("GET /{db}/_all_docs", None),
        ("POST /{db}/_all_docs", {}),
        ("GET /{db}/_design/v/_view/by-n", None),
        ("POST /{db}/_find", {"selector": {}}),
    ],
)
def test_rows_come_in_chunks(server: Server, full: str, request_: str, body: object) -> None:
    method, path = filled(request_, full).split(" ")
    answer = server.ask(method, path, body)

    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers


def test_every_answer_is_json_of_couchdb_that_must_be_asked_for_again(server: Server, full: str) -> None:
    for path in ("/", f"/{full}/d1", f"/{full}/none", f"/{full}/_all_docs"):
        headers = server.ask("GET", path).headers
        assert headers["content-type"] == "application/json"
        assert headers["cache-control"] == "must-revalidate"
        assert headers["server"].startswith("CouchDB/3.5.0")
        assert "x-couch-request-id" in headers


def lines(server: Server, *head: str, login: bool = True) -> bytes:
    found = [*head, "Host: x", *([f"Authorization: {server.basic}"] if login else []), "", ""]
    return "\r\n".join(found).encode()


def test_a_connection_is_kept_for_one_request_after_another(server: Server) -> None:
    received, closed = server.raw(lines(server, "GET /_up HTTP/1.1"), patience=0.3)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert not closed


@pytest.mark.parametrize("head", [("GET /_up HTTP/1.1", "Connection: close"), ("GET /_up HTTP/1.0",)])
def test_a_connection_ends_when_the_client_wants_it(server: Server, head: tuple[str, ...]) -> None:
    assert server.raw(lines(server, *head))[1]


def test_a_body_may_come_in_chunks(server: Server, full: str) -> None:
    head = lines(
        server, f"POST /{full}/_bulk_docs HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"
    )

    assert server.raw(head + b'b\r\n{"docs":[]}\r\n0\r\n\r\n', patience=0)[0].startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    ("path", "content_type", "login", "status"),
    [
        ("/{db}-none/_bulk_docs", "application/json", True, 404),
        ("/{db}/_bulk_docs", "text/plain", True, 415),
        ("/{db}/_bulk_docs", "application/json", False, 401),
    ],
)
def test_who_is_refused_before_the_body_was_read_has_to_connect_again(
    server: Server,
    full: str,
    path: str,
    content_type: str,
    *,
    login: bool,
    status: int,
) -> None:
    head = lines(
        server,
        f"POST {filled(path, full)} HTTP/1.1",
        f"Content-Type: {content_type}",
        "Content-Length: 11",
        login=login,
    )
    received, closed = server.raw(head + b'{"docs":[]}')

    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in received.lower()
    assert closed
