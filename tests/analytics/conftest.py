"""A lake in a folder, and DuckDB on it."""

import random
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from analytics.calendar import Calendar
from analytics.engines.duck import DuckEngine
from analytics.running import Sources
from analytics.zones import RELATED
from lake.layout import COVERAGE, POSITIONS, date_of, date_prefix, one_part
from lake.rows import POSITIONS_ORDER, WindowRow, positions_table
from lake.schema import COVERAGE as COVERAGE_SCHEMA
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import put_table, write_table, write_windows
from tests.analytics.crowd import CROWD_DAYS, DAY, HOUR, MONDAY, TTL, crowd_positions


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """This test's lake."""
    return open_lake(LakeSettings(), tmp_path)


@pytest.fixture
def sources(lake: Lake) -> Sources:
    """It, where a device is present for an hour after a position, and a room is in the library."""
    related = pa.table([["library", "room"], ["room", "library"]], schema=RELATED)
    return Sources(lake=lake, related=related, zone=ZoneInfo("Europe/Dublin"), calendar=Calendar(), presence_ttl_ms=TTL)


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[DuckEngine]:
    """DuckDB, with little memory."""
    engine = DuckEngine(memory="256MB", threads=1, spill=tmp_path / "spill")
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def crowd(sources: Sources) -> Sources:
    """A lake of three days: 40 devices that walk about, twice over in places, and windows of an hour."""
    rows = list(crowd_positions(random.Random(1)))  # noqa: S311 - no secret
    for day in range(CROWD_DAYS):
        begin = MONDAY + day * DAY
        of_day = [each for each in rows if begin <= each[1].observed_at < begin + DAY]
        path = one_part(date_prefix(POSITIONS, date_of(begin)))
        put_table(sources.lake, path, positions_table(of_day), schema="positions/1", sorted_by=POSITIONS_ORDER)
        put_table(sources.lake, path.replace("part-0", "part-1"), positions_table(of_day[::9]), schema="positions/1")
        hours = range(begin, begin + DAY, HOUR)
        windows = [WindowRow("hall", "car", "1h", at, at + HOUR, at // HOUR % 17, at + HOUR) for at in hours]
        write_windows(sources.lake, windows)
        write_windows(sources.lake, [each._replace(devices=3, written_at=each.start) for each in windows[::5]])
        minutes = [(1 << 60 - number % 9) - 1 for number, _ in enumerate(hours)]
        columns = [["hall"] * len(hours), ["car"] * len(hours), list(hours), minutes]
        write_table(
            sources.lake,
            one_part(date_prefix(COVERAGE, date_of(begin))),
            pa.table(
                [pa.array(column, field.type) for column, field in zip(columns, COVERAGE_SCHEMA, strict=True)],
                schema=COVERAGE_SCHEMA,
            ),
        )
    return sources
