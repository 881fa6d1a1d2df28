import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import UnavailableError
from runtime.sqlite import SqliteFile

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY, note TEXT)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "numbers.sqlite3"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[SqliteFile]:
    file = SqliteFile(path, schema=SCHEMA)
    yield file
    await file.close()


async def insert(file: SqliteFile, *numbers: int) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO numbers VALUES (?, '')", [(number,) for number in numbers])

    await file.write(work)


async def numbers(file: SqliteFile) -> list[int]:
    return await file.read(lambda connection: [row[0] for row in connection.execute("SELECT number FROM numbers")])


@pytest.mark.usefixtures("file")
async def test_opening_makes_nothing(path: Path) -> None:
    assert not path.parent.exists()


async def test_the_files_are_for_their_owner_alone(file: SqliteFile, path: Path) -> None:
    await file.make()
    await insert(file, 1)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {
        "numbers.sqlite3": 0o600,
        "numbers.sqlite3-shm": 0o600,
        "numbers.sqlite3-wal": 0o600,
    }


async def test_many_can_make_the_same_file_at_once(path: Path) -> None:
    files = [SqliteFile(path, schema=SCHEMA) for _ in range(12)]
    await asyncio.gather(*(file.make() for file in files))
    await asyncio.gather(*(insert(file, number) for number, file in enumerate(files)))
    assert await numbers(files[0]) == list(range(12))
    await asyncio.gather(*(file.close() for file in files))


async def test_a_write_that_fails_leaves_nothing_of_itself(file: SqliteFile) -> None:
    await file.make()
    with pytest.raises(sqlite3.IntegrityError):
        await insert(file, 1, 2, 1)
    assert await numbers(file) == []


async def test_a_locked_file_is_unavailable_until_it_is_free(
    file: SqliteFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.sqlite.BUSY_SECONDS", 0.05)
    await file.make()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            await insert(file, 1)
        assert await numbers(file) == []
        other.execute("ROLLBACK")
    await insert(file, 1)
    assert await numbers(file) == [1]


async def test_a_full_disk_is_unavailable_and_stores_nothing_by_halves(file: SqliteFile) -> None:
    await file.make()

    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
        connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(number, "x" * 4000) for number in range(20)])

    with pytest.raises(UnavailableError, match="full"):
        await file.write(fill)
    assert await numbers(file) == []


async def test_a_read_only_file_is_unavailable(file: SqliteFile) -> None:
    await file.make()
    await file.read(lambda connection: connection.execute("PRAGMA query_only = ON"))
    with pytest.raises(UnavailableError, match="readonly"):
        await insert(file, 1)
    # The next attempt has a connection of its own.
    await insert(file, 1)


async def test_a_folder_that_vanished_is_unavailable_and_not_begun_anew(file: SqliteFile, path: Path) -> None:
    await file.make()
    await insert(file, 1)
    elsewhere = path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(UnavailableError, match=r"numbers\.sqlite3"):
        await insert(file, 2)
    assert not path.parent.exists()
    elsewhere.rename(path.parent)
    await insert(file, 2)
    assert await numbers(file) == [1, 2]


async def test_a_file_that_was_removed_takes_no_rows_into_nowhere(file: SqliteFile, path: Path) -> None:
    await file.make()
    await insert(file, 1)
    for entry in path.parent.iterdir():
        entry.unlink()
    await insert(file, 2)
    reader = SqliteFile(path, schema=SCHEMA)
    assert await numbers(reader) == [2]
    await reader.close()


async def test_a_file_of_something_else_is_unavailable_and_stays_as_it_is(file: SqliteFile, path: Path) -> None:
    notes = b"these are notes of mine, and nothing else\n" * 100
    path.parent.mkdir()
    path.write_bytes(notes)  # noqa: ASYNC240 - a test
    with pytest.raises(UnavailableError, match="not a database"):
        await file.make()
    assert path.read_bytes() == notes  # noqa: ASYNC240 - a test


async def test_a_folder_that_cannot_be_made_is_unavailable(file: SqliteFile, path: Path) -> None:
    path.parent.write_text("a file is in the way")
    with pytest.raises(UnavailableError, match="cannot be used"):
        await file.make()
