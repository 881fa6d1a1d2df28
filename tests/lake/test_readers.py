"""Others read the lake as it is: DuckDB and pandas, from a folder and from a bucket."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from lake.reading import filesystem, paths
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions
from tests.lake.samples import ANN, BOB, FULL, row

ROWS = [
    row(at="2026-11-23T08:00:00Z"),
    row(at="2026-11-23T14:05:06.789Z"),
    row(FULL, device=BOB, at="2026-11-24T08:00:00.001Z"),
]


def asked(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a question to DuckDB; `{positions}` are those of both dates."""
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        if files := filesystem(lake):
            connection.register_filesystem(files)
        connection.execute("set TimeZone = 'UTC'")
        found = paths(lake, "positions", date(2026, 11, 23), date(2026, 11, 25))
        options = "union_by_name = true, hive_partitioning = true, hive_types = {'date': date, 'hour': int}"
        return connection.execute(sql.format(positions=f"read_parquet({found!r}, {options})")).fetchall()


def test_duckdb_has_every_column_and_the_date_and_hour_of_the_folder(lake: Lake) -> None:
    write_positions(lake, ROWS)
    found = asked(
        lake,
        'select "date", "hour", device, epoch_ms(observed_at), longitude, latitude, zones, accuracy, fence, inaccurate'
        " from {positions} order by observed_at",
    )
    assert found == [
        (date(2026, 11, 23), 8, ANN, 1795420800000, -8.5713, 52.6735, ["campus", "library"], None, None, False),
        (date(2026, 11, 23), 14, ANN, 1795442706789, -8.5713, 52.6735, ["campus", "library"], None, None, False),
        (date(2026, 11, 24), 8, BOB, 1795507200001, -8.5713, 52.6735, ["campus", "library"], 4.0, "0f1e2d3c", True),
    ]


def test_duckdb_knows_where_positions_are_by_the_geometry_alone(lake: Lake) -> None:
    write_positions(lake, ROWS[:1])
    assert asked(lake, "select distinct typeof(geometry) from {positions}") == [("GEOMETRY('OGC:CRS84')",)]


def test_duckdb_skips_files_without_a_device_by_their_bloom_filter(lake: Lake) -> None:
    # So many devices that the least and the greatest of a file say nothing.
    devices = [f"{number * 7919 % 65521:032x}" for number in range(500)]
    [written] = write_positions(lake, [row(device=device) for device in devices])
    probe = "select bloom_filter_excludes from parquet_bloom_probe('{file}', 'device', '{device}')"
    sql = probe.replace("{file}", lake.address(written.path))
    present = asked(lake, sql.replace("{device}", devices[250]))
    absent = asked(lake, sql.replace("{device}", f"{3:032x}"[:-1] + "x"))
    assert (present, absent) == ([(False,)], [(True,)])


def test_pandas_reads_a_file(lake: Lake) -> None:
    written = write_positions(lake, ROWS)
    frame = pd.concat(
        [pd.read_parquet(lake.address(each.path), filesystem=filesystem(lake), partitioning=None) for each in written]
    )
    assert frame["_id"].tolist() == [ids for ids, _ in ROWS]
    assert frame["observed_at"].tolist() == [
        pd.Timestamp(datetime(2026, 11, 23, 8, tzinfo=UTC)),
        pd.Timestamp("2026-11-23T14:05:06.789Z"),
        pd.Timestamp("2026-11-24T08:00:00.001Z"),
    ]
    assert [list(zones) for zones in frame["zones"]] == [["campus", "library"]] * 3
    assert frame["accuracy"].isna().tolist() == [True, True, False]


def test_pandas_reads_a_folder_as_one_table(tmp_path: Path) -> None:
    write_positions(open_lake(LakeSettings(), tmp_path), ROWS)
    frame = pd.read_parquet(tmp_path / "lake" / "positions", columns=["device", "date", "hour"])
    assert list(frame.itertuples(index=False, name=None)) == [
        (ANN, "2026-11-23", 8),
        (ANN, "2026-11-23", 14),
        (BOB, "2026-11-24", 8),
    ]
