"""What a store of position documents can do."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import UnavailableError
from core.messages import Position
from documents.document import Document, Key, document_id
from documents.query import Page, PositionQuery

PAGE = 500
"""How many documents `scan` asks for at a time unless it is told otherwise."""


class RejectedDocumentError(Exception):
    """The store will never take one or more of the documents; all the others of the same `put` are stored."""

    def __init__(self, reasons: dict[str, str]) -> None:
        """Keep what the store said about each document, by its id; there is at least one."""
        told = "; ".join(f"{document_id}: {reason}" for document_id, reason in reasons.items())
        super().__init__(f"the document store refused {told}")
        self.reasons = reasons


class IndexBeingBuiltError(UnavailableError):
    """What a question is answered from is not complete yet; the message is a sentence that everybody may read."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A day of documents that was dropped, or a database with all that was in it."""

    name: str
    """Of the day in UTC, `2026-11-30`, or of the database."""
    documents: int


class DocumentStore(Protocol):
    """Documents by their id.

    Every method raises `core.errors.UnavailableError` while the store is away or wants a pause.
    """

    async def setup(self) -> None:
        """Make what the store needs, where it is not there yet: also for the month that comes next."""
        ...

    async def being_built(self) -> list[str]:
        """Have what questions are answered from built ahead; a sentence on each part that is not complete yet.

        Questions that need such a part raise IndexBeingBuiltError.
        """
        ...

    async def put(self, positions: Sequence[Position], *, key: Key = document_id) -> int:
        """Store positions, and say how many were new.

        A document that exists already stays as it is, and that is success. After an error it is unknown which of the
        positions were stored: put them all again. Raises RejectedDocumentError where trying again would not help.
        """
        ...

    async def get(self, document_id: str) -> Document | None:
        """One document, None if there is none."""
        ...

    async def count(self) -> int:
        """How many documents there are."""
        ...

    def scan(self, *, page: int = PAGE, start: int | None = None, end: int | None = None) -> AsyncIterator[Document]:
        """All documents, each once, `page` of them in memory at a time; of one device, in the order of event time.

        With `start` and `end` (milliseconds since the epoch), only those observed from the one on and before the other:
        in the order of event time, and of ids where that is the same. An index leads to them, and no others are read.
        After an error, a scan from the time of the last document on gives the rest, and those of that instant again.

        What is put during a scan may or may not be seen. Raises ValueError for a page below 1.
        """
        ...

    async def months(self) -> dict[str, int]:
        """How many documents there are by month (UTC, `2026-11`); `other` has those of months far from the present."""
        ...

    def of_month(self, month: str, *, page: int = PAGE) -> AsyncIterator[Document]:
        """The documents of one of `months`, each once, in no order that is promised, `page` of them in memory.

        Raises ValueError for a page below 1, and for what is no month.
        """
        ...

    async def find(self, query: PositionQuery, *, limit: int, cursor: str | None = None) -> Page:
        """A page of the positions that a query asks for, the newest first; `cursor` is where the last page ended.

        An index leads to all that is looked at, and a page looks at a bounded number of documents. Raises ValueError
        for a limit that is not 1 to 1000, and for a cursor that no page gave.
        """
        ...

    async def drop_before(self, time: int, *, dry_run: bool = False) -> list[Dropped]:
        """Drop the days (UTC) that were over before `time`, milliseconds since the epoch, and say which.

        With `dry_run`, say only which they would be. What is left of them in files is as after `erase` and `purge`.
        """
        ...

    async def erase(self, device: str, *, limit: int = PAGE) -> int:
        """Delete documents of a device, by its hash, from all months, and say how many: `limit` at the most.

        Fewer than `limit` means that none is left, apart from what is put at the same time. It may be repeated, and
        done by several at once. Raises ValueError for what cannot be a device's hash, and for a limit below 1.
        """
        ...

    async def purge(self) -> list[str]:
        """Have nothing left of deleted documents where the store keeps them, as far as it can.

        Answers a sentence on each thing that stays, and until when. It may be repeated, and where it raises
        UnavailableError it has to be.
        """
        ...
