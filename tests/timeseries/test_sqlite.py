"""What is particular to the SQLite store; how it treats its file is tested with runtime.sqlite."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core.kinds import DEFAULT_KINDS
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import OccupancyPoint, Width, Window, Written
from timeseries import sqlite as sqlite_module
from timeseries.sqlite import SqliteOccupancyStore

POINT = OccupancyPoint(window=Window(width=Width.MINUTE, start=60_000, zone="campus", kind=CAR), devices=3)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteOccupancyStore]:
    async with SqliteOccupancyStore(file=tmp_path / "data" / "timeseries.sqlite3") as opened:
        await opened.setup()
        yield opened


async def stored(store: SqliteOccupancyStore) -> list[OccupancyPoint]:
    return await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=0, end=10**13)


async def test_a_write_that_fails_leaves_nothing_of_its_batch(store: SqliteOccupancyStore) -> None:
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
        series = connection.execute(f"EXPLAIN QUERY PLAN {sqlite_module._NEXT_SERIES}", ("1m", "a", "car")).fetchall()
        extent = connection.execute(f"EXPLAIN QUERY PLAN {sqlite_module._EXTENT}", names).fetchall()
    plans = [row[3] for row in [*history, *extent, *series]]
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or plan == "SCAN occupancy"]
    assert any("(width=? AND zone=? AND kind=? AND start>? AND start<?)" in plan for plan in plans)


async def test_a_store_of_too_many_series_is_refused(
    store: SqliteOccupancyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "MAX_SERIES", 2)
    monkeypatch.setattr("timeseries.store.MAX_SERIES", 2)
    zones = ["a", "b", "c"]
    for count, zone in enumerate(zones):
        assert len(await store.series(Width.MINUTE)) == count
        await store.write([OccupancyPoint(Window(Width.MINUTE, 0, zone, CAR), 1)])
    with pytest.raises(ValueError, match="more than 2 zones"):
        await store.series(Width.MINUTE)


async def test_a_history_of_too_many_points_is_refused(
    store: SqliteOccupancyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "MAX_POINTS", 2)
    monkeypatch.setattr("timeseries.store.MAX_POINTS", 2)
    minutes = [Window(width=Width.MINUTE, start=start, zone="campus", kind=CAR) for start in (0, 60_000, 120_000)]
    await store.write([OccupancyPoint(window=window, devices=1) for window in minutes[:2]])
    assert len(await stored(store)) == 2
    await store.write([OccupancyPoint(window=window, devices=1) for window in minutes])
    with pytest.raises(ValueError, match="more than 2 windows"):
        await stored(store)


async def test_what_is_older_than_is_kept_is_dropped_series_by_series(tmp_path: Path) -> None:
    file = tmp_path / "data" / "timeseries.sqlite3"
    day = 86_400_000

    def points(width: Width) -> list[OccupancyPoint]:
        return [
            OccupancyPoint(Window(width, number * day, zone, kind), devices=1)
            for number in range(5)
            for zone in ("campus", "library")
            for kind in DEFAULT_KINDS.ids
        ]

    async with SqliteOccupancyStore(file=file) as store:
        await store.setup()
        await store.write([*points(Width.MINUTE), *points(Width.DAY)])
        assert await store.drop_expired() == 0
    keep = {Width.MINUTE: 3 * day}
    async with SqliteOccupancyStore(file=file, keep=keep, clock=lambda: 5 * day) as store:
        assert await store.drop_expired() == 2 * 4
        assert await store.drop_expired() == 0
        for width, left in ((Width.MINUTE, [2, 3, 4]), (Width.DAY, [0, 1, 2, 3, 4])):
            found = await store.history(zone="library", kind=MOBILE, width=width, start=0, end=10 * day)
            assert [point.window.start // day for point in found] == left
        assert await store.write(points(Width.MINUTE)) == Written(expired=2 * 4)
