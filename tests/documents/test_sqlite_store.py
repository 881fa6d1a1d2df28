import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
