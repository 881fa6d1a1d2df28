"""The document store of a machine without a server: one SQLite file."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from core.errors import Unavailable
from core.messages import Position
from documents.document import Document, to_document
from documents.store import PAGE

BUSY_SECONDS = 5.0
"""How long one process waits for another that is writing."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
_INSERT = "INSERT INTO documents (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"

Answer = TypeVar("Answer")


class SQLiteStore:
    """Documents in one file, which several processes may read and write at the same time (WAL).

    Nothing is opened before the first use, and what could not be opened is tried again at the next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # One thread: an SQLite connection does one thing at a time, and its commits wait for the disk.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="documents-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    async def setup(self) -> None:
        """Make the folder and the file, for this user alone."""

        def make() -> None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connect()

        await self._run(make)

    async def put(self, positions: Sequence[Position]) -> int:
        """See `DocumentStore.put`; all of them in one transaction."""
        if not positions:
            return 0

        def insert() -> int:
            documents = [to_document(position) for position in positions]
            rows = [(document["_id"], msgspec.json.encode(document).decode()) for document in documents]
            connection = self._connect()
            before = connection.total_changes
            with connection:
                # IMMEDIATE takes the write lock now, where BUSY_SECONDS applies; taken later it could fail at once.
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, rows)
            return connection.total_changes - before

        return await self._run(insert)

    async def get(self, document_id: str) -> Document | None:
        """See `DocumentStore.get`."""

        def select() -> Document | None:
            row = self._connect().execute("SELECT body FROM documents WHERE id = ?", (document_id,)).fetchone()
            return _document(row[0]) if row else None

        return await self._run(select)

    async def count(self) -> int:
        """See `DocumentStore.count`."""

        def select() -> int:
            return int(self._connect().execute("SELECT count(*) FROM documents").fetchone()[0])

        return await self._run(select)

    async def scan(self, *, page: int = PAGE) -> AsyncIterator[Document]:
        """See `DocumentStore.scan`. Between pages no transaction is open, so a slow reader holds no writer up."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        last = ""

        def select() -> list[tuple[str, str]]:
            query = "SELECT id, body FROM documents WHERE id > ? ORDER BY id LIMIT ?"
            return self._connect().execute(query, (last, page)).fetchall()

        while rows := await self._run(select):
            for _, body in rows:
                yield _document(body)
            last = rows[-1][0]

    async def close(self) -> None:
        """Finish what is in hand and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        def in_thread() -> Answer:
            try:
                return work()
            except (sqlite3.OperationalError, OSError) as error:
                raise Unavailable(f"{self._path} cannot be used: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._executor, in_thread)

    def _connect(self) -> sqlite3.Connection:
        # A file that was removed or replaced would go on taking documents that nobody could ever read.
        if self._connection and self._opened == _identity(self._path):
            return self._connection
        self._disconnect()
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A stream entry is acknowledged after its document is stored, so the commit must have reached the disk.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        self._connection, self._opened = connection, _identity(self._path)
        return connection

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = self._opened = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _document(body: str) -> Document:
    return cast("Document", msgspec.json.decode(body))
