"""The jobs on a lake in a bucket: DuckDB reads it without an extension of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from analytics.engines.duck import DuckEngine
from analytics.keeping import keep_in_lake, kept_in_lake
from analytics.running import Slice, Sources, check, run_job
from lake.layout import POSITIONS, date_of, one_part, results_prefix
from lake.reading import filesystem
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions
from tests.analytics.crowd import DAY, HOUR, MONDAY, row
from tests.lake.conftest import bucket_settings, s3

__all__ = ["bucket_settings", "s3"]


@pytest.fixture
def bucket(bucket_settings: LakeSettings, tmp_path: Path) -> Lake:
    return open_lake(bucket_settings, tmp_path, retry_seconds=1)


@pytest.fixture
def engine(bucket: Lake, tmp_path: Path) -> Iterator[DuckEngine]:
    opened = DuckEngine(memory="256MB", threads=1, spill=tmp_path / "spill", filesystem=filesystem(bucket))
    try:
        yield opened
    finally:
        opened.close()


def test_visits_of_a_bucket_are_found_checked_and_kept_there(
    bucket: Lake, engine: DuckEngine, sources: Sources
) -> None:
    in_bucket = replace(sources, lake=bucket)
    write_positions(bucket, [row("a" * 32, MONDAY + hour * HOUR, "campus") for hour in (8, 9, 12)])

    visits = run_job(engine, "visits", MONDAY, MONDAY + DAY, in_bucket)

    assert [(each["entries"], each["exits"]) for each in visits.to_pylist()] == [(1, 0), (0, 1), (1, 0), (0, 1)]
    assert check(engine, visits, MONDAY, MONDAY + DAY, in_bucket).num_rows == 0
    keep_in_lake(bucket, "visits", Slice(MONDAY, MONDAY + DAY, visits))
    kept = kept_in_lake(bucket, one_part(results_prefix("visits", date_of(MONDAY))))
    assert kept is not None
    assert kept.num_rows == 4


def test_a_file_of_a_bucket_that_is_gone_is_not_found(bucket: Lake, engine: DuckEngine) -> None:
    write_positions(bucket, [row("a" * 32, MONDAY, "campus")])
    (stored,) = bucket.list(POSITIONS)
    address = bucket.address(stored.path)
    engine.files("positions", [address])
    bucket.delete([stored.path])

    with pytest.raises(FileNotFoundError):
        engine.rows("select count(*) as positions from raw_positions")
    with pytest.raises(FileNotFoundError):
        engine.files("positions", [address])
