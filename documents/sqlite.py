"""The document store of a machine without a server: one SQLite file."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from core.clock import LATEST_MS
from core.errors import UnavailableError
from core.messages import Position
from documents.document import Document, Key, document_id, from_document, to_document
from documents.merging import Field, Source, candidates, fetched, read_page
from documents.months import MONTH, day_start, month_end, month_start
from documents.query import Mark, Page, PositionQuery, checked_count, checked_device, checked_limit, first_mark
from documents.store import PAGE, Dropped
from runtime.sqlite import SqliteFile, deletes

# Times are milliseconds since the epoch. WITHOUT ROWID: the ids are the table, and end every index.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, tile TEXT NOT NULL, observed_at INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS zones (
    zone TEXT NOT NULL, observed_at INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (zone, observed_at, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_device ON positions (device, observed_at, id);
CREATE INDEX IF NOT EXISTS by_tile ON positions (tile, observed_at, id);
CREATE INDEX IF NOT EXISTS by_time ON positions (observed_at, id);
"""
_INSERT = "INSERT INTO positions (id, device, tile, observed_at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_INSERT_ZONE = "INSERT INTO zones (zone, observed_at, id) VALUES (?, ?, ?)"

_FIND: dict[Field, str] = {
    "device": """
        SELECT body FROM positions WHERE device = :value AND observed_at >= :start
        AND (observed_at, id) < (:before, :id) ORDER BY observed_at DESC, id DESC LIMIT :count""",
    "tile": """
        SELECT body FROM positions WHERE tile = :value AND observed_at >= :start
        AND (observed_at, id) < (:before, :id) ORDER BY observed_at DESC, id DESC LIMIT :count""",
    "zone": """
        SELECT body FROM zones AS at CROSS JOIN positions USING (id) WHERE zone = :value AND at.observed_at >= :start
        AND (at.observed_at, at.id) < (:before, :id) ORDER BY at.observed_at DESC, at.id DESC LIMIT :count""",
}
_SCAN = (
    "SELECT id, observed_at, body FROM positions WHERE (observed_at, id) > (?, ?) AND observed_at < ? "
    "ORDER BY observed_at, id LIMIT ?"
)
_OF_DEVICE = "SELECT id, observed_at, body FROM positions WHERE device = ? ORDER BY observed_at LIMIT ?"
_OVER = "SELECT id, observed_at, body FROM positions WHERE observed_at < ? ORDER BY observed_at LIMIT ?"
# The file of an earlier version: documents by their id alone.
_EARLIER = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'documents'"
_MONTH = "strftime('%Y-%m', observed_at / 1000, 'unixepoch')"
_DAY = "strftime('%Y-%m-%d', observed_at / 1000, 'unixepoch')"
CHUNK = 1000
"""Rows of one transaction when days are dropped or an earlier file is taken over: others may write in between."""


