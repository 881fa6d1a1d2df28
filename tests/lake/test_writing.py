"""What is written: which files, in which order, with which metadata; and that all of it comes back."""

import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kinds import KindId
from core.messages import Position
from lake.parquet import from_parquet, schema_name
from lake.reading import paths, read_table
from lake.rows import Row, WindowRow, from_positions_table
from lake.schema import COVERAGE, POSITIONS
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions, write_table, write_windows
from tests.lake.samples import ANN, BOB, FULL, row

AT = 1795444500000


def test_positions_go_by_date_and_hour_of_event_time_in_utc(lake: Lake) -> None:
    rows = [
        row(at="2026-11-23T14:59:59.999Z"),
        row(at="2026-11-24T01:30:00+02:00"),
        row(at="2026-11-23T14:00:00Z"),
        row(at="2026-11-24T00:00:00Z"),
    ]
    written = write_positions(lake, rows, clock=lambda: AT)
    assert [each.rows for each in written] == [2, 1, 1]
    folders, names = zip(*(each.path.rsplit("/", 1) for each in written), strict=True)
    assert folders == (
        "positions/date=2026-11-23/hour=14",
        "positions/date=2026-11-23/hour=23",
        "positions/date=2026-11-24/hour=00",
    )
    assert {name[:19] for name in names} == {"part-1795444500000-"}
    assert len(set(names)) == 3
    assert [(stored.path, stored.size) for stored in lake.list("positions")] == [
        (each.path, each.size) for each in written
    ]


def test_a_file_is_sorted_by_device_and_time_whatever_order_rows_come_in(lake: Lake) -> None:
    rows = [
        row(device=BOB, at="2026-11-23T14:00:00Z"),
        row(at="2026-11-23T14:00:02Z"),
        row(at="2026-11-23T14:00:01Z"),
    ]
    [written] = write_positions(lake, rows)
    table = read_table(lake, written.path)
    assert table["_id"].to_pylist() == [
        f"{ANN}-001795442401000",
        f"{ANN}-001795442402000",
        f"{BOB}-001795442400000",
    ]


def test_of_one_device_at_one_millisecond_the_greater_zones_stay_and_then_what_came_first(lake: Lake) -> None:
    rows = [
        row(zones=("campus",), received_at=1),
        row(zones=("campus", "library"), received_at=3),
        row(zones=("campus", "library"), received_at=2),
        row(zones=("campus", "car-park"), received_at=1),
    ]
    [written] = write_positions(lake, rows)
    assert written.rows == 1
    [(_, stays)] = from_positions_table(read_table(lake, written.path))
    assert (stays.zones, stays.received_at) == (("campus", "library"), 2)


def test_a_file_says_its_schema_and_that_it_is_geoparquet(lake: Lake) -> None:
    [written] = write_positions(lake, [row(), row(device=BOB, longitude=-8.5, latitude=52.7)])
    file = pq.ParquetFile(pa.BufferReader(lake.get(written.path)))
    assert file.schema_arrow.remove_metadata() == POSITIONS.remove_metadata()
    assert schema_name(file.schema_arrow) == "positions/1"
    assert json.loads(file.schema_arrow.metadata[b"geo"]) == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Point"],
                "bbox": [-8.5713, 52.6735, -8.5, 52.7],
            }
        },
    }
    group = file.metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert [(name, column.bloom_filter_length is not None) for name, column in columns.items()][:4] == [
        ("_id", False),
        ("kind", False),
        ("device", True),
        ("observed_at", False),
    ]
    assert group.sorting_columns == (pq.SortingColumn(2), pq.SortingColumn(3))
    # A point as WKB: little endian, type 1, longitude, latitude.
    assert file.read()["geometry"][0].as_py().hex() == "01" + "01000000" + "dc68006f812421c0" + "91ed7c3f35564a40"


times = st.integers(0, 253_402_300_799_999)
numbers = st.none() | st.floats(-1e6, 1e6)
positions = st.builds(
    Position,
    kind=st.sampled_from(["car", "mobile", "bus-2"]).map(KindId),
    device=st.sampled_from([ANN, BOB, "0" * 32]),
    observed_at=times,
    received_at=times,
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    zones=st.lists(st.sampled_from(["campus", "a", "b.c", "d-e"]), max_size=4, unique=True).map(tuple),
    cell=st.sampled_from(["gc3v1x2y", "gc3v1x2z"]),
    altitude=numbers,
    accuracy=numbers,
    speed=numbers,
    heading=numbers,
    fence=st.sampled_from(["", "0f1e2d3c"]),
    implausible=st.booleans(),
    inaccurate=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(positions, min_size=1, max_size=8, unique_by=lambda position: (position.device, position.observed_at)))
