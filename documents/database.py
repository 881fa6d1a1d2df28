"""One database of positions on a server that speaks CouchDB's HTTP."""

import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from typing import Any

import msgspec
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import CloudantV1

from core.errors import UnavailableError
from documents import indexes
from documents.answers import MissingError, NotAllowedError, shown
from documents.couch import LIST, Call, CouchServer
from documents.document import Document
from documents.index_keeper import IndexKeeper
from documents.merging import Field, Source, candidates, fetched
from documents.pace import Pace
from documents.query import Mark, PositionQuery

# Design documents (indexes) live among the others; their ids sort between these two.
_DESIGN_FIRST, _DESIGN_END = "_design/", "_design0"
CONFLICT = "conflict"
"""What a row of _bulk_docs says of a document that is there already, or that somebody else has changed."""
_COUNT = 1000
"""Documents of one question of those that are counted by day."""
Row = dict[str, Any]
"""What _bulk_docs says of one document: its `id`, and `ok`, or `error` and `reason`."""


class Database:
    """A database by its name, whether it is there or not; what is written keeps to `pace`."""

    def __init__(self, server: CouchServer, name: str, *, keeper: IndexKeeper, pace: Pace | None = None) -> None:
        self.name = name
        self.told = server.name(name)
        self._server = server
        self._keeper = keeper
        self._pace = pace

    async def make(self) -> None:
        """Make it, without its indexes, where it is not there yet."""
        await self._ask(lambda client: client.put_database(self.name), HTTPStatus.PRECONDITION_FAILED)

    async def drop(self) -> None:
        """Delete it with all that is in it, if it is there."""
        await self._ask(lambda client: client.delete_database(self.name), HTTPStatus.NOT_FOUND)

    async def put(self, documents: dict[str, bytes]) -> list[Row] | None:
        """Write documents, by id as JSON; the rows of the answer, None if the database is not there.

        Raises RefusedRequestError where one of them, or how many they are, may be why nothing was written.
        """
        body = b'{"docs":[' + b",".join(documents.values()) + b"]}"
        async with self._writing(len(documents)):
            rows = await self._ask(
                lambda client: client.post_bulk_docs(self.name, io.BytesIO(body)),
                HTTPStatus.NOT_FOUND,
                holds=LIST,
                writes=True,
            )
        return None if rows is None else [row for row in rows if isinstance(row, dict)]

    async def erase(self, device: str, most: int) -> tuple[int, int]:
        """Delete up to `most` documents of a device: how many were found, and how many of them this deleted.

        The others were somebody else's to delete at the same time. Raises UnavailableError where one stays.
        """
        # Keys begin with the device's hash and a hyphen, samples' keys as well; the full stop is what follows a hyphen.
        answer = await self._ask(
            lambda client: client.post_all_docs(self.name, start_key=f"{device}-", end_key=f"{device}.", limit=most),
            HTTPStatus.NOT_FOUND,
            holds="rows",
        )
        found = answer["rows"] if answer else []
        return len(found), len(await self._delete([(row["id"], row["value"]["rev"]) for row in found]))

    async def days_before(self, end: int) -> dict[str, int]:
        """How many documents were observed before `end` (milliseconds since the epoch), by day."""
        days: Counter[str] = Counter()
        above, full = Mark(0, ""), end > 0
        while full:
            found = await self._find_rows(above, end, _COUNT)
            days.update(_day_of(row) for row in found)
            full = len(found) == _COUNT
            if full:
                above = Mark.of(found[-1])
        return dict(sorted(days.items()))

    async def erase_before(self, end: int, most: int) -> dict[str, int] | None:
        """Delete up to `most` documents that were observed before `end`, the oldest; how many this deleted, by day.

        None where there were none left. The others of a batch were somebody else's to delete at the same time.
        """
        found = await self._find_rows(Mark(0, ""), end, most) if end > 0 else []
        if not found:
            return None
        deleted = await self._delete([(row["_id"], row["_rev"]) for row in found])
        return dict(Counter(_day_of(row) for row in found if row["_id"] in deleted))

    async def _find_rows(self, above: Mark, end: int, count: int) -> list[Document]:
        """Id, revision and time of what was observed before `end`, the oldest first."""
        wanted = indexes.time_query(above=above, last=end - 1, count=count)
        wanted["fields"] = ["_id", "_rev", "properties.observed_at"]
        try:
            found: list[Document] = await self._keeper.ask(
                self.name, "by-time", lambda client: client.post_find(self.name, **wanted), holds="docs"
            )
        except MissingError:
            return []
        return found

    async def _delete(self, documents: Sequence[tuple[str, str]]) -> set[str]:
        """Delete documents by id and revision; the ids of those that this deleted, and nobody else before."""
        if not documents:
            return set()
        body = msgspec.json.encode(
            {"docs": [{"_id": name, "_rev": revision, "_deleted": True} for name, revision in documents]}
        )
        async with self._writing(len(documents)):
            rows = await self._ask(lambda client: client.post_bulk_docs(self.name, io.BytesIO(body)), holds=LIST)
        stays = next((row for row in rows if not row.get("ok") and row.get("error") != CONFLICT), None)
        if stays:
            error = NotAllowedError if stays.get("error") in {"forbidden", "unauthorized"} else UnavailableError
            raise error(f"{self.told} did not delete all of a batch: {shown(stays)}")
        return {row["id"] for row in rows if row.get("ok")}

    async def get(self, document_id: str) -> Document | None:
        """One document; None if there is none, or no database."""
        found = await self._ask(lambda client: client.get_document(self.name, document_id), HTTPStatus.NOT_FOUND)
        return _without_revision(found) if found else None

    async def count(self) -> int:
        """How many documents there are; none, if there is no database."""
        answer = await self._ask(
            lambda client: client.post_all_docs(self.name, start_key=_DESIGN_FIRST, end_key=_DESIGN_END),
            HTTPStatus.NOT_FOUND,
            holds="rows",
        )
        return int(answer.get("total_rows") or 0) - len(answer["rows"]) if answer else 0

    async def scan(self, page: int) -> AsyncIterator[Document]:
        """All documents in the order of their ids, `page` of them in memory at a time."""
        start: str | None = None

        def ask(client: CloudantV1) -> DetailedResponse:
            # One more than the page: its id is where the next page starts.
            return client.post_all_docs(self.name, include_docs=True, limit=page + 1, start_key=start)

        while True:
            answer = await self._ask(ask, HTTPStatus.NOT_FOUND, holds="rows")
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
                found = await self._find("by-time", wanted)
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
                return await self._find(f"by-{field}", wanted)

            return fetched(fetch, below, count)

        return candidates(query, count, source)

    async def _find(self, index: str, wanted: dict[str, Any]) -> list[Document]:
        found = await self._keeper.ask(
            self.name, index, lambda client: client.post_find(self.name, **wanted), holds="docs"
        )
        return [_without_revision(document) for document in found]

    async def _in_zone(self, zone: str, start: int, mark: Mark, count: int) -> list[Document]:
        wanted = indexes.zone_query(zone, start=start, below=mark, count=count)
        rows = await self._keeper.ask(
            self.name, indexes.ZONE_DESIGN, lambda client: client.post_view(self.name, **wanted), holds="rows"
        )
        return [_without_revision(row["doc"]) for row in rows if row.get("doc") and row["id"] != mark.id][:count]

    def _writing(self, documents: int) -> AbstractAsyncContextManager[None]:
        return self._pace.writing(documents) if self._pace else nullcontext()

    async def _ask(self, call: Call, *expected: HTTPStatus, holds: str | None = None, writes: bool = False) -> Any:  # noqa: ANN401 - JSON of several shapes
        return await self._server.ask(self.name, call, *expected, holds=holds, writes=writes)


def _without_revision(found: Document) -> Document:
    return {name: value for name, value in found.items() if name != "_rev"}


def _day_of(document: Document) -> str:
    return str(document["properties"]["observed_at"])[:10]
