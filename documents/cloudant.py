"""The document store of a campus in production: IBM Cloudant, or Apache CouchDB, which speaks the same."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from ibm_cloud_sdk_core.api_exception import ApiException
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import CloudantV1
from requests import RequestException, Response

from core.errors import BadSettings, Unavailable
from core.messages import Position
from documents.document import Document, to_document
from documents.store import PAGE, RejectedDocument

THREADS = 10
"""Requests at a time: the SDK is synchronous, and its pool keeps ten connections."""
BATCH_DOCUMENTS = 500
BATCH_BYTES = 5_000_000
"""Cloudant takes requests of up to 11 MB; documents of ours have some 500 bytes."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 6.0
"""How long an answer may take. A stop must wait for the request in hand, and has 10 s in all."""
RETRY_AFTER_MAX_SECONDS = 3600.0

# What a row of _bulk_docs may say that holds for this moment, and not for the document.
_PASSING = {"internal_server_error", "service_unavailable", "timeout", "too_many_requests", "unknown_error"}
# Design documents (indexes) live among the others; their ids sort between these two.
_DESIGN_FIRST, _DESIGN_END = "_design/", "_design0"

_LOGIN = "CLOUDANT_USERNAME and CLOUDANT_PASSWORD, or CLOUDANT_APIKEY"

Call = Callable[[CloudantV1], DetailedResponse]


