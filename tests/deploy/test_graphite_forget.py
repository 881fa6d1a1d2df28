"""Graphite's disk is bounded: series of nodes that are gone go."""

import os
from pathlib import Path

import pytest

from deploy.observability.graphite.server import forget
from deploy.observability.graphite.server.forget import Series, unwanted

NOW = 1_000_000_000.0
DAY = 86400.0


def series(name: str, *, hours: float, size: int = 100) -> Series:
    return Series(name, NOW - hours * 3600, size)


def names(found: list[Series]) -> list[str]:
    return [each.path for each in found]


def test_a_series_goes_when_it_has_not_been_written_for_that_many_days() -> None:
    found = [series("a", hours=0), series("b", hours=24 * 30 - 1), series("c", hours=24 * 30 + 1)]
    assert names(unwanted(found, NOW, 30, 10_000)) == ["c"]
    assert names(unwanted(found, NOW, 29, 10_000)) == ["c", "b"]


def test_the_longest_unwritten_go_while_all_of_them_are_too_large() -> None:
    found = [series("live", hours=0, size=400), series("old", hours=3), series("older", hours=30)]
    assert names(unwanted(found, NOW, 30, 600)) == []
    assert names(unwanted(found, NOW, 30, 599)) == ["older"]
    assert names(unwanted(found, NOW, 30, 450)) == ["older", "old"]
    # Carbon would make it anew, empty.
    assert names(unwanted(found, NOW, 30, 1)) == ["older", "old"]


def test_files_and_folders_of_a_node_that_is_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whisper = tmp_path / "whisper"
    gone = whisper / "campus/broker/10_0_0_5"
    here = whisper / "campus/broker/10_0_0_6"
    for folder, age in ((gone, 31 * DAY), (here, 0.0)):
        folder.mkdir(parents=True)
        file = folder / "broker_clients.wsp"
        file.write_bytes(b"x")
        os.utime(file, (NOW - age, NOW - age))
    monkeypatch.setenv("GRAPHITE_FOLDER", str(tmp_path))
    assert forget.main([], now=lambda: NOW) == 0
    assert not gone.exists()
    assert (here / "broker_clients.wsp").exists()
    assert capsys.readouterr().err == "removed 1 series\n"
    assert forget.main([], now=lambda: NOW) == 0
    assert forget.main([], now=lambda: NOW + 31 * DAY) == 0
    assert list(whisper.iterdir()) == []
    assert whisper.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPHITE_KEEP_DAYS", "0"),
        ("GRAPHITE_KEEP_DAYS", "731"),
        ("GRAPHITE_KEEP_BYTES", "5GB"),
        ("GRAPHITE_KEEP_BYTES", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert forget.main([]) == 2
    assert capsys.readouterr().err.startswith(f"{name} is not a number from ")


def test_it_says_what_it_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert forget.main(["--every"]) == 2
    assert "GRAPHITE_KEEP_DAYS" in capsys.readouterr().err
