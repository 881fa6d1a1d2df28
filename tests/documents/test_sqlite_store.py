import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

import documents.sqlite
from core.errors import UnavailableError
from documents.document import document_id, to_document
from documents.merging import Field
from documents.query import PositionQuery
from documents.sqlite import _FIND, _OVER, _SCAN, SQLiteStore
from documents.store import Dropped
from tests.conftest import NOON
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
READER = """
import asyncio, sys
from pathlib import Path
from documents.query import PositionQuery
from documents.sqlite import SQLiteStore
from tests.conftest import NOON

async def main():
    store = SQLiteStore(Path(sys.argv[1]))
    query = PositionQuery(start=NOON, end=NOON + 1000, zone="campus")
    found = []
    while len(found) < int(sys.argv[2]):
        page = await store.find(query, limit=1000)
        assert len(page.documents) >= len(found) and len(page.documents) % 10 == 0
        found = page.documents
        times = [document["properties"]["observed_at"] for document in found]
        assert times == sorted(times, reverse=True)
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


async def test_several_processes_write_and_read_at_the_same_time(store: SQLiteStore, file: Path) -> None:
    others = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, file, str(number), cwd=REPOSITORY)
        for program, number in ((WRITER, 0), (WRITER, 200), (READER, 400), (READER, 400))
    ]
    done = asyncio.gather(*(other.wait() for other in others))
    seen = []
    while not done.done():
        seen.append(await store.count())

    assert await done == [0, 0, 0, 0]
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


@pytest.mark.parametrize("field", ["device", "zone", "tile"])
async def test_a_query_searches_an_index_and_sorts_nothing(store: SQLiteStore, field: Field) -> None:
    wanted = {"value": "x", "start": 0, "before": NOON, "id": "", "count": 10}

    def explain(connection: sqlite3.Connection) -> list[str]:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_FIND[field]}", wanted)]

    first, *others = await store._file.read(explain)

    # One entry of the index, and a range of its times; then each document by its key.
    assert first.startswith("SEARCH")
    assert f"({'zone' if field == 'zone' else field}=? AND observed_at>? AND " in first.replace("(observed_at,id)", "")
    assert not any("SCAN" in line or "TEMP B-TREE" in line for line in (first, *others))


async def test_a_scan_and_what_is_over_are_found_by_the_index_of_times(store: SQLiteStore) -> None:
    def explain(connection: sqlite3.Connection) -> list[str]:
        scan = connection.execute(f"EXPLAIN QUERY PLAN {_SCAN}", (0, "", NOON, 10))
        over = connection.execute(f"EXPLAIN QUERY PLAN {_OVER}", (NOON, 10))
        return [row[3] for row in (*scan, *over)]

    plans = await store._file.read(explain)

    assert len(plans) == 2
    assert all(plan.startswith("SEARCH positions USING INDEX by_time") for plan in plans)


async def test_a_file_of_the_earlier_version_is_taken_over(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.sqlite, "CHUNK", 7)
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as earlier:
        earlier.execute("CREATE TABLE documents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID")
        for number in range(20):
            document = to_document(position(number))
            del document["properties"]["tile"]
            earlier.execute("INSERT INTO documents VALUES (?, ?)", (document["_id"], json.dumps(document)))
        earlier.commit()
    store = SQLiteStore(file)

    for _ in range(2):
        await store.setup()

        assert await store.count() == 20
        assert await store.get(document_id(position(3))) == to_document(position(3))
        page = await store.find(PositionQuery(start=0, end=NOON + 100, zone="car-park-west"), limit=30)
        assert len(page.documents) == 20
    await store.close()


async def test_an_earlier_file_with_something_else_in_it_is_left_as_it_is_and_says_what(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as earlier:
        earlier.execute("CREATE TABLE documents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID")
        for name, body in (("a", json.dumps(to_document(position(1)))), ("b", "{}")):
            earlier.execute("INSERT INTO documents VALUES (?, ?)", (name, body))
        earlier.commit()
    store = SQLiteStore(file)

    with pytest.raises(
        UnavailableError, match=r"documents.sqlite3 cannot be taken over: the document 'b'.*is no position"
    ):
        await store.setup()

    await store.close()
    with closing(sqlite3.connect(file)) as earlier:
        assert earlier.execute("SELECT count(*) FROM documents").fetchone() == (2,)


async def test_nothing_of_what_was_dropped_is_left_in_the_file(file: Path) -> None:
    store = SQLiteStore(file)
    await store.setup()
    # Debian's SQLite overwrites without being told to.
    await store._file.read(lambda connection: connection.execute("PRAGMA secure_delete = OFF").fetchall())
    gone, kept = position(0xABC, observed_at=NOON - 90 * 86_400_000, zones=("campus", "a")), position(0xDEF)
    await store.put([gone, kept])

    await store.drop_before(NOON - 40 * 86_400_000)
    await store.close()

    content = await asyncio.to_thread(file.read_bytes)
    assert kept.device.encode() in content
    assert gone.device.encode() not in content


async def test_dropping_goes_in_steps_and_leaves_nothing_of_a_zone(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents.sqlite, "CHUNK", 7)
    await store.put([position(number, observed_at=number) for number in range(50)])

    assert await store.drop_before(NOON) == [Dropped("1970-01-01", 50)]

    def left(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT count(*) FROM zones").fetchone()[0])

    assert await store._file.read(left) == 0
