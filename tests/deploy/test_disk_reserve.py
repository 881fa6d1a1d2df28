from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.laptop.disk_reserve import DiskReserve, reserve_path

MIB = 1024 * 1024


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Disk:
    """Says how much room there is."""

    total = 80 * MIB
    free = 60 * MIB

    def usage(self, _: Path) -> Usage:
        return Usage(self.total, self.total - self.free, self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("shutil.disk_usage", made.usage)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "redis").mkdir()
    return tmp_path


def test_the_reserve_is_an_eighth_of_a_small_disk_and_64_mib_of_a_large_one(folder: Path, disk: Disk) -> None:
    DiskReserve(folder, say=print).look()
    assert reserve_path(folder).stat().st_size == 10 * MIB
    reserve_path(folder).unlink()
    disk.total = 1000 * 1000 * MIB
    disk.free = 1000 * MIB
    DiskReserve(folder, say=print).look()
    assert reserve_path(folder).stat().st_size == 64 * MIB
    assert reserve_path(folder).stat().st_blocks * 512 >= 64 * MIB


def test_it_goes_when_there_is_less_room_than_it_takes_and_comes_back_with_two_and_a_half_times_that(
    folder: Path, disk: Disk
) -> None:
    said: list[str] = []
    reserve = DiskReserve(folder, say=said.append)
    there = []
    for free in (60, 11, 9, 24, 9, 26, 26):
        disk.free = free * MIB
        reserve.look()
        there.append(reserve_path(folder).exists())
    assert there == [True, True, False, False, False, True, True]
    assert said == [
        "the disk of DATA_DIR has 9.0 MiB left: positions wait in their devices until there are 25.0 MiB",
        "the disk has room again",
    ]


def test_a_reserve_that_cannot_be_made_leaves_nothing(
    folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    del disk

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    reserve = DiskReserve(folder, say=print)
    reserve.look()
    assert list((folder / "redis").iterdir()) == []


def test_a_disk_that_is_too_small_from_the_start_is_told(folder: Path, disk: Disk) -> None:
    disk.free = 1 * MIB
    said: list[str] = []
    reserve = DiskReserve(folder, say=said.append)
    reserve.look()
    reserve.look()
    assert len(said) == 1
    assert not reserve_path(folder).exists()
