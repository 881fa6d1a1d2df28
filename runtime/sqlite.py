"""An SQLite file as an embedded store: several processes may use it at once, and the event loop never waits for it."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from core.errors import UnavailableError

BUSY_SECONDS = 5.0
"""How long one process waits for another that is writing, before the file counts as unavailable."""
_BUSY_PAUSE_SECONDS = 0.01

Answer = TypeVar("Answer")


class SqliteFile:
    """One file with one schema, in WAL mode, that only its owner can read. It is opened by the first use.

    What could not be opened is tried again at the next use, and a file that was removed or replaced is opened anew. The
    folder is made by `make` alone: where a volume is away, no second store begins in its place.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        """`schema` is statements, with semicolons, that change nothing where their tables exist."""
        self._path = path
        self._schema = schema
        # One thread: a connection does one thing at a time, and its commits wait for the disk.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.stem)
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    async def make(self) -> None:
        """Make the folder and the file, where they are missing. Raises UnavailableError."""

        def make_folder() -> None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

        await self._in_thread(make_folder)
        await self.read(lambda _: None)

    async def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """The answer of `work`, which runs in the thread of the file. Raises UnavailableError."""
        return await self._in_thread(lambda: work(self._connect()))

    async def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """The same in a transaction, which is on the disk when this returns. Raises UnavailableError."""

        def in_transaction(connection: sqlite3.Connection) -> Answer:
            with connection:
                # IMMEDIATE takes the write lock now, where BUSY_SECONDS applies; taken later it could fail at once.
                connection.execute("BEGIN IMMEDIATE")
                return work(connection)

        return await self.read(in_transaction)

    async def purge(self) -> None:
        """Leave nothing of what was deleted (`deletes`) in the file, nor in the log of changes beside it.

        The file is written anew, which takes 5 to 20 s a GB and as much room, and others wait with writing: SQLite
        leaves copies of rows in the free room of pages that it has split, and overwrites those of deleted rows alone.
        Where nothing was deleted only the log is emptied. Raises UnavailableError, also where others use the file for
        longer than BUSY_SECONDS: it is to be repeated.
        """

        def work(connection: sqlite3.Connection) -> None:
            deleted = _number(connection, "user_version")
            if _number(connection, "application_id") != deleted:
                connection.execute("VACUUM")
                # Of the deletions before it alone: others may have deleted since.
                connection.execute(f"PRAGMA application_id = {deleted}")
            until = time.monotonic() + BUSY_SECONDS
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > until:
                    raise UnavailableError(f"{self._path} is being used, and what was deleted is still in its log")
                time.sleep(_BUSY_PAUSE_SECONDS)

        await self.read(work)

    async def close(self) -> None:
        """Finish what is in hand and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        def guarded() -> Answer:
            try:
                return work()
            except (sqlite3.DatabaseError, OSError) as error:
                # Locked, read-only, no space, or (a DatabaseError of no particular kind) no database or a damaged one.
                # The other kinds are defects of ours.
                if isinstance(error, sqlite3.OperationalError | OSError) or type(error) is sqlite3.DatabaseError:
                    self._disconnect()
                    raise UnavailableError(f"{self._path} cannot be used: {error}") from error
                raise

        return await asyncio.get_running_loop().run_in_executor(self._executor, guarded)

    def _connect(self) -> sqlite3.Connection:
        # A file that was removed or replaced would go on taking rows that nobody could ever read.
        if self._connection is not None and self._opened == _identity(self._path):
            return self._connection
        self._disconnect()
        # SQLite gives the files beside it (-wal, -shm) the mode of this one.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _enter_wal_mode(connection)
            # Who writes acknowledges afterwards what it wrote from: so it must have reached the disk.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        self._connection, self._opened = connection, _identity(self._path)
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._opened = None


def deletes(connection: sqlite3.Connection) -> None:
    """Of a transaction that deletes what nobody may find again: `SqliteFile.purge` is to follow.

    The file counts them in its `user_version`; its `application_id` is how many there were when it was written anew.
    """
    connection.execute(f"PRAGMA user_version = {_number(connection, 'user_version') + 1}")


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    # Two processes that do this at once get in each other's way, and SQLite's own patience does not apply here.
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
