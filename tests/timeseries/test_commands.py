"""`python -m timeseries`, as it is typed."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import documents
from core.errors import UnavailableError
from core.messages import Kind
from tests.timeseries.live import position
from timeseries import (
    OccupancyPoint,
    TimeseriesSettings,
    Width,
    Window,
    backfill_command,
    backfill_patience,
    open_store,
)
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


def write(*starts: int) -> None:
    async def fill() -> None:
        async with open_store(TimeseriesSettings()) as store:
            await store.setup()
            await store.write(
                [
                    OccupancyPoint(
                        window=Window(width=Width.MINUTE, start=start, zone="campus", kind=Kind.CAR), devices=number
                    )
                    for number, start in enumerate(starts, start=1)
                ]
            )

    asyncio.run(fill())


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
        (("campus", "bike", *RANGE), "bike"),
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


BACKFILL = ("backfill", "--start", "2019-02-18T09:00:00Z", "--end", "2019-02-18T09:05:00Z")


def archive(*seconds: int) -> None:
    """A document for each, so many seconds after nine."""

    async def fill() -> None:
        async with documents.open_store(documents.DocumentSettings()) as store:
            await store.setup()
            await store.put([position(f"device-{at}", NINE + at * 1000) for at in seconds])

    asyncio.run(fill())


def test_backfill_writes_what_the_documents_say_and_reports_it_by_width() -> None:
    archive(-90_000, 0, 1, 61)
    # 08:58, 09:00 and 09:02: the first is outside of the range, the last has no document.
    write(NINE - 120_000, NINE, NINE + 120_000)
    dry = run(*BACKFILL, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "would be written" in dry.stdout
    history = ("history", "campus", "car", "--window", "1m", *RANGE)
    assert [line.split()[1] for line in run(*history).stdout.splitlines()[1:]] == ["1", "2", "3"]
    result = run(*BACKFILL)
    assert result.exit_code == 0, result.output
    # Width, windows, written, of them 0, kept.
    rows = [line.strip("│ ").split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["1m", "3", "2", "1", "0"],
        ["5m", "1", "1", "0", "0"],
        ["1h", "1", "1", "0", "0"],
        ["1d", "1", "1", "0", "0"],
    ]
    assert result.stderr == "done until 2019-02-19T00:00:00Z\n3 documents in the range\n"
    assert [line.split()[1] for line in run(*history).stdout.splitlines()[1:]] == ["1", "2", "1", "0"]


def test_backfill_says_which_figures_it_kept_and_how_to_lower_them() -> None:
    archive(1)
    write(NINE - 60_000, NINE)  # 2 at nine; and the oldest document is of a second later
    result = run(*BACKFILL)
    assert result.exit_code == 0
    assert "--lower lowers it" in result.stderr
    history = ("history", "campus", "car", "--window", "1m", *RANGE)
    assert run(*history).stdout.splitlines()[2].endswith(" 2")
    assert run(*BACKFILL, "--lower").exit_code == 0
    assert run(*history).stdout.splitlines()[2].endswith(" 1")


@pytest.mark.parametrize(("keep", "expected"), [("", " 1"), ("90d", " 2")])
def test_backfill_lowers_nothing_of_which_documents_are_no_longer_kept(
    monkeypatch: pytest.MonkeyPatch, keep: str, expected: str
) -> None:
    archive(-90_000, 1)
    write(NINE - 60_000, NINE)  # 2 at nine
    monkeypatch.setenv("DOCUMENTS_KEEP", keep)
    assert run(*BACKFILL).exit_code == 0
    assert run("history", "campus", "car", "--window", "1m", *RANGE).stdout.splitlines()[2].endswith(expected)


def test_backfill_shows_how_far_it_is_where_somebody_is_watching() -> None:
    archive(0, 1, 2)
    shell = [sys.executable, "-m", "timeseries", *BACKFILL]
    watching, theirs = pty.openpty()
    try:
        subprocess.run(shell, check=True, stdout=subprocess.DEVNULL, stderr=theirs, timeout=30)
        shown = os.read(watching, 100_000).decode()
    finally:
        os.close(watching)
        os.close(theirs)
    assert "done until 2019-02-19T00:00:00Z" in shown
    assert "100%" in shown


def test_backfill_where_no_documents_are_made_must_be_forced_and_then_lowers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive(-90_000, 0)
    write(NINE, NINE)  # 2 at nine
    monkeypatch.setenv("ARCHIVE", "off")
    refused = run(*BACKFILL)
    assert refused.exit_code == 2
    assert "ARCHIVE=off" in refused.stderr
    assert "--force" in refused.stderr
    assert run(*BACKFILL, "--force", "--lower").exit_code == 2
    assert run(*BACKFILL, "--force").exit_code == 0
    assert run("history", "campus", "car", "--window", "1m", *RANGE).stdout.splitlines()[1].endswith(" 2")
    monkeypatch.setenv("ARCHIVE", "sampled")
    assert run(*BACKFILL).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", "2019-02-18T09:05:00Z", "--end", "2019-02-18T09:05:00Z"), "after --start"),
        (("--start", "today", "--end", "2019-02-18T09:05:00Z"), "--start"),
        (("--start", "2019-02-18T09:05:00Z", "--end", "9999-12-31T23:59:59Z"), "no time in the years"),
    ],
)
def test_backfill_says_what_it_cannot_use(arguments: tuple[str, ...], words: str) -> None:
    archive(0)
    result = run("backfill", *arguments)
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


async def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(60)


async def away() -> None:
    raise UnavailableError("the document store is slow")


@pytest.mark.parametrize(("interrupt", "code"), [(away, 1), (ctrl_c, 130)])
def test_a_backfill_that_is_interrupted_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[], Awaitable[None]], code: int
) -> None:
    archive(0, 86_400, 86_401)
    whole = documents.open_store

    @asynccontextmanager
    async def broken(settings: documents.DocumentSettings) -> AsyncIterator[documents.DocumentStore]:
        async with whole(settings) as store:
            scan = store.scan

            async def until_the_second_day(**asked: int) -> AsyncIterator[documents.Document]:
                async for document in scan(**asked):
                    if asked["page"] > 1 and document["properties"]["observed_at"] > "2019-02-19":
                        await interrupt()
                    yield document

            monkeypatch.setattr(store, "scan", until_the_second_day)
            yield store

    with monkeypatch.context() as patch:
        patch.setattr(backfill_command, "open_documents", broken)
        patch.setattr(backfill_patience, "LASTING_SECONDS", -1)
        ended = run("backfill", "--start", "2019-02-18T09:00:00Z", "--end", "2019-02-20T00:00:00Z")
    assert ended.exit_code == code
    assert "to go on: --start 2019-02-19T00:00:00Z --end 2019-02-20T00:00:00Z" in ended.stderr.splitlines()[-1]

    again = run("backfill", "--start", "2019-02-19T00:00:00Z", "--end", "2019-02-20T00:00:00Z")
    assert again.exit_code == 0, again.output
    history = ("history", "campus", "car", "--window", "1d", "--start", "2019-02-18T00:00:00Z")
    days = run(*history, "--end", "2019-02-20T00:00:00Z").stdout.splitlines()[1:]
    assert [line.split()[1] for line in days] == ["1", "2"]