def test_every_position_comes_back_as_it_was(some: list[Position]) -> None:
    rows: list[Row] = [row(position) for position in some]
    with TemporaryDirectory() as folder:
        lake = open_lake(LakeSettings(), Path(folder))
        back = [
            each
            for written in write_positions(lake, rows)
            for each in from_positions_table(read_table(lake, written.path))
        ]
    assert sorted(back) == sorted(rows)


def test_what_a_position_does_not_say_is_null_and_what_it_says_is_there(lake: Lake) -> None:
    [written] = write_positions(lake, [row(), row(FULL, device=BOB)])
    sparse, full = read_table(lake, written.path).to_pylist()
    optional = ("altitude", "accuracy", "speed", "heading", "fence", "implausible", "inaccurate")
    assert [sparse[name] for name in optional] == [None, None, None, None, None, False, False]
    assert [full[name] for name in optional] == [12.5, 4.0, 1.25, 359.5, "0f1e2d3c", True, True]


def test_of_a_window_that_comes_twice_the_newest_stays(lake: Lake) -> None:
    at = 1795392000000
    rows = [
        WindowRow("library", "car", "5m", at, at + 300_000, 3, at + 1),
        WindowRow("library", "car", "5m", at, at + 300_000, 4, at + 2),
        WindowRow("library", "car", "5m", at - 1, at + 299_999, 1, at + 2),
        WindowRow("campus", "car", "5m", at, at + 300_000, 9, at + 1),
    ]
    before, after = write_windows(lake, rows, clock=lambda: AT)
    assert before.path.startswith("occupancy/date=2026-11-22/part-1795444500000-")
    assert after.path.startswith("occupancy/date=2026-11-23/part-1795444500000-")
    table = from_parquet(lake.get(after.path))
    assert schema_name(table.schema) == "occupancy/1"
    assert table.select(["zone", "devices"]).to_pylist() == [
        {"zone": "campus", "devices": 9},
        {"zone": "library", "devices": 4},
    ]


def test_a_table_of_results_is_replaced_as_a_whole(lake: Lake) -> None:
    path = "results/visits/date=2026-11-23/part-0.parquet"
    write_table(lake, path, pa.table({"zone": ["a", "b"]}))
    written = write_table(lake, path, pa.table({"zone": ["c"]}))
    assert (written.path, written.rows) == (path, 1)
    table = read_table(lake, path)
    assert table.to_pylist() == [{"zone": "c"}]
    assert schema_name(table.schema) == "results/visits/1"


def test_nothing_but_positions_names_devices(lake: Lake) -> None:
    with pytest.raises(ValueError, match="only positions may name devices"):
        write_table(lake, "results/visits/date=2026-11-23/part-0.parquet", pa.table({"device": [ANN]}))
    with pytest.raises(ValueError, match="no row"):
        write_table(lake, "coverage/date=2026-11-23/part-0.parquet", COVERAGE.empty_table())


def test_paths_are_those_of_dates_from_the_first_to_before_the_last(lake: Lake) -> None:
    times = [f"2026-11-{day}T0{hour}:00:00Z" for day in (22, 23, 24) for hour in (1, 0)]
    written = write_positions(lake, [row(at=at) for at in times])
    found = paths(lake, "positions", date(2026, 11, 22), date(2026, 11, 24))
    assert [lake.path(address) for address in found] == [each.path for each in written[:4]]
    assert paths(lake, "positions", date(2026, 11, 24), date(2026, 11, 24)) == []
    assert paths(lake, "results/visits", date(2026, 11, 22), date(2026, 11, 24)) == []


def test_rows_of_a_position_are_not_changed_by_being_written(lake: Lake) -> None:
    rows = [row(), row(FULL, device=BOB)]
    before = msgspec.msgpack.encode(rows)
    write_positions(lake, rows)
    assert msgspec.msgpack.encode(rows) == before
