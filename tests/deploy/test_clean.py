import subprocess
import sys
from pathlib import Path

import pytest

from deploy.laptop.clean import NotRemovedError, clean
from deploy.laptop.lock import held


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "redis").mkdir(parents=True)
    (folder / "redis" / "appendonly.aof").write_bytes(b"x" * 1500)
    (folder / "lock").touch()
    return folder


def refusal(given: str) -> str:
    with pytest.raises(NotRemovedError) as refused:
        clean(given, show=lambda _: None)
    return str(refused.value)


def test_the_data_are_shown_and_removed(data: Path) -> None:
    shown: list[str] = []

    clean(str(data), show=shown.append)

    assert shown == [f"removing {data}", "  lock, 0 bytes", "  redis, 1,500 bytes"]
    assert not data.exists()


def test_the_data_of_a_run_that_goes_on_are_kept(data: Path) -> None:
    with held(data):
        assert refusal(str(data)) == f"DATA_DIR: {data} is in use: stop `make run` first"
    assert (data / "redis").exists()


@pytest.mark.parametrize("given", ["", " "])
def test_no_folder_is_not_any_folder(given: str) -> None:
    assert "DATA_DIR is empty" in refusal(given)


def test_a_folder_that_no_run_has_made_is_kept(data: Path) -> None:
    (data / "lock").unlink()

    assert "nothing removed" in refusal(str(data))
    assert (data / "redis").exists()


@pytest.mark.parametrize("given", [".", ".."])
def test_the_folder_that_one_stands_in_is_kept(data: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    (data / "redis" / "lock").touch()
    monkeypatch.chdir(data / "redis")

    assert "nothing removed" in refusal(given)
    assert data.exists()


def test_the_root_and_the_home_are_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(data))

    assert "nothing removed" in refusal(str(data))
    assert "nothing removed" in refusal("/")


def test_where_nothing_is_there_is_nothing_to_do(tmp_path: Path) -> None:
    shown: list[str] = []

    clean(str(tmp_path / "data"), show=shown.append)

    assert shown == [f"{tmp_path / 'data'}: nothing there"]


def test_it_needs_no_more_than_the_standard_library(data: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import deploy.laptop.clean"]

    assert subprocess.run(command, check=False).returncode == 0
    assert data.exists()
