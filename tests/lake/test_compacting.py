"""Compaction: the same rows in fewer files, each once, whenever it is killed."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import parse_rfc3339
from lake.compacting import Compacted, compact
from lake.lock import Hold, LockLostError, held
from lake.parquet import to_parquet
from lake.reading import read_table
from lake.rows import Row, WindowRow, from_positions_table
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions, write_windows
from tests.lake.dying import DyingLake, KilledError
from tests.lake.samples import ANN, BOB, FULL, row

NOW = parse_rfc3339("2026-11-23T17:00:00Z")
"""Two hours after the end of hour 14."""
HOUR_14 = "positions/date=2026-11-23/hour=14"


def compacted(lake: Lake, now: int = NOW) -> Compacted:
    """What is done in one go."""
    with held(lake, "test") as hold:
        return compact(lake, hold, now=now)


def rows_of(lake: Lake) -> list[Row]:
    """All rows of positions, in the order of files."""
    return [each for stored in lake.list("positions") for each in from_positions_table(read_table(lake, stored.path))]


def test_an_hour_that_is_over_for_two_hours_becomes_one_file(lake: Lake) -> None:
    rows = [row(at=f"2026-11-23T14:{minute:02d}:00Z", device=device) for minute in (5, 3, 4) for device in (BOB, ANN)]
    for each in rows:
        write_positions(lake, [each])
    late = [row(at="2026-11-23T15:00:00Z"), row(at="2026-11-23T15:00:01Z")]
    for each in late:
        write_positions(lake, [each])
    assert compacted(lake, NOW - 1) == Compacted()
    assert compacted(lake) == Compacted(made=1, files=6, rows=6, repeats=0)
    assert [len(lake.list(f"positions/date=2026-11-23/hour={hour}")) for hour in (14, 15)] == [1, 2]
    assert rows_of(lake) == [*sorted(rows), *late]
    assert compacted(lake) == Compacted()


def test_an_hour_with_very_many_files_is_compacted_before_it_is_over(tmp_path: Path) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    for second in range(63):
        write_positions(lake, [row(at=f"2026-11-23T14:00:{second % 60:02d}.{second:03d}Z")])
    now = parse_rfc3339("2026-11-23T14:30:00Z")
    assert compacted(lake, now) == Compacted()
    write_positions(lake, [row(at="2026-11-23T14:01:00Z")])
    assert compacted(lake, now) == Compacted(made=1, files=64, rows=64, repeats=0)


def test_repeats_are_dropped_by_the_rule_of_presence(lake: Lake) -> None:
    write_positions(lake, [row(zones=("campus", "library"), received_at=3)])
    write_positions(lake, [row(zones=("campus",), received_at=1), row(at="2026-11-23T14:50:00Z")])
    write_positions(lake, [row(zones=("campus", "library"), received_at=2)])
    assert compacted(lake) == Compacted(made=1, files=3, rows=2, repeats=2)
    _, first = rows_of(lake)[0]
    assert (first.zones, first.received_at) == (("campus", "library"), 2)


# 3 files: a put, and three deletions.
@pytest.mark.parametrize("steps", range(4))
def test_who_is_killed_at_any_step_leaves_every_row_and_the_next_one_ends_it(lake: Lake, steps: int) -> None:
    rows = [row(at=f"2026-11-23T14:0{minute}:00Z") for minute in range(3)]
    for each in rows:
        write_positions(lake, [each])
    dying = DyingLake.of(lake, steps)
    with pytest.raises(KilledError), held(dying, "killed") as hold:
        compact(dying, hold, now=NOW)
    assert sorted(set(rows_of(lake))) == rows
    compacted(lake)
    assert rows_of(lake) == rows
    assert len(lake.list("positions")) == 1


def test_who_has_lost_the_lock_deletes_what_it_made_and_nothing_else(lake: Lake) -> None:
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T14:0{minute}:00Z")])
    before = lake.list("positions")
    renewed: list[int] = []

    def renew() -> None:
        renewed.append(len(lake.list("positions")))
        if len(renewed) == 2:
            raise LockLostError("somebody else has it")

    with pytest.raises(LockLostError):
        compact(lake, Hold(renew), now=NOW)
    assert renewed == [2, 3]
    assert lake.list("positions") == before


def test_the_new_file_has_a_later_name_also_where_the_clock_was_set_back(lake: Lake) -> None:
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T14:0{minute}:00Z")], clock=lambda: NOW + 5_000_000)
    compacted(lake)
    [stored] = lake.list("positions")
    assert stored.path.startswith(f"{HOUR_14}/part-{NOW + 5_000_001}-")


def test_what_is_no_parquet_or_of_another_version_stays_as_it_is(lake: Lake) -> None:
    write_positions(lake, [row(at="2026-11-23T14:01:00Z")])
    write_positions(lake, [row(at="2026-11-23T14:02:00Z")])
    lake.put(f"{HOUR_14}/part-0000000000001-00000000.parquet", b"text")
    later = to_parquet(pa.table({"device": [ANN]}), schema="positions/2")
    lake.put(f"{HOUR_14}/part-0000000000002-00000000.parquet", later)
    assert compacted(lake) == Compacted(
        made=1,
        files=2,
        rows=2,
        repeats=0,
        unreadable=(
            f"{HOUR_14}/part-0000000000001-00000000.parquet",
            f"{HOUR_14}/part-0000000000002-00000000.parquet",
        ),
    )
    assert len(lake.list("positions")) == 3
    assert lake.get(f"{HOUR_14}/part-0000000000002-00000000.parquet") == later


def test_a_column_that_only_some_files_have_stays(lake: Lake) -> None:
    [one] = write_positions(lake, [row(at="2026-11-23T14:01:00Z")])
    write_positions(lake, [row(at="2026-11-23T14:02:00Z")])
    table = read_table(lake, one.path)
    lake.put(one.path, to_parquet(table.append_column("floor", pa.array([2])), schema="positions/1"))
    compacted(lake)
    [stored] = lake.list("positions")
    assert read_table(lake, stored.path)["floor"].to_pylist() == [2, None]


def test_of_windows_the_newest_row_stays(lake: Lake) -> None:
    start = parse_rfc3339("2026-11-22T14:00:00Z")
    for written, devices in ((3, 5), (2, 4)):
        write_windows(lake, [WindowRow("library", "car", "5m", start, start + 300_000, devices, start + written)])
    assert compacted(lake) == Compacted(made=1, files=2, rows=1, repeats=1)
    [stored] = lake.list("occupancy")
    assert read_table(lake, stored.path)["devices"].to_pylist() == [5]


def test_it_stops_between_files_once_there_is_enough(lake: Lake) -> None:
    for at in ("2026-11-23T13:01:00Z", "2026-11-23T13:02:00Z", "2026-11-23T14:01:00Z", "2026-11-23T14:02:00Z"):
        write_positions(lake, [row(at=at)])
    answers = iter([False, True])
    with held(lake, "test") as hold:
        assert compact(lake, hold, now=NOW, enough=lambda: next(answers)).made == 1
    assert [len(lake.list(f"positions/date=2026-11-23/hour={hour}")) for hour in (13, 14)] == [1, 2]


def test_an_hour_that_is_too_large_becomes_several_files_and_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    rows = [row(at=f"2026-11-23T14:{minute:02d}:00Z") for minute in range(7)]
    size = sum(each.size for some in rows for each in write_positions(lake, [some]))
    monkeypatch.setattr("lake.compacting.LARGEST", size // 2)
    assert compacted(lake) == Compacted(made=2, files=6, rows=6, repeats=0)
    assert sorted(rows_of(lake)) == rows
    monkeypatch.setattr("lake.compacting.LARGEST", max(stored.size for stored in lake.list("positions")))
    assert compacted(lake) == Compacted()


moments = st.integers(0, 20).map(lambda second: f"2026-11-23T14:00:{second:02d}Z")
rows = st.builds(
    lambda base, at, device, zones: row(base, at, device=device, zones=zones),
    st.sampled_from([FULL, row()[1]]),
    moments,
    st.sampled_from([ANN, BOB]),
    st.sampled_from([("campus",), ("campus", "library")]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(rows, min_size=1, max_size=6), min_size=1, max_size=6))
def test_however_rows_are_spread_over_files_the_same_are_left(files: list[list[Row]]) -> None:
    with TemporaryDirectory() as folder:
        spread, whole = (open_lake(LakeSettings(), Path(folder) / name) for name in ("spread", "whole"))
        for some in files:
            write_positions(spread, some)
        compacted(spread)
        write_positions(whole, [each for some in files for each in some])
        assert rows_of(spread) == rows_of(whole)
        assert len(spread.list("positions")) == 1
