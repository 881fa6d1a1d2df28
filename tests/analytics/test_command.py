"""`python -m analytics`, as it is typed."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import documents
import timeseries
from analytics.__main__ import app
from lake.layout import GAPS, OCCUPANCY
from lake.lock import held
from lake.reading import read_table
from lake.store import Lake
from lake.writing import write_positions
from tests.analytics.crowd import HOUR, MONDAY, row
from timeseries import OccupancyPoint, Width, Window

MONDAYS = ("--start", "2026-11-23", "--end", "2026-11-24")
RESULTS = "results/visits/date=2026-11-23/part-0.parquet"
CHECKED = "results/visits_check/date=2026-11-23/part-0.parquet"


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_MEMORY", "256MB")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_visits_are_put_into_the_lake_in_the_place_of_what_was_there_and_shown(lake: Lake) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus", "kemmy")])

    first = run("run", "visits", *MONDAYS)
    write_positions(lake, [row("b" * 32, MONDAY + 8 * HOUR, "campus")])
    again = run("run", "visits", *MONDAYS)

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "done until 2026-11-24T00:00:00Z" in first.stderr
    assert "2026-11-23T08:00:00Z" in first.stdout
    rows = read_table(lake, RESULTS)
    assert rows.schema.field("at").type == pa.timestamp("ms", tz="UTC")
    assert [(each["zone"], each["entries"], each["exits"]) for each in rows.to_pylist()] == [
        ("campus", 2, 2),
        ("kemmy", 1, 1),
    ]
    assert lake.list("results/visits_check") == []
    assert _entries_in_the_store() == [2.0, 1.0]


def _entries_in_the_store() -> list[float]:
    async def ask() -> list[float]:
        async with timeseries.open_store(timeseries.TimeseriesSettings()) as store:
            await store.setup()
            found = await store.results("visits", start=MONDAY, end=MONDAY + 24 * HOUR)
            return [each.values["entries"] for each in found]

    return asyncio.run(ask())


def test_hours_that_were_passed_over_are_filled_with_positions_and_with_windows(lake: Lake) -> None:
    eight = MONDAY + 8 * HOUR

    async def was_there() -> None:
        async with (
            documents.open_store(documents.DocumentSettings()) as kept,
            timeseries.open_store(timeseries.TimeseriesSettings()) as series,
        ):
            await kept.setup()
            await series.setup()
            _, position = row("a" * 32, eight, "campus")
            await kept.put([position])
            widths = (Width.MINUTE, Width.FIVE_MINUTES, Width.HOUR)
            await series.write([OccupancyPoint(Window(width, eight, "campus", position.kind), 1) for width in widths])

    asyncio.run(was_there())
    lake.put(f"{GAPS}/a.json", b'{"from": "2026-11-23T08:00:00Z", "until": "2026-11-23T09:00:00Z"}')

    found = run("export", "--gaps")

    assert found.exit_code == 0, found.output
    assert "1 positions, 3 windows, 0 recorded hours" in found.stderr
    widths = [read_table(lake, each.path)["width"].to_pylist() for each in lake.list(OCCUPANCY)]
    assert sorted(widths) == [["1h"], ["1m"], ["5m"]]
    assert lake.list(GAPS) == []


def test_with_lake_only_the_store_is_left_alone(lake: Lake) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus")])

    assert run("run", "visits", *MONDAYS, "--lake-only").exit_code == 0

    assert len(lake.list("results/visits")) == 1
    assert _entries_in_the_store() == []


def test_visits_that_do_not_add_up_to_how_presence_changed_end_with_3_and_a_row_each(lake: Lake) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus")])
    assert run("run", "visits", *MONDAYS).exit_code == 0
    assert run("run", "visits_check", *MONDAYS).exit_code == 0
    write_positions(lake, [row("b" * 32, MONDAY + 10 * HOUR - 1, "campus")])

    found = run("run", "visits_check", *MONDAYS)

    assert found.exit_code == 3
    assert "entries and exits of 2 rows do not add up to how presence changed" in found.stderr
    rows = read_table(lake, CHECKED).to_pylist()
    assert [(each["entries"], each["exits"], each["before"], each["after"]) for each in rows] == [
        (0, 0, 0, 1),
        (0, 0, 1, 0),
    ]


def test_a_lake_is_filled_from_documents_and_compacted(lake: Lake) -> None:
    async def fill() -> None:
        async with documents.open_store(documents.DocumentSettings()) as store:
            await store.setup()
            await store.put([row("a" * 32, MONDAY + 8 * HOUR, "campus")[1]])

    asyncio.run(fill())

    assert "1 positions, 0 windows, 0 recorded hours" in run("export", *MONDAYS).stderr
    assert run("export", *MONDAYS).exit_code == 0
    assert len(lake.list("positions")) == 2
    assert "2 files became 1: 1 rows, and 1 repeats less" in run("compact").stdout
    assert len(lake.list("positions")) == 1


def test_two_do_not_rewrite_the_lake_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.__main__.LOCK_SECONDS", 0.0)
    with held(lake, "somebody"):
        found = run("compact")

    assert found.exit_code == 1
    assert "rewriting" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "visit", *MONDAYS), "one of visits, flows, paths, profiles, visits_check"),
        (("run", "visits", "--start", "2026-11-24", "--end", "2026-11-23"), "it must be after --start"),
        (("run", "visits", "--start", "2126-11-24", "--end", "2126-11-25"), "no hour of that is over yet"),
        (("run", "visits", "--start", "yesterday", "--end", "2126-11-25"), "yesterday"),
        (("export", "--start", "2026-11-24"), "--start and --end, or --gaps"),
        (("export", "--gaps", *MONDAYS), "--start and --end, or --gaps"),
    ],
)
def test_a_call_that_cannot_work_says_what_is_wrong_with_it(arguments: tuple[str, ...], said: str) -> None:
    found = run(*arguments)

    assert found.exit_code == 2
    assert said in " ".join(found.stderr.split())


def test_help_says_what_each_job_finds_and_shows_a_call_to_copy() -> None:
    found = run("run", "--help")

    assert "python -m analytics run visits --start 2026-11-23 --end 2026-11-30" in " ".join(found.stdout.split())
    assert "a row may be of a single person" in " ".join(found.stdout.split())
