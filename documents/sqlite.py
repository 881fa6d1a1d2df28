"""The document store of a machine without a server: one SQLite file."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from core.messages import Position
from core.sqlite import SqliteFile
from documents.document import Document, to_document
from documents.store import PAGE

_SCHEMA = "CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
_INSERT = "INSERT INTO documents (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"


class SQLiteStore:
    """Documents in one file, which several processes may read and write at the same time."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, schema=_SCHEMA)

    async def setup(self) -> None:
        """Make the folder and the file, for this user alone."""
        await self._file.make()

    async def put(self, positions: Sequence[Position]) -> int:
        """See `DocumentStore.put`; all of them in one transaction."""
        if not positions:
            return 0

        def insert(connection: sqlite3.Connection) -> int:
            documents = [to_document(position) for position in positions]
            before = connection.total_changes
            connection.executemany(
                _INSERT, [(document["_id"], msgspec.json.encode(document).decode()) for document in documents]
            )
            return connection.total_changes - before

        return await self._file.write(insert)

    async def get(self, document_id: str) -> Document | None:
        """See `DocumentStore.get`."""

        def select(connection: sqlite3.Connection) -> Document | None:
            row = connection.execute("SELECT body FROM documents WHERE id = ?", (document_id,)).fetchone()
            return _document(row[0]) if row else None

        return await self._file.read(select)

    async def count(self) -> int:
        """See `DocumentStore.count`."""

        def select(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])

        return await self._file.read(select)

    async def scan(self, *, page: int = PAGE) -> AsyncIterator[Document]:
        """See `DocumentStore.scan`. Between pages no transaction is open, so a slow reader holds no writer up."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        last = ""

        def select(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            query = "SELECT id, body FROM documents WHERE id > ? ORDER BY id LIMIT ?"
            return connection.execute(query, (last, page)).fetchall()

        while rows := await self._file.read(select):
            for _, body in rows:
                yield _document(body)
            last = rows[-1][0]

    async def close(self) -> None:
        """Finish what is in hand and close the file."""
        await self._file.close()


def _document(body: str) -> Document:
    return cast("Document", msgspec.json.decode(body))
