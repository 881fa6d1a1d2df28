"""`python -m timeseries`, as it is typed."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.timeseries.stored import write
from timeseries.__main__ import app

NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""
RANGE = ("--start", "2019-02-18T08:55:00Z", "--end", "2019-02-18T10:05:00+01:00")


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TIMESERIES_STORE", "sqlite")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_setup_can_be_repeated(tmp_path: Path) -> None:
    assert run("setup").stdout == "sqlite is ready\n"
    assert run("setup").exit_code == 0
    assert (tmp_path / "data" / "timeseries.sqlite3").exists()


def test_history_prints_a_line_for_each_window() -> None:
    write(NINE - 120_000, NINE, NINE + 600_000)
    result = run("history", "campus", "car", "--window", "1m", *RANGE)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["start", "devices"],
        ["2019-02-18T08:58:00Z", "1"],
        ["2019-02-18T09:00:00Z", "2"],
    ]
    assert result.stderr == "known from 2019-02-18T08:58:00Z to 2019-02-18T09:10:00Z\n"


def test_history_of_a_time_that_is_not_kept_any_more_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCCUPANCY_KEEP", "5m:365d")
    run("setup")
    result = run("history", "campus", "mobile", *RANGE)
    assert re.fullmatch(
        r"of 5m windows those since 20[0-9TZ:.-]+ are kept\nnothing is known of mobile in campus by 5m\n", result.stderr
    )
    assert run("history", "campus", "mobile", "--window", "1h", *RANGE).stderr.startswith("nothing is known")


def test_history_of_what_nobody_counted_says_so() -> None:
    run("setup")
    result = run("history", "campus", "mobile", *RANGE)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing is known of mobile in campus by 5m\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("campus", "Bike", *RANGE), "the id of a kind"),
        (("campus", "car", "--window", "2m", *RANGE), "2m"),
        (("Schuman Building", "car", *RANGE), "is no id of a zone"),
        (("campus", "car", "--start", "yesterday", "--end", "2019-02-18T09:05:00Z"), "--start"),
        (("campus", "car", "--start", "2019-02-18T09:05:00Z", "--end", "2019-02-18T09:05:00Z"), "after --start"),
    ],
)
def test_history_says_what_it_cannot_use(arguments: tuple[str, ...], words: str) -> None:
    result = run("history", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_store_that_does_not_answer_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way", encoding="utf-8")
    result = run("setup")
    assert result.exit_code == 1
    assert "cannot be used" in result.stderr


def test_a_setting_that_is_missing_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMESERIES_STORE", "influxdb")
    monkeypatch.delenv("INFLUXDB_V2_URL", raising=False)
    result = run("setup")
    assert result.exit_code == 2


def test_drop_shows_what_it_is_and_removes_it_where_that_is_wanted() -> None:
    write(NINE, NINE + 60_000, NINE + 600_000)
    arguments = ("drop", "--zone", "campus", "--kind", "car", *RANGE)

    asked = CliRunner().invoke(app, arguments, input="n\n")

    assert asked.exit_code == 1
    assert asked.stdout.splitlines()[:2] == [
        "width  windows  most devices  first                 last",
        "1m           2             2  2019-02-18T09:00:00Z  2019-02-18T09:01:00Z",
    ]
    assert len(run("history", "campus", "car", "--window", "1m", *RANGE).stdout.splitlines()) == 3

    assert run(*arguments, "--yes").stdout.endswith("2 windows were removed\n")
    left = run("history", "campus", "car", "--window", "1m", *RANGE)
    assert left.stdout.splitlines() == ["start                     devices"]
    # What begins at the end, or later, stays.
    assert left.stderr == "known from 2019-02-18T09:10:00Z to 2019-02-18T09:10:00Z\n"


def test_drop_of_what_is_not_there_says_so() -> None:
    run("setup")
    result = run("drop", "--zone", "kemmy", "--kind", "mobile", *RANGE, "--yes")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "there is nothing of mobile in kemmy in that time\n"
