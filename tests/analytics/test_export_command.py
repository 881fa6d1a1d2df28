import json
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from analytics.engines.duck import DuckEngine
from analytics.export_command import Filled, Filler, WindowsFiller, gaps_of
from analytics.running import Sources, run_job
from core.kinds import KindId
from core.windows import Width, Window
from documents import DocumentSettings
from documents import open_store as open_documents
from documents.store import DocumentStore
from lake.compacting import compact
from lake.layout import COVERAGE, GAPS, OCCUPANCY, POSITIONS
from lake.lock import held
from lake.reading import read_table
from lake.store import Lake
from tests.analytics.crowd import DAY, HOUR, MONDAY, row
from timeseries import Coverage, OccupancyPoint, TimeseriesSettings, TimeseriesStore, open_store
from timeseries.sqlite import SqliteOccupancyStore

CAR = KindId("car")
NOW = MONDAY + 3 * DAY
MINUTE = 60_000


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[DocumentStore, TimeseriesStore]]:
    async with (
        open_documents(DocumentSettings(data_dir=tmp_path)) as documents,
        open_store(TimeseriesSettings(data_dir=tmp_path)) as series,
    ):
        await documents.setup()
        await series.setup()
        yield documents, series


@pytest.fixture
def filler(stores: tuple[DocumentStore, TimeseriesStore], lake: Lake) -> Filler:
    documents, series = stores
    return Filler(lake=lake, documents=documents, series=series, zone=ZoneInfo("Europe/Dublin"), clock=lambda: NOW)


async def test_a_lake_is_filled_from_both_stores_and_twice_is_not_counted_twice(
    filler: Filler, stores: tuple[DocumentStore, TimeseriesStore], lake: Lake, duck: DuckEngine, sources: Sources
) -> None:
    documents, series = stores
    await documents.put([row("a" * 32, MONDAY + hour * HOUR + 5 * MINUTE, "campus")[1] for hour in (8, 9, 30)])
    points = [(Width.HOUR, MONDAY + 8 * HOUR), (Width.DAY, MONDAY), (Width.MINUTE, MONDAY + 8 * HOUR + 5 * MINUTE)]
    await series.write([OccupancyPoint(Window(width, at, "campus", CAR), 1) for width, at in points])
    whole = (1 << 60) - 1
    await series.write_coverage([Coverage("campus", CAR, MONDAY + hour * HOUR, whole) for hour in (8, 9)])

    for _ in range(2):
        await filler.fill(MONDAY, MONDAY + DAY)

    assert (filler.filled.positions, filler.filled.windows, filler.filled.hours) == (4, 6, 4)
    visits = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources).to_pylist()
    assert [(each["entries"], each["exits"]) for each in visits] == [(1, 0), (0, 1)]
    profiles = run_job(duck, "profiles", MONDAY, MONDAY + DAY, sources).to_pylist()
    assert [each["median"] for each in profiles] == [1.0, 0.0]
    (coverage,) = lake.list(COVERAGE)
    assert read_table(lake, coverage.path)["minutes"].to_pylist() == [whole, whole]
    assert len(lake.list(POSITIONS)) == 4

    with held(lake, "a test") as hold:
        compact(lake, hold, now=NOW)

    assert len(lake.list(POSITIONS)) == 2
    (occupancy,) = lake.list(OCCUPANCY)
    assert sorted(read_table(lake, occupancy.path)["width"].to_pylist()) == ["1d", "1h", "1m"]


async def test_a_gap_that_was_noted_is_found_and_what_is_no_gap_is_none(filler: Filler, lake: Lake) -> None:
    lake.put(f"{GAPS}/a.json", json.dumps({"from": "2026-11-23T08:00:00Z", "until": "2026-11-23T09:00:00Z"}).encode())
    lake.put(f"{GAPS}/b.json", b"hello")

    (gap,) = gaps_of(lake)

    assert (gap.start, gap.end) == (MONDAY + 8 * HOUR, MONDAY + 9 * HOUR)
    await filler.fill_positions(gap.start, gap.end)
    assert filler.filled.positions == 0


async def test_where_nothing_was_recorded_coverage_that_was_wrong_goes(
    stores: tuple[DocumentStore, TimeseriesStore], lake: Lake
) -> None:
    _, series = stores
    filler = WindowsFiller(lake=lake, series=series, zone=ZoneInfo("Europe/Dublin"))
    await series.write_coverage([Coverage("campus", CAR, MONDAY, 1)])
    await filler.fill(MONDAY, MONDAY + HOUR)
    assert len(lake.list(COVERAGE)) == 1
    await series.drop("campus", CAR, start=MONDAY, end=MONDAY + DAY)

    await filler.fill(MONDAY, MONDAY + HOUR)

    assert lake.list(COVERAGE) == []


async def test_recorded_hours_that_the_store_does_not_keep_any_more_stay_in_the_lake(
    stores: tuple[DocumentStore, TimeseriesStore], lake: Lake, tmp_path: Path
) -> None:
    _, series = stores
    await series.write_coverage([Coverage("campus", CAR, MONDAY + hour * HOUR, 1) for hour in range(4)])
    await WindowsFiller(lake=lake, series=series, zone=ZoneInfo("Europe/Dublin")).fill(MONDAY, MONDAY + DAY)
    clock = [MONDAY + 7 * DAY + 2 * HOUR]
    async with SqliteOccupancyStore(
        file=tmp_path / "shorter.sqlite3", keep={Width.HOUR: 7 * DAY}, clock=lambda: clock[-1]
    ) as shorter:
        await shorter.setup()
        await shorter.write_coverage([Coverage("campus", CAR, MONDAY + 3 * HOUR, 3)])
        filler = WindowsFiller(lake=lake, series=shorter, zone=ZoneInfo("Europe/Dublin"))
        found = []
        for now in (*clock, MONDAY + 9 * DAY):
            clock.append(now)
            await filler.fill(MONDAY, MONDAY + DAY)
            rows = read_table(lake, "coverage/date=2026-11-23/part-0.parquet")
            found.append((rows["hour"].cast(pa.int64()).to_pylist(), rows["minutes"].to_pylist()))

    # Of hours that are kept what the store says: one is not recorded, and one is otherwise.
    hours = [MONDAY, MONDAY + HOUR, MONDAY + 3 * HOUR]
    assert found == [(hours, [1, 1, 3])] * 2


async def test_only_dates_without_coverage_and_the_newest_are_filled_again(
    stores: tuple[DocumentStore, TimeseriesStore], lake: Lake
) -> None:
    _, series = stores
    await series.write_coverage([Coverage("campus", CAR, MONDAY + day * DAY, 1) for day in range(3)])
    filled = Filled()
    filler = WindowsFiller(lake=lake, series=series, zone=ZoneInfo("Europe/Dublin"), filled=filled)

    await filler.fill_missing(MONDAY, MONDAY + 3 * DAY, again=MONDAY + 2 * DAY)
    assert filled.hours == 3
    await filler.fill_missing(MONDAY, MONDAY + 3 * DAY, again=MONDAY + 2 * DAY)
    assert filled.hours == 4
