"""Erasing: no file has anything of a device afterwards, and all that is of others."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.erasing import erase
from lake.lock import Hold, LockLostError, held
from lake.reading import read_table
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions
from tests.lake.dying import DyingLake, KilledError
from tests.lake.samples import ANN, BOB, FULL, row
from tests.lake.test_compacting import rows_of

EVE = "5" * 32


def erased(lake: Lake, *devices: str) -> dict[str, int]:
    """How many rows went in one go, where all files can be read."""
    with held(lake, "test") as hold:
        rows, unreadable = erase(lake, hold, devices)
    assert not unreadable
    return rows


def texts(lake: Lake) -> str:
    """All that all files hold, unpacked, and their bytes as they are."""
    tables = [repr(read_table(lake, stored.path).to_pylist()) for stored in lake.list("positions")]
    files = [lake.get(stored.path).decode("latin-1") for stored in lake.list("positions")]
    return "\n".join(tables + files)


def test_no_file_has_a_device_afterwards_and_others_have_all_of_theirs(lake: Lake) -> None:
    of_ann = [row(at="2026-11-23T14:01:00Z"), row(at="2026-11-23T14:02:00Z"), row(at="2026-11-24T09:00:00Z")]
    of_bob = [row(FULL, device=BOB, at="2026-11-23T14:01:00Z"), row(device=BOB, at="2026-11-25T09:00:00Z")]
    write_positions(lake, [*of_ann, *of_bob])
    write_positions(lake, of_bob[:1])
    untouched = {stored.path for stored in lake.list("positions/date=2026-11-25")}
    assert ANN in texts(lake)
    assert erased(lake, ANN) == {ANN: 3}
    assert ANN not in texts(lake)
    assert sorted(set(rows_of(lake))) == sorted(of_bob)
    assert {stored.path for stored in lake.list("positions/date=2026-11-25")} == untouched
    assert lake.list("positions/date=2026-11-24") == []
    assert erased(lake, ANN) == {ANN: 0}


def test_several_devices_go_in_one_go_and_each_is_counted(lake: Lake) -> None:
    write_positions(lake, [row(), row(device=BOB), row(device=BOB, at="2026-11-23T14:50:00Z"), row(device=EVE)])
    assert erased(lake, BOB, ANN, "0" * 32) == {BOB: 2, ANN: 1, "0" * 32: 0}
    assert [position.device for _, position in rows_of(lake)] == [EVE]


def test_a_device_is_found_in_a_later_row_group(tmp_path: Path) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    some = [row(device=f"{number % 70:032x}", observed_at=1795442400000 + number) for number in range(65_000)]
    write_positions(lake, some)
    assert erased(lake, f"{69:032x}") == {f"{69:032x}": 928}
    assert len(rows_of(lake)) == 64_072


# A put and a deletion for each of two files.
@pytest.mark.parametrize("steps", range(4))
def test_who_is_killed_at_any_step_loses_nothing_of_others_and_doing_it_again_ends_it(lake: Lake, steps: int) -> None:
    of_bob = [row(device=BOB, at="2026-11-23T14:01:00Z"), row(device=BOB, at="2026-11-23T15:01:00Z")]
    write_positions(lake, [row(at="2026-11-23T14:01:00Z"), row(at="2026-11-23T15:01:00Z"), *of_bob])
    dying = DyingLake.of(lake, steps)
    with pytest.raises(KilledError), held(dying, "killed") as hold:
        erase(dying, hold, [ANN])
    assert {each for each in rows_of(lake) if each[1].device == BOB} == set(of_bob)
    erased(lake, ANN)
    assert ANN not in texts(lake)
    assert sorted(set(rows_of(lake))) == of_bob


def test_who_has_lost_the_lock_leaves_the_file_as_it_was(lake: Lake) -> None:
    write_positions(lake, [row(), row(device=BOB)])
    before = lake.list("positions")
    renewed: list[int] = []

    def renew() -> None:
        renewed.append(len(lake.list("positions")))
        if len(renewed) == 2:
            raise LockLostError("somebody else has it")

    with pytest.raises(LockLostError):
        erase(lake, Hold(renew), [ANN])
    assert renewed == [1, 2]
    assert lake.list("positions") == before


def test_what_a_killed_writer_left_half_goes_too(tmp_path: Path) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    [written] = write_positions(lake, [row(), row(device=BOB)])
    half = tmp_path / "lake" / f"{written.path}#1"
    half.write_bytes(lake.get(written.path)[:-100])
    erased(lake, ANN)
    assert not half.exists()
    assert [position.device for _, position in rows_of(lake)] == [BOB]


def beside_the_devices(data: bytes) -> bytes:
    """A file whose longitudes are damaged, and whose devices are not."""
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    [column] = [
        group.column(each) for each in range(group.num_columns) if group.column(each).path_in_schema == "longitude"
    ]
    at = column.dictionary_page_offset or column.data_page_offset
    return data[:at] + bytes(column.total_compressed_size) + data[at + column.total_compressed_size :]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"text", lambda data: data[:-200], lambda data: data[:-100] + data[-96:], beside_the_devices],
)
def test_a_file_that_is_damaged_is_named_for_nobody_knows_what_is_in_it_and_all_others_are_erased_from(
    lake: Lake, damage: Callable[[bytes], bytes]
) -> None:
    [written] = write_positions(lake, [row(), row(device=BOB)])
    damaged = damage(lake.get(written.path))
    lake.put(written.path, damaged)
    write_positions(lake, [row(at="2026-11-23T15:00:00Z"), row(at="2026-11-24T09:00:00Z")])
    with held(lake, "test") as hold:
        assert erase(lake, hold, [ANN]) == ({ANN: 2}, [written.path])
    assert [stored.path for stored in lake.list("positions")] == [written.path]
    assert lake.get(written.path) == damaged


def test_what_a_store_does_not_answer_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    write_positions(lake, [row()])

    @contextmanager
    def short(self: Lake, path: str) -> Iterator[io.BytesIO]:
        yield io.BytesIO(self.get(path)[:-50])

    monkeypatch.setattr(Lake, "open", short)
    assert erased(lake, ANN) == {ANN: 1}
