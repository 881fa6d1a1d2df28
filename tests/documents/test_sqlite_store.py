import asyncio
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import documents.sqlite
from core.errors import Unavailable
from documents.document import document_id
from documents.sqlite import SQLiteStore
from tests.documents.positions import position

REPOSITORY = Path(__file__).parents[2]
WRITER = """
import asyncio, sys
from pathlib import Path
from documents.sqlite import SQLiteStore
from tests.documents.positions import position

async def main():
    store = SQLiteStore(Path(sys.argv[1]))
    first = int(sys.argv[2])
    for start in range(first, first + 200, 10):
        assert await store.put([position(number) for number in range(start, start + 10)]) == 10
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "documents.sqlite3"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(file)
    await store.setup()
    yield store
    await store.close()


async def test_nobody_else_may_read_the_files(store: SQLiteStore, file: Path) -> None:
    await store.put([position()])

    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {
        "documents.sqlite3": 0o600,
        "documents.sqlite3-shm": 0o600,
        "documents.sqlite3-wal": 0o600,
    }


async def test_several_processes_write_and_read_at_the_same_time(store: SQLiteStore, file: Path) -> None:
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, file, str(first), cwd=REPOSITORY)
        for first in (0, 200)
    ]
    done = asyncio.gather(*(writer.wait() for writer in writers))
    seen = []
    while not done.done():
        seen.append(await store.count())

    assert await done == [0, 0]
    assert seen == sorted(seen)
    # Each put is a transaction: nobody sees a part of it.
    assert {count % 10 for count in seen} == {0}
    assert await store.count() == 400


async def test_a_scan_holds_no_writer_up(store: SQLiteStore, file: Path) -> None:
    await store.put([position(number) for number in range(4)])
    scan = aiter(store.scan(page=2))
    await anext(scan)

    other = SQLiteStore(file)
    assert await other.put([position(9)]) == 1
    await other.close()

    assert [document["_id"] async for document in scan] == [document_id(position(number)) for number in (1, 2, 3, 9)]


async def test_a_file_that_somebody_else_keeps_locked_is_unavailable_for_writing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents.sqlite, "BUSY_SECONDS", 0.05)
    impatient = SQLiteStore(file)
    await impatient.setup()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        await impatient.put([position()])
    assert await impatient.count() == 0
    other.execute("ROLLBACK")
    other.close()

    assert await impatient.put([position()]) == 1
    await impatient.close()


async def test_a_full_disk_is_unavailable_and_stores_nothing_by_halves(store: SQLiteStore) -> None:
    await store.put([position(0)])
    connection = await store._run(store._connect)
    pages = await store._run(lambda: connection.execute("PRAGMA page_count").fetchone()[0])
    await store._run(lambda: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())

    with pytest.raises(Unavailable, match="full"):
        await store.put([position(number) for number in range(1, 200)])

    assert await store.count() == 1
    assert await store.put([position(1)]) == 1


async def test_a_folder_that_vanished_is_unavailable_until_it_is_back(store: SQLiteStore, file: Path) -> None:
    await store.put([position(1)])
    elsewhere = file.parent.rename(file.parent.with_name("elsewhere"))

    with pytest.raises(Unavailable, match=r"documents\.sqlite3"):
        await store.put([position(2)])
    assert not file.parent.exists()

    elsewhere.rename(file.parent)
    assert await store.put([position(1), position(2)]) == 1


async def test_a_file_that_was_removed_takes_no_documents_into_nowhere(store: SQLiteStore, file: Path) -> None:
    await store.put([position(1)])
    for path in file.parent.iterdir():
        path.unlink()

    await store.put([position(2)])

    reader = SQLiteStore(file)
    assert await reader.count() == 1
    await reader.close()


@pytest.fixture
def notes(file: Path) -> str:
    text = "these are notes of mine, and nothing else\n" * 100
    file.parent.mkdir()
    file.write_text(text)
    return text


async def test_a_file_of_something_else_is_an_error_and_stays_as_it_is(file: Path, notes: str) -> None:
    store = SQLiteStore(file)

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await store.setup()

    await store.close()
    with file.open() as kept:
        assert kept.read() == notes
