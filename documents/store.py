"""What a store of position documents can do."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from core.messages import Position
from documents.document import Document

PAGE = 500
"""How many documents `scan` asks for at a time unless it is told otherwise."""


class RejectedDocument(Exception):  # noqa: N818 - it names what was refused
    """The store will never take one or more of the documents; all the others of the same `put` are stored."""

    def __init__(self, reasons: dict[str, str]) -> None:
        """Keep what the store said about each document, by its id; there is at least one."""
        told = "; ".join(f"{document_id}: {reason}" for document_id, reason in reasons.items())
        super().__init__(f"the document store refused {told}")
        self.reasons = reasons


class DocumentStore(Protocol):
    """Documents by their id. Every method raises `core.errors.Unavailable` while the store is away or wants a pause."""

    async def setup(self) -> None:
        """Make what the store needs, where it is not there yet."""
        ...

    async def put(self, positions: Sequence[Position]) -> int:
        """Store positions, and say how many were new.

        A document that exists already stays as it is, and that is success. After an error it is unknown which of the
        positions were stored: put them all again. Raises RejectedDocument where trying again would not help.
        """
        ...

    async def get(self, document_id: str) -> Document | None:
        """One document, None if there is none."""
        ...

    async def count(self) -> int:
        """How many documents there are."""
        ...

    def scan(self, *, page: int = PAGE) -> AsyncIterator[Document]:
        """All documents in the order of their ids, `page` of them in memory at a time.

        What is put during a scan may or may not be seen. Raises ValueError for a page below 1.
        """
        ...
