"""What is particular to the SQLite store: its file, and what happens when that cannot be used."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.messages import Kind
from timeseries import OccupancyPoint, Width, Window
from timeseries import sqlite as sqlite_module
from timeseries.sqlite import SqliteOccupancyStore

POINT = OccupancyPoint(window=Window(width=Width.MINUTE, start=60_000, zone="campus", kind=Kind.CAR), devices=3)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteOccupancyStore]:
    async with SqliteOccupancyStore(file=tmp_path / "data" / "timeseries.sqlite3") as opened:
        yield opened


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def stored(store: SqliteOccupancyStore) -> list[OccupancyPoint]:
    return await store.history(zone="campus", kind=Kind.CAR, width=Width.MINUTE, start=0, end=10**13)


async def test_the_files_are_for_their_owner_alone(store: SqliteOccupancyStore, tmp_path: Path) -> None:
    await store.write([POINT])
    names = names_in(tmp_path / "data")
    assert names == ["timeseries.sqlite3", "timeseries.sqlite3-shm", "timeseries.sqlite3-wal"]
    assert {stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) for name in names} == {0o600}


async def test_opening_makes_nothing(tmp_path: Path) -> None:
    async with SqliteOccupancyStore(file=tmp_path / "timeseries.sqlite3"):
        pass
    assert names_in(tmp_path) == []


async def test_a_locked_file_is_unavailable_until_it_is_free(
    store: SqliteOccupancyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_SECONDS", 0.0)
    await store.setup()
    with closing(sqlite3.connect(tmp_path / "data" / "timeseries.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            await store.write([POINT])
        assert await stored(store) == []
        other.execute("ROLLBACK")
    await store.write([POINT])
    assert await stored(store) == [POINT]


async def test_a_folder_that_cannot_be_made_is_unavailable_until_it_can(
    store: SqliteOccupancyStore, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file is in the way", encoding="utf-8")
    with pytest.raises(Unavailable, match=r"timeseries\.sqlite3 cannot be used"):
        await store.write([POINT])
    (tmp_path / "data").unlink()
    await store.write([POINT])
    assert await stored(store) == [POINT]


async def test_a_read_only_store_is_unavailable(store: SqliteOccupancyStore) -> None:
    await store.setup()
    assert store._connection is not None
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match="readonly database"):
        await store.write([POINT])
    # The next attempt has a new connection.
    await store.write([POINT])
    assert await stored(store) == [POINT]


async def test_a_file_that_is_no_database_is_unavailable(store: SqliteOccupancyStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "timeseries.sqlite3").write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await store.setup()


async def test_a_write_that_fails_leaves_nothing_of_its_batch(store: SqliteOccupancyStore) -> None:
    await store.setup()
    impossible = OccupancyPoint(window=POINT.window, devices=2**63)
    with pytest.raises(OverflowError):
        await store.write([POINT, impossible])
    assert await stored(store) == []


async def test_history_is_read_from_the_index(store: SqliteOccupancyStore, tmp_path: Path) -> None:
    await store.write([POINT])
    names = {"width": "1m", "zone": "campus", "kind": "car"}
    with closing(sqlite3.connect(tmp_path / "data" / "timeseries.sqlite3")) as connection:
        history = connection.execute(
            f"EXPLAIN QUERY PLAN {sqlite_module._HISTORY}", ("1m", "campus", "car", 0, 1, 2)
        ).fetchall()
        extent = connection.execute(f"EXPLAIN QUERY PLAN {sqlite_module._EXTENT}", names).fetchall()
    plans = [row[3] for row in [*history, *extent]]
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or plan == "SCAN occupancy"]
    assert any("(width=? AND zone=? AND kind=? AND start>? AND start<?)" in plan for plan in plans)


async def test_a_history_of_too_many_points_is_refused(
    store: SqliteOccupancyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "MAX_POINTS", 2)
    monkeypatch.setattr("timeseries.store.MAX_POINTS", 2)
    minutes = [Window(width=Width.MINUTE, start=start, zone="campus", kind=Kind.CAR) for start in (0, 60_000, 120_000)]
    await store.write([OccupancyPoint(window=window, devices=1) for window in minutes[:2]])
    assert len(await stored(store)) == 2
    await store.write([OccupancyPoint(window=window, devices=1) for window in minutes])
    with pytest.raises(ValueError, match="more than 2 windows"):
        await stored(store)