class CloudantStore:
    """Documents in one database of a Cloudant or CouchDB server; conflicts on an id mean that it is stored.

    Logs in as the SDK's own variables say (CLOUDANT_AUTH_TYPE and what belongs to it). Raises BadSettings where they
    cannot work, or later, where the server refuses them.
    """

    def __init__(self, *, url: str, database: str) -> None:
        self._url = _checked(url)
        self._database = database
        self._client = _client(self._url)
        self._executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="documents-cloudant")

    async def setup(self) -> None:
        """Make the database, where it is not there yet."""
        # Asked first: who may only read and write documents may not make databases, and need not where it is there.
        if await self._ask(lambda client: client.get_database_information(self._database), HTTPStatus.NOT_FOUND):
            return
        await self._ask(lambda client: client.put_database(self._database), HTTPStatus.PRECONDITION_FAILED)

    async def put(self, positions: Sequence[Position]) -> int:
        """See `DocumentStore.put`; in batches, one after the other."""
        documents = await asyncio.get_running_loop().run_in_executor(self._executor, _encode, positions)
        new = 0
        rejected: dict[str, str] = {}
        for batch in _batches(documents):
            new += await self._put_batch(batch, rejected)
        if rejected:
            raise RejectedDocument(rejected)
        return new

    async def get(self, document_id: str) -> Document | None:
        """See `DocumentStore.get`."""
        if not document_id or document_id.startswith("_"):
            return None
        found = await self._ask(lambda client: client.get_document(self._database, document_id), HTTPStatus.NOT_FOUND)
        return _without_revision(found) if found else None

    async def count(self) -> int:
        """See `DocumentStore.count`."""
        about = await self._ask(lambda client: client.get_database_information(self._database))
        designs = await self._ask(
            lambda client: client.post_all_docs(self._database, start_key=_DESIGN_FIRST, end_key=_DESIGN_END)
        )
        return int(about["doc_count"]) - len(designs["rows"])

    async def scan(self, *, page: int = PAGE) -> AsyncIterator[Document]:
        """See `DocumentStore.scan`."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        start: str | None = None

        def ask(client: CloudantV1) -> DetailedResponse:
            # One more than the page: its id is where the next page starts.
            return client.post_all_docs(self._database, include_docs=True, limit=page + 1, start_key=start)

        while True:
            rows = (await self._ask(ask))["rows"]
            for row in rows[:page]:
                if row["doc"] and not row["id"].startswith(_DESIGN_FIRST):
                    yield _without_revision(row["doc"])
            if len(rows) <= page:
                return
            start = rows[page]["id"]

    def close(self) -> None:
        """Start nothing more, and close the connections that are idle."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        _close(self._client)

    async def _put_batch(self, batch: dict[str, bytes], rejected: dict[str, str]) -> int:
        """How many were new; what the server will never take is added to `rejected`."""
        body = b'{"docs":[' + b",".join(batch.values()) + b"]}"
        rows = await self._ask(lambda client: client.post_bulk_docs(self._database, io.BytesIO(body)))
        answers = {row.get("id"): row for row in rows}
        new = 0
        for document_id in batch:
            row = answers.get(document_id)
            if row is None or row.get("error") in _PASSING:
                raise Unavailable(f"{self._name} did not store all documents of a batch")
            if "error" not in row:
                new += 1
            elif row["error"] != "conflict":
                rejected[document_id] = f"{row['error']}: {row.get('reason')}"
        return new

    async def _ask(self, call: Call, *expected: HTTPStatus) -> Any:  # noqa: ANN401 - JSON of several shapes
        """The answer's JSON; None for an `expected` status."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, call, expected)

    def _answer(self, call: Call, expected: tuple[HTTPStatus, ...]) -> Any:  # noqa: ANN401
        client = self._client
        try:
            try:
                answer = call(client).get_result()
            except ApiException as error:
                if error.status_code != HTTPStatus.UNAUTHORIZED:
                    raise
                # A session ends before its time where the server starts anew with another secret: log in again, once.
                self._client = _client(self._url)
                _close(client)
                answer = call(self._client).get_result()
        except ApiException as error:
            if error.status_code in expected:
                return None
            meaning = self._meaning(error)
            if meaning is None:
                raise
            raise meaning from error
        except RequestException as error:
            raise Unavailable(f"{self._name} does not answer: {type(error).__name__}") from error
        if not isinstance(answer, dict | list):
            raise Unavailable(f"{self._name} answered, but not in JSON")
        return answer

    def _meaning(self, error: ApiException) -> BadSettings | Unavailable | None:
        status = error.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return BadSettings(f"{_LOGIN}: {self._name} refuses it: {error}")
        if status == HTTPStatus.NOT_FOUND:
            return Unavailable(f"{self._name} does not exist: python -m documents setup makes it")
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable(f"{self._name} answers {status}", retry_after=_retry_after(error.http_response))
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return Unavailable(f"{self._name} broke its answer off")
        return None

    @property
    def _name(self) -> str:
        return f"the database {self._database} on {urlsplit(self._url).hostname}"


def _checked(url: str) -> str:
    if not url:
        raise BadSettings("CLOUDANT_URL: not set; DOCUMENT_STORE=cloudant needs the server's address, https://host")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettings("CLOUDANT_URL: not an address such as https://host or http://localhost:5984")
    return url


def _client(url: str) -> CloudantV1:
    try:
        client = CloudantV1.new_instance()
        client.set_service_url(url)
    except ValueError as error:
        raise BadSettings(f"CLOUDANT_AUTH_TYPE and what belongs to it ({_LOGIN}): {error}") from error
    client.set_http_config({"timeout": (CONNECT_SECONDS, READ_SECONDS)})
    # The archive stage retries, and it alone: two that do would multiply.
    client.disable_retries()  # type: ignore[no-untyped-call]
    return client


def _close(client: CloudantV1) -> None:
    client.get_http_client().close()


def _encode(positions: Sequence[Position]) -> dict[str, bytes]:
    # An id twice in one request: which of the two stays is not defined, so only the first is sent.
    documents: dict[str, bytes] = {}
    for document in map(to_document, positions):
        documents.setdefault(document["_id"], msgspec.json.encode(document))
    return documents


def _batches(documents: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    size = 0
    for document_id, body in documents.items():
        if batch and (len(batch) == BATCH_DOCUMENTS or size + len(body) > BATCH_BYTES):
            yield batch
            batch, size = {}, 0
        batch[document_id] = body
        size += len(body) + 1
    if batch:
        yield batch


def _without_revision(found: Document) -> Document:
    return {name: value for name, value in found.items() if name != "_rev"}


def _retry_after(response: Response | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date, which is read against the answer's own date."""
    if response is None:
        return None
    text = response.headers.get("Retry-After", "")
    try:
        if text.isdecimal():
            seconds = float(text)
        else:
            ends, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers["Date"])
            seconds = (ends - now).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)
