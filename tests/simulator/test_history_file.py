"""History goes to standard output, or into a file that is whole or not there."""

import gzip
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulator.__main__ import app
from simulator.campus.history_file import history_output

DAY = ("history", "--days", "1", "--devices", "10", "--until", "2026-11-25T00:00:00Z")


@pytest.mark.parametrize("name", ["lines.ndjson", "lines.ndjson.gz"])
def test_a_file_holds_what_would_have_been_printed(name: str, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, [*DAY])
    file = tmp_path / name

    assert CliRunner().invoke(app, [*DAY, "--out", str(file)]).exit_code == 0

    found = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    assert found == printed.stdout_bytes
    assert found.count(b"\n") > 10
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_there_is_left(tmp_path: Path) -> None:
    file = tmp_path / "lines.ndjson"
    file.write_bytes(b"mine\n")

    left = CliRunner().invoke(app, [*DAY, "--out", str(file)])

    assert left.exit_code == 0
    assert "nothing is written" in left.stderr
    assert file.read_bytes() == b"mine\n"


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with history_output(tmp_path / "lines.ndjson.gz") as lines:
            lines.write(b"half\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [*DAY, "--out", str(tmp_path / "nowhere" / "lines")])

    assert told.exit_code == 1
    assert "nowhere" in told.stderr
