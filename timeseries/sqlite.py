"""Occupancy in one SQLite file, for where there is no server.

It keeps every window: embedded, it is the history. Several processes may use the same file at once (WAL).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from core.errors import Unavailable
from core.messages import Kind
from timeseries.store import MAX_POINTS, OccupancyPoint, checked_length, checked_zone
from timeseries.windows import Width, Window

FILE_NAME = "timeseries.sqlite3"
BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for another process that writes, before it is Unavailable."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS occupancy (
    width   TEXT    NOT NULL,
    zone    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    start   INTEGER NOT NULL, -- milliseconds since the epoch, UTC
    devices INTEGER NOT NULL,
    PRIMARY KEY (width, zone, kind, start)
) WITHOUT ROWID
"""
_UPSERT = """
INSERT INTO occupancy (width, zone, kind, start, devices) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (width, zone, kind, start) DO UPDATE SET devices = excluded.devices
"""
_HISTORY = """
SELECT start, devices FROM occupancy
WHERE width = ? AND zone = ? AND kind = ? AND start >= ? AND start < ?
ORDER BY start LIMIT ?
"""
# Two subqueries, since SQLite answers one min() or one max() from the index, but not both at once.
_EXTENT = """
SELECT (SELECT min(start) FROM occupancy WHERE width = :width AND zone = :zone AND kind = :kind),
       (SELECT max(start) FROM occupancy WHERE width = :width AND zone = :zone AND kind = :kind)
"""
_INT64 = 2**63 - 1

Answer = TypeVar("Answer")


class SqliteOccupancyStore:
    """The store in a file. Use it as a context manager; opening does not touch the file, `setup` makes it.

    All work happens in a thread of its own, so that the event loop never waits for the disk.
    """

    def __init__(self, *, file: Path) -> None:
        """`file` is made by the first use, with its folder, readable by its owner alone."""
        self._file = file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="timeseries")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def setup(self) -> None:
        """Make the file and its table where they are missing. Raises Unavailable."""
        await self._run(lambda _: None)

    async def write(self, points: Sequence[OccupancyPoint]) -> None:
        """Write points in one transaction. Raises Unavailable, and ValueError for a zone's id that is none."""
        rows = [
            (
                point.window.width.value,
                checked_zone(point.window.zone),
                point.window.kind.value,
                point.window.start,
                point.devices,
            )
            for point in points
        ]

        def upsert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(_UPSERT, rows)

        if rows:
            await self._run(upsert)

    async def history(self, *, zone: str, kind: Kind, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        """The points of the windows that begin in [start, end), as `OccupancyStore.history` says."""
        limits = [min(max(limit, -_INT64), _INT64) for limit in (start, end)]
        parameters = (width.value, checked_zone(zone), kind.value, *limits, MAX_POINTS + 1)

        def points(connection: sqlite3.Connection) -> list[OccupancyPoint]:
            return [
                OccupancyPoint(window=Window(width=width, start=begin, zone=zone, kind=kind), devices=devices)
                for begin, devices in connection.execute(_HISTORY, parameters)
            ]

        return checked_length(await self._run(points))

    async def extent(self, zone: str, kind: Kind, width: Width) -> tuple[int, int] | None:
        """The starts of the first and the last window, as `OccupancyStore.extent` says."""
        parameters = {"width": width.value, "zone": checked_zone(zone), "kind": kind.value}

        def ends(connection: sqlite3.Connection) -> tuple[int, int] | None:
            first, last = connection.execute(_EXTENT, parameters).fetchone()
            return None if first is None else (first, last)

        return await self._run(ends)

    async def _run(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        def with_connection() -> Answer:
            with sqlite_errors(self._file):
                if self._connection is None:
                    self._connection = _connect(self._file)
                try:
                    return work(self._connection)
                except sqlite3.Error:
                    # The file may have been removed or replaced meanwhile: the next attempt opens it anew.
                    self._disconnect()
                    raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, with_connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def sqlite_errors(file: Path) -> Iterator[None]:
    """Turn what means "not now" (locked, read-only, damaged, full or failing disk) into `Unavailable`."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        # A DatabaseError and no kind of it: not a database, or a damaged one. The other kinds are defects of ours.
        if isinstance(error, sqlite3.OperationalError | OSError) or type(error) is sqlite3.DatabaseError:
            raise Unavailable(f"{file} cannot be used: {error}") from error
        raise


def _connect(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives the files beside it (-wal, -shm) the mode of this one.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # On the disk when `write` returns: the caller then forgets that these windows were to be written.
        connection.execute("PRAGMA synchronous = FULL")
        with connection:
            connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
