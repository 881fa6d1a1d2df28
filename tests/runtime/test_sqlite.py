import asyncio
import random
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import UnavailableError
from runtime.sqlite import SqliteFile, deletes

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


SPLIT = "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID"


async def notes_of(path: Path, *, erased: str) -> SqliteFile:
    """A file whose pages have been split often, of which the notes of one name were deleted again."""
    file = SqliteFile(path, schema=SPLIT)
    await file.make()
    chance = random.Random(4)  # noqa: S311 - the same pages every time

    def insert(connection: sqlite3.Connection) -> None:
        # As earlier versions wrote it: copies of rows stay in pages that are split.
        connection.execute("PRAGMA secure_delete = OFF").fetchall()
        for number in range(4000):
            name = erased if number % 40 == 0 else f"another-{number % 40}"
            row = (f"{chance.random()}-{name}", "x" * chance.choice([100, 300, 600, 1500]) + name)
            connection.execute("INSERT INTO notes VALUES (?, ?)", row)

    def delete(connection: sqlite3.Connection) -> None:
        deletes(connection)
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        connection.execute("DELETE FROM notes WHERE name LIKE ?", (f"%-{erased}",))

    await file.write(insert)
    await file.write(delete)
    return file


def times_in(path: Path, text: str) -> int:
    return sum(each.read_bytes().count(text.encode()) for each in path.parent.iterdir())


async def test_after_a_purge_nothing_of_what_was_deleted_is_in_the_file_or_beside_it(path: Path) -> None:
    file = await notes_of(path, erased="gone")
    assert times_in(path, "gone") > 0
    await file.purge()
    assert times_in(path, "gone") == 0
    assert await file.read(lambda connection: connection.execute("SELECT count(*) FROM notes").fetchone()[0]) == 3900
    await file.close()


async def test_a_purge_writes_the_file_anew_only_where_something_was_deleted_since(path: Path) -> None:
    file = await notes_of(path, erased="gone")

    async def written() -> bool:
        log = path.with_name(f"{path.name}-wal")
        traced: list[str] = []
        await file.read(lambda connection: connection.set_trace_callback(traced.append))
        await file.purge()
        await file.read(lambda connection: connection.set_trace_callback(None))
        assert log.stat().st_size == 0
        return "VACUUM" in traced

    assert [await written(), await written()] == [True, False]
    await file.write(deletes)
    assert [await written(), await written()] == [True, False]
    await file.close()


async def test_a_purge_while_somebody_reads_is_to_be_repeated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sqlite.BUSY_SECONDS", 0.2)
    file = await notes_of(path, erased="gone")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notes").fetchone()
        with pytest.raises(UnavailableError, match="is being used, and what was deleted is still in its log"):
            await file.purge()
        assert times_in(path, "gone") > 0
    await file.purge()
    assert times_in(path, "gone") == 0
    await file.close()