class SQLiteStore:
    """Documents in one file, which several processes may read and write at the same time."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, schema=_SCHEMA)

    async def setup(self) -> None:
        """Make the folder and the file, for this user alone; take over what a file of an earlier version holds."""
        await self._file.make()
        while await self._file.write(_take_over):
            pass

    async def being_built(self) -> list[str]:
        """Nothing: every transaction writes its indexes."""
        return []

    async def put(self, positions: Sequence[Position], *, key: Key = document_id) -> int:
        """See `DocumentStore.put`; all of them in one transaction."""
        if not positions:
            return 0
        return await self._file.write(lambda connection: _insert(connection, positions, key))

    async def get(self, document_id: str) -> Document | None:
        """See `DocumentStore.get`."""

        def select(connection: sqlite3.Connection) -> Document | None:
            row = connection.execute("SELECT body FROM positions WHERE id = ?", (document_id,)).fetchone()
            return _document(row[0]) if row else None

        return await self._file.read(select)

    async def count(self) -> int:
        """See `DocumentStore.count`."""

        def select(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM positions").fetchone()[0])

        return await self._file.read(select)

    async def scan(
        self, *, page: int = PAGE, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Document]:
        """See `DocumentStore.scan`; in the order of time. Between pages nothing is open: no writer is held up."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        last = (start or 0, "")
        before = LATEST_MS + 1 if end is None else end

        def select(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
            return connection.execute(_SCAN, (*last, before, page)).fetchall()

        while rows := await self._file.read(select):
            for _, _, body in rows:
                yield _document(body)
            last = rows[-1][1], rows[-1][0]

    async def months(self) -> dict[str, int]:
        """See `DocumentStore.months`; each has a name of its own here."""

        def count(connection: sqlite3.Connection) -> dict[str, int]:
            select = f"SELECT {_MONTH}, count(*) FROM positions GROUP BY 1 ORDER BY 1"  # noqa: S608 - no input in it
            return dict(connection.execute(select).fetchall())

        return await self._file.read(count)

    async def of_month(self, month: str, *, page: int = PAGE) -> AsyncIterator[Document]:
        """See `DocumentStore.of_month`."""
        if not MONTH.fullmatch(month):
            raise ValueError(f"{month[:20]!r} is no month such as 2026-11")
        async for document in self.scan(page=page, start=month_start(month), end=month_end(month)):
            yield document

    async def find(self, query: PositionQuery, *, limit: int, cursor: str | None = None) -> Page:
        """See `DocumentStore.find`."""
        below = first_mark(query)
        if cursor is not None:
            below = min(below, Mark.decode(cursor))
        return await read_page(self._candidates(query, below, checked_limit(limit) + 1), query, limit)

    async def drop_before(self, time: int, *, dry_run: bool = False) -> list[Dropped]:
        """See `DocumentStore.drop_before`."""
        before = day_start(time)

        def count(connection: sqlite3.Connection) -> list[Dropped]:
            select = f"SELECT {_DAY}, count(*) FROM positions WHERE observed_at < ? GROUP BY 1 ORDER BY 1"  # noqa: S608 - no input in it
            return [Dropped(*row) for row in connection.execute(select, (before,))]

        dropped = await self._file.read(count)
        if not dry_run:
            while await self._file.write(lambda connection: _delete(connection, _OVER, before, CHUNK)):
                pass
            # Also where nothing is dropped: the last time may have ended before this.
            await self._file.purge()
        return dropped

    async def erase(self, device: str, *, limit: int = PAGE) -> int:
        """See `DocumentStore.erase`; what is erased is overwritten."""
        left, erased = checked_count(limit), 0
        name = checked_device(device)
        while left:
            most = min(left, CHUNK)
            gone = await self._file.write(lambda connection, most=most: _delete(connection, _OF_DEVICE, name, most))  # type: ignore[misc]
            erased, left = erased + gone, left - gone
            if gone < most:
                break
        return erased

    async def purge(self) -> list[str]:
        """See `DocumentStore.purge`; the file is written anew where anything was deleted since the last time."""
        await self._file.purge()
        return []

    async def close(self) -> None:
        """Finish what is in hand and close the file."""
        await self._file.close()

    def _candidates(self, query: PositionQuery, below: Mark, count: int) -> Source:
        def source(field: Field, value: str, count: int) -> Source:
            async def fetch(mark: Mark, count: int) -> list[Document]:
                wanted = {
                    "value": value,
                    "start": query.start,
                    "before": mark.observed_at,
                    "id": mark.id,
                    "count": count,
                }
                return await self._file.read(
                    lambda connection: [_document(body) for (body,) in connection.execute(_FIND[field], wanted)]
                )

            return fetched(fetch, below, count)

        return candidates(query, count, source)


def _insert(connection: sqlite3.Connection, positions: Sequence[Position], key: Key = document_id) -> int:
    new = 0
    for position in positions:
        document = to_document(position, key=key)
        tile, body = document["properties"]["tile"], msgspec.json.encode(document).decode()
        row = (document["_id"], position.device, tile, position.observed_at, body)
        if connection.execute(_INSERT, row).rowcount:
            new += 1
            rows = [(zone, position.observed_at, document["_id"]) for zone in set(position.zones)]
            connection.executemany(_INSERT_ZONE, rows)
    return new


def _delete(connection: sqlite3.Connection, select: str, value: int | str, most: int) -> int:
    rows = connection.execute(select, (value, most)).fetchall()
    if rows:
        deletes(connection)
    zones = [(zone, at, name) for name, at, body in rows for zone in _document(body)["properties"]["zones"]]
    connection.executemany("DELETE FROM zones WHERE zone = ? AND observed_at = ? AND id = ?", zones)
    connection.executemany("DELETE FROM positions WHERE id = ?", [(name,) for name, _, _ in rows])
    return len(rows)


def _take_over(connection: sqlite3.Connection) -> int:
    if not connection.execute(_EARLIER).fetchone()[0]:
        return 0
    rows = connection.execute("SELECT id, body FROM documents ORDER BY id LIMIT ?", (CHUNK,)).fetchall()
    for name, body in rows:
        try:
            _insert(connection, [from_document(_document(body))])
        except ValueError as error:
            told = f"the document {name!r} in its table `documents`, of an earlier version, is no position: {error}"
            raise UnavailableError(f"{_file_of(connection)} cannot be taken over: {told}") from error
    connection.executemany("DELETE FROM documents WHERE id = ?", [(name,) for name, _ in rows])
    if not rows:
        connection.execute("DROP TABLE documents")
    return len(rows)


def _file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def _document(body: str) -> Document:
    return cast("Document", msgspec.json.decode(body))
