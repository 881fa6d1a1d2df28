"""A lake in a folder, and DuckDB on it."""

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from analytics.calendar import Calendar
from analytics.engines.duck import DuckEngine
from analytics.running import Sources
from analytics.zones import RELATED
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from tests.analytics.crowd import TTL


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
