"""One database of positions on a server that speaks CouchDB's HTTP."""

import asyncio
import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from itertools import islice
from typing import Any

import msgspec
from ibm_cloud_sdk_core.api_exception import ApiException
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import CloudantV1

from core.errors import Unavailable
from documents import indexes
from documents.couch import CouchServer
from documents.document import Document
from documents.merging import Field, Source, candidates, fetched
from documents.pace import Pace
from documents.query import Mark, PositionQuery

# Design documents (indexes) live among the others; their ids sort between these two.
_DESIGN_FIRST, _DESIGN_END = "_design/", "_design0"
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""What a server, or a proxy in front of it, says of a whole request when one document in it, or its size, is wrong."""

MAKE_ATTEMPTS = 10
MAKE_AGAIN_SECONDS = 0.5
"""Somebody else who makes the same index at the same time is let go first, for up to so long."""
CONFLICT = "conflict"
"""What a row of _bulk_docs says of a document that is there already, or that somebody else has changed."""
Row = dict[str, Any]
"""What _bulk_docs says of one document: its `id`, and `ok`, or `error` and `reason`."""


class Database:
    """A database by its name, whether it is there or not; what is written keeps to `pace`."""

    def __init__(self, server: CouchServer, name: str, *, pace: Pace | None = None) -> None:
        self.name = name
        self._server = server
        self._pace = pace

    async def make(self) -> None:
        """Make it, where it is not there yet."""
        await self._ask(lambda client: client.put_database(self.name), HTTPStatus.PRECONDITION_FAILED)

    async def complete(self) -> list[str]:
        """Make the indexes that are missing, and anew those that are defined otherwise; says which.

        It may be begun and not finished, and done by several at once: each index is looked at on its own.
        """
        made = []
        for name in await self._incomplete():
            for attempt in range(MAKE_ATTEMPTS):
                # Before the look: what somebody else has made since then has another revision, and is left alone.
                old = await self._design(name)
                if name not in await self._incomplete():
                    break
                try:
                    await self._make_index(name, old)
                    made.append(name)
                    break
                except Unavailable:
                    # CouchDB says 500, error_saving_ddoc, where somebody else makes the same index at the same time.
                    if attempt == MAKE_ATTEMPTS - 1:
                        raise
                await asyncio.sleep(random.uniform(0, MAKE_AGAIN_SECONDS))  # noqa: S311 - no secret
        return made

    async def drop(self) -> None:
        """Delete it with all that is in it, if it is there."""
        await self._ask(lambda client: client.delete_database(self.name), HTTPStatus.NOT_FOUND)

    async def put(self, documents: dict[str, bytes]) -> list[Row] | None:
        """Write documents, by id as JSON; a row for each, None if the database is not there.

        A request that is refused as a whole is tried in halves, so that the row which says so is of one document alone.
        """
        body = b'{"docs":[' + b",".join(documents.values()) + b"]}"
        try:
            async with self._writing(len(documents)):
                found: list[Row] | None = await self._ask(
                    lambda client: client.post_bulk_docs(self.name, io.BytesIO(body)), HTTPStatus.NOT_FOUND
                )
                return found
        except ApiException as error:
            if error.status_code not in _REFUSED:
                raise
            if len(documents) == 1:
                return [{"id": name, "error": "bad_request", "reason": error.message} for name in documents]
        rest = iter(documents.items())
        rows: list[Row] = []
        for half in (dict(islice(rest, len(documents) // 2)), dict(rest)):
            found = await self.put(half)
            if found is None:
                return None
            rows += found
        return rows

    async def erase(self, device: str, most: int) -> tuple[int, int]:
        """Delete up to `most` documents of a device: how many were found, and how many of them this deleted.

        The others were somebody else's to delete at the same time. Raises Unavailable where one stays.
        """
        # Keys begin with the device's hash and a hyphen, samples' keys as well; the full stop is what follows a hyphen.
        answer = await self._ask(
            lambda client: client.post_all_docs(self.name, start_key=f"{device}-", end_key=f"{device}.", limit=most),
            HTTPStatus.NOT_FOUND,
        )
        found = answer["rows"] if answer else []
        if not found:
            return 0, 0
        body = msgspec.json.encode(
            {"docs": [{"_id": row["id"], "_rev": row["value"]["rev"], "_deleted": True} for row in found]}
        )
        async with self._writing(len(found)):
            rows = await self._ask(lambda client: client.post_bulk_docs(self.name, io.BytesIO(body)))
        stays = next((row for row in rows if not row.get("ok") and row.get("error") != CONFLICT), None)
        if stays:
            raise Unavailable(f"{self._server.name(self.name)} did not delete all of a batch: {stays.get('error')}")
        return len(found), sum(bool(row.get("ok")) for row in rows)

    async def get(self, document_id: str) -> Document | None:
        """One document; None if there is none, or no database."""
        found = await self._ask(lambda client: client.get_document(self.name, document_id), HTTPStatus.NOT_FOUND)
        return _without_revision(found) if found else None

    async def count(self) -> int:
        """How many documents there are; none, if there is no database."""
        answer = await self._ask(
            lambda client: client.post_all_docs(self.name, start_key=_DESIGN_FIRST, end_key=_DESIGN_END),
            HTTPStatus.NOT_FOUND,
        )
        return int(answer["total_rows"]) - len(answer["rows"]) if answer else 0

    async def scan(self, page: int) -> AsyncIterator[Document]:
        """All documents in the order of their ids, `page` of them in memory at a time."""
        start: str | None = None

        def ask(client: CloudantV1) -> DetailedResponse:
            # One more than the page: its id is where the next page starts.
            return client.post_all_docs(self.name, include_docs=True, limit=page + 1, start_key=start)

        while True:
            answer = await self._ask(ask, HTTPStatus.NOT_FOUND)
            rows = answer["rows"] if answer else []
            for row in rows[:page]:
                if row["doc"] and not row["id"].startswith(_DESIGN_FIRST):
                    yield _without_revision(row["doc"])
            if len(rows) <= page:
                return
            start = rows[page]["id"]

    def between(self, start: int, end: int, page: int) -> Source:
        """What was observed from `start` on and before `end`, the oldest first, `page` of it in memory at a time."""

        async def pages() -> Source:
            above, full = Mark(start, ""), start < end
            while full:
                wanted = indexes.time_query(above=above, last=end - 1, count=page)
                answer = await self._ask(lambda client, wanted=wanted: client.post_find(self.name, **wanted))  # type: ignore[misc]
                found = [_without_revision(document) for document in answer["docs"]]
                for document in found:
                    yield document
                full = len(found) == page
                if full:
                    above = Mark.of(found[-1])

        return pages()

    def candidates(self, query: PositionQuery, below: Mark, count: int) -> Source:
        """What an index leads to for a query, below a mark, the newest first."""

        def source(field: Field, value: str, count: int) -> Source:
            async def fetch(mark: Mark, count: int) -> list[Document]:
                if field == "zone":
                    return await self._in_zone(value, query.start, mark, count)
                wanted = indexes.mango_query(field, value, start=query.start, below=mark, count=count)
                answer = await self._ask(lambda client: client.post_find(self.name, **wanted))
                return [_without_revision(document) for document in answer["docs"]]

            return fetched(fetch, below, count)

        return candidates(query, count, source)

    async def _in_zone(self, zone: str, start: int, mark: Mark, count: int) -> list[Document]:
        wanted = indexes.zone_query(zone, start=start, below=mark, count=count)
        rows = (await self._ask(lambda client: client.post_view(self.name, **wanted)))["rows"]
        return [_without_revision(row["doc"]) for row in rows if row["doc"] and row["id"] != mark.id][:count]

    async def _incomplete(self) -> list[str]:
        """The indexes that are not there, or not as they should be."""
        found = await self._ask(lambda client: client.get_indexes_information(self.name))
        there = indexes.as_should_be(found["indexes"], await self._design(indexes.ZONE_DESIGN))
        return [name for name in indexes.NAMES if name not in there]

    async def _design(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self._ask(
            lambda client: client.get_design_document(self.name, name), HTTPStatus.NOT_FOUND
        )
        return found

    async def _make_index(self, name: str, old: dict[str, Any] | None) -> None:
        """Make an index, in place of `old`, which has its name and is defined otherwise."""
        if old:
            async with self._writing(1):
                await self._ask(
                    lambda client: client.delete_design_document(self.name, name, rev=old["_rev"]),
                    HTTPStatus.NOT_FOUND,
                    HTTPStatus.CONFLICT,
                )
        async with self._writing(1):
            await self._ask(lambda client: indexes.make(client, self.name, name), HTTPStatus.CONFLICT)

    def _writing(self, documents: int) -> AbstractAsyncContextManager[None]:
        return self._pace.writing(documents) if self._pace else nullcontext()

    async def _ask(self, call: Callable[[CloudantV1], DetailedResponse], *expected: HTTPStatus) -> Any:  # noqa: ANN401 - JSON of several shapes
        return await self._server.ask(self.name, call, *expected)


def _without_revision(found: Document) -> Document:
    return {name: value for name, value in found.items() if name != "_rev"}
