"""`python -m backfill`, as it is typed."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import documents
from backfill import report, store_retry
from backfill.__main__ import app
from core.errors import UnavailableError
from tests.kinds_of_tests import CAR
from tests.timeseries.live import position
from tests.timeseries.stored import write
from timeseries import TimeseriesSettings, Width, open_store

NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TIMESERIES_STORE", "sqlite")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def stored(width: Width = Width.MINUTE) -> list[int]:
    """The devices of cars on the campus, of all windows of a width that have a point, in the order of time."""

    async def ask() -> list[int]:
        async with open_store(TimeseriesSettings()) as store:
            points = await store.history(zone="campus", kind=CAR, width=width, start=0, end=2 * NINE)
            return [point.devices for point in points]

    return asyncio.run(ask())


BACKFILL = ("--start", "2019-02-18T09:00:00Z", "--end", "2019-02-18T09:05:00Z")


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
    assert stored() == [1, 2, 3]
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
    assert stored() == [1, 2, 1, 0]


def test_backfill_says_which_figures_it_kept_and_how_to_lower_them() -> None:
    archive(1)
    write(NINE - 60_000, NINE)  # 2 at nine; and the oldest document is of a second later
    result = run(*BACKFILL)
    assert result.exit_code == 0
    assert "--lower lowers it" in result.stderr
    assert stored() == [1, 2]
    assert run(*BACKFILL, "--lower").exit_code == 0
    assert stored() == [1, 1]


@pytest.mark.parametrize(("keep", "expected"), [("", 1), ("90d", 2)])
def test_backfill_lowers_nothing_of_which_documents_are_no_longer_kept(
    monkeypatch: pytest.MonkeyPatch, keep: str, expected: int
) -> None:
    archive(-90_000, 1)
    write(NINE - 60_000, NINE)  # 2 at nine
    monkeypatch.setenv("DOCUMENTS_KEEP", keep)
    assert run(*BACKFILL).exit_code == 0
    assert stored() == [1, expected]


def test_backfill_shows_how_far_it_is_where_somebody_is_watching() -> None:
    archive(0, 1, 2)
    shell = [sys.executable, "-m", "backfill", *BACKFILL]
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
    assert stored() == [2]
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
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


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
        patch.setattr(report, "open_documents", broken)
        patch.setattr(store_retry, "LASTING_SECONDS", -1)
        ended = run("--start", "2019-02-18T09:00:00Z", "--end", "2019-02-20T00:00:00Z")
    assert ended.exit_code == code
    assert "to go on: --start 2019-02-19T00:00:00Z --end 2019-02-20T00:00:00Z" in ended.stderr.splitlines()[-1]

    again = run("--start", "2019-02-19T00:00:00Z", "--end", "2019-02-20T00:00:00Z")
    assert again.exit_code == 0, again.output
    assert stored(Width.DAY) == [1, 2]
