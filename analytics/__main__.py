"""`python -m analytics`: what becomes of the lake, from the command line."""

import asyncio
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import Annotated, get_args
from zoneinfo import ZoneInfo

import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

import documents
import timeseries
from analytics.calendar import load_calendar
from analytics.engines import Engine
from analytics.export_command import Filled, Filler, gaps_of
from analytics.forecast.choose import Choice
from analytics.forecast.jobs import Forecasts
from analytics.hours import HOUR_MS
from analytics.jobs import CHECK, JOBS, Job
from analytics.keeping import keep_in_lake, kept_in_lake
from analytics.opening import EngineName, campus_of, open_engine, open_sources, open_stores, write_dimensions
from analytics.running import Slice, Sources, check, days_between, slices
from analytics.service import NIGHT, ServiceSettings, serve
from analytics.settings import AnalyticsSettings
from analytics.stored import store_slice
from core.clock import format_rfc3339, system_clock
from core.errors import UnavailableError
from lake.compacting import compact as compact_lake
from lake.layout import date_of, one_part, results_prefix
from lake.lock import held
from lake.store import Lake, open_lake
from runtime import command
from runtime.service import run as run_service
from runtime.settings import load_or_exit

DIFFERS = 3
"""The exit code where visits do not add up."""
SHOWN = 20
"""Rows of what was found, and of what differs, that are printed."""
LOCK_SECONDS = 60.0
WIDE = 200
"""Columns of what is printed where nobody is watching."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
StartDate = Annotated[
    datetime, typer.Option("--start", formats=["%Y-%m-%d"], help="The first date (UTC), such as 2026-11-23.")
]
EndDate = Annotated[
    datetime, typer.Option("--end", formats=["%Y-%m-%d"], help="The first date that is not: of a week, a week later.")
]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """What becomes of the lake and of the windows: visits, flows, paths, typical weeks, forecasts.

    Without a command it is the service, until SIGTERM: each night at three, on the clocks of the campus, visits, flows,
    typical weeks and the forecast; every five minutes the next two hours, and what is unlike the forecast. What was due
    while it did not run is done at its start. Results go to the time-series store, where the API reads them.

    LAKE_URL says where the lake is, by default the folder lake in DATA_DIR.
    """
    if context.invoked_subcommand is None:
        settings = load_or_exit(ServiceSettings)
        run_service(lambda stop: serve(settings, stop), settings, name="analytics")


@app.command()
def run(
    job: Annotated[str, typer.Argument(help=f"{', '.join(JOBS)}, or {CHECK}.")],
    *,
    start: StartDate,
    end: EndDate,
    engine: Annotated[EngineName, typer.Option(help="What runs the SQL.")] = "duckdb",
    lake_only: Annotated[
        bool, typer.Option("--lake-only", help="Leave the time-series store alone, and so what the API answers.")
    ] = False,
) -> None:
    """Run a job over some dates, and put what it finds into the lake, as `results/JOB/date=.../part-0.parquet`.

    All but paths goes to the time-series store as well, where the API reads it: visits of days that flows were run of.

    - **visits**: entries, exits and how long people stayed, by zone, kind and hour. Checked at once: what entries and
      exits add up to has to be how presence changed, by a query of its own; else the exit code is 3.

    - **flows**: from which zone to which, by the hour of the arrival, at most two hours between them.

    - **paths**: runs of three and four zones.

    - **profiles**: the typical week, quartiles of the hours that were recorded; give it eight weeks or more.

    - **visits_check**: the check alone, of the visits that are in the lake.

    A date can be done again, and is, in the place of what was there: late positions count then. What has not happened
    yet is left out. Nothing is suppressed here: a row may be of a single person. The API suppresses; who may read the
    lake is for whoever answers for data protection to say.

    For example:

    - `python -m analytics run visits --start 2026-11-23 --end 2026-11-30`

    - `.venv/spark/bin/python -m analytics run flows --start 2026-09-01 --end 2026-12-19 --engine spark`
    """
    if job not in (*JOBS, CHECK):
        raise typer.BadParameter(f"one of {', '.join((*JOBS, CHECK))}", param_hint="JOB")
    begin, until = _range(start, end)
    settings = load_or_exit(AnalyticsSettings)
    command.ask(lambda: _run(settings, job, begin, until, engine, lake_only=lake_only))


@app.command()
def backtest(
    *,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="As in the night of this date; by default now."),
    ] = None,
) -> None:
    """Show how good forecasts would have been: each model's MASE by zone and kind, and what is served.

    From the windows of the time-series store, with 28 forecasts of two days, a day apart. Below 1 is better than the
    same hour last week was in the weeks before. A model is served where it beats both baselines. Where PRIVACY is not
    open, the windows are those of released counts, as in what is served. Nothing is written.

    For example: `python -m analytics backtest --until 2026-11-23`
    """
    settings = load_or_exit(AnalyticsSettings)
    zone = ZoneInfo(settings.campus_timezone)
    calendar = load_calendar(settings.calendar_file, zone)
    at = system_clock() if until is None else int(datetime.combine(until, NIGHT, zone).timestamp()) * 1000

    async def work() -> list[Choice]:
        async with open_stores(settings) as stores:
            return await Forecasts(stores.told, zone=zone, kind_of=calendar.of).backtest(at)

    choices = command.ask(work)
    if not choices:
        typer.echo("of four weeks or more before that, nothing is recorded", err=True)
        return
    table = Table("zone", "kind", *choices[0].guesses, *choices[0].mases, "served")
    for each in choices:
        mases = [*each.guesses.values(), *each.mases.values()]
        shown = ["" if mase is None else f"{mase:.3f}" for mase in mases]
        table.add_row(*each.name, *shown, each.served or "")
    Console().print(table)
    served = sum(each.served is not None for each in choices)
    typer.echo(f"{served:,} of {len(choices):,} are served", err=True)


@app.command()
def compact() -> None:
    """Make few large files of many small ones, and drop repeats: hours and dates that were over two hours ago.

    The decoder does it each hour where EXPORT has parquet. It may be stopped at any time, and repeated.

    Example: python -m analytics compact
    """
    settings = load_or_exit(AnalyticsSettings)

    async def work() -> None:
        lake = open_lake(settings, settings.data_dir)
        with held(lake, _owner(), wait_seconds=LOCK_SECONDS) as hold:
            done = await asyncio.to_thread(compact_lake, lake, hold, now=system_clock())
        typer.echo(f"{done.files:,} files became {done.made:,}: {done.rows:,} rows, and {done.repeats:,} repeats less")
        for path in done.unreadable:
            typer.echo(f"left alone, for it is no file of ours: {path}", err=True)

    command.ask(work)


@app.command()
def export(
    *,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first date (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first date that is not.")] = None,
    gaps: Annotated[
        bool, typer.Option("--gaps", help="What the export has passed over since the lake was away for too long.")
    ] = False,
) -> None:
    """Fill the lake from the stores: positions from the documents, windows and coverage from the time-series store.

    For what was before EXPORT=parquet was chosen, and, with --gaps, for what was passed over (EXPORT_PATIENCE). What is
    in the lake already is there twice then, until the lake is compacted, and nobody counts it twice. It may be stopped
    and repeated; a day that is done is said.

    With ARCHIVE=sampled the documents are samples, and so is what comes of them; with ARCHIVE=off there are none.

    For example:

    - `python -m analytics export --start 2026-09-01 --end 2026-12-01`

    - `python -m analytics export --gaps`
    """
    if gaps == bool(start or end) or (start is None) != (end is None):
        raise typer.BadParameter("--start and --end, or --gaps", param_hint="--start")
    settings = load_or_exit(AnalyticsSettings)
    if settings.archive != "every":
        typer.echo(
            f"ARCHIVE={settings.archive}: not every position has a document; the others cannot be filled", err=True
        )
    ranges = [_range(start, end)] if start and end else None
    command.ask(lambda: _export(settings, ranges))


async def _run(
    settings: AnalyticsSettings, job: str, start: int, end: int, engine: EngineName, *, lake_only: bool
) -> None:
    sources = open_sources(settings)
    campus = campus_of(settings).boundary.id
    differs = rows = 0
    async with AsyncExitStack() as resources:
        store = None
        if job in JOBS and job != "paths" and not lake_only:
            store = await resources.enter_async_context(timeseries.open_store(settings))
            await store.setup()
        opened = resources.enter_context(open_engine(settings, sources.lake, engine))
        done = resources.enter_context(_bar(job, start, end))
        await asyncio.to_thread(write_dimensions, settings, sources, start, end)
        shown: list[pa.Table] = []
        if job in JOBS:
            for found in slices(opened, _job(job), start, end, sources):
                keep_in_lake(sources.lake, job, found)
                if store is not None:
                    await store_slice(store, job, found, campus=campus, now=system_clock())
                rows += len(found.rows)
                shown.append(found.rows.slice(0, SHOWN))
                if job == "visits":
                    differs += _checked(sources.lake, check(opened, found.rows, found.start, found.end, sources), found)
                done(found.end)
        else:
            differs = _check_kept(opened, start, end, sources, done)
    if job in JOBS:
        _show(pa.concat_tables(shown).slice(0, SHOWN))
        typer.echo(f"{rows:,} rows in {sources.lake.name}, below results/{job}", err=True)
    if job == "profiles" and sources.calendar.empty:
        typer.echo("CALENDAR_FILE is unset: all days are alike, also holidays", err=True)
    _end(differs)


def _end(differs: int) -> None:
    """With exit code 3 where visits do not add up."""
    if differs:
        typer.echo(
            f"entries and exits of {differs:,} rows do not add up to how presence changed: results/{CHECK} has them."
            " Were positions late? Then run visits again",
            err=True,
        )
        raise typer.Exit(DIFFERS)


def _check_kept(engine: Engine, start: int, end: int, sources: Sources, done: Callable[[int], None]) -> int:
    """Check the visits that are in the lake; how many rows differ."""
    differs = 0
    for begin, until in days_between(start, end):
        visits = kept_in_lake(sources.lake, one_part(results_prefix("visits", date_of(begin))))
        if visits is not None:
            found = Slice(begin, until, visits)
            differs += _checked(sources.lake, check(engine, visits, begin, until, sources), found)
        done(until)
    return differs


def _checked(lake: Lake, differing: pa.Table, of: Slice) -> int:
    keep_in_lake(lake, CHECK, Slice(of.start, of.end, differing))
    return len(differing)


async def _export(settings: AnalyticsSettings, ranges: list[tuple[int, int]] | None) -> None:
    sources = open_sources(settings)
    async with documents.open_store(settings) as positions, timeseries.open_store(settings) as series:
        await series.setup()
        filler = Filler(lake=sources.lake, documents=positions, series=series, zone=sources.zone)
        if ranges is None:
            for gap in await asyncio.to_thread(lambda: list(gaps_of(sources.lake))):
                # Windows wait for the export as positions do: both may have been passed over.
                await filler.fill(gap.start, gap.end)
                await asyncio.to_thread(sources.lake.delete, [gap.path])
        else:
            ((start, end),) = ranges
            with _bar("export", start, end) as done:
                await filler.fill(start, end, done=done)
    _tell(filler.filled)


def _tell(filled: Filled) -> None:
    typer.echo(f"{filled.positions:,} positions, {filled.windows:,} windows, {filled.hours:,} recorded hours", err=True)
    if filled.unreadable:
        typer.echo(f"{filled.unreadable:,} documents are not positions: left out", err=True)


@contextmanager
def _bar(label: str, start: int, end: int) -> Iterator[Callable[[int], None]]:
    """How far it is: a bar where somebody is watching, else a line for each part that is done."""
    watched = sys.stderr.isatty()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not watched,
    )
    with bar:
        task = bar.add_task(label, total=end - start)
        reached = [start]

        def done(until: int) -> None:
            reached[0] = until
            bar.update(task, completed=until - start, description=f"{label} until {format_rfc3339(until)}")
            if not watched:
                typer.echo(f"done until {format_rfc3339(until)}", err=True)

        try:
            yield done
        except UnavailableError as error:
            raise UnavailableError(f"{error}; to go on: --start {date_of(reached[0])} --end {date_of(end)}") from error


def _show(rows: pa.Table) -> None:
    if not len(rows):
        typer.echo("nothing was found", err=True)
        return
    # What is empty in all rows is left out, so that the rest has room.
    found = rows.to_pylist()
    names = [name for name in rows.schema.names if any(each[name] not in {None, ""} for each in found)]
    table = Table(*names, box=None)
    for each in found:
        table.add_row(*(_cell(name, each[name]) for name in names))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "at" and isinstance(value, int):
        return format_rfc3339(value)
    return f"{value:,.0f}" if isinstance(value, float) else str(value)


def _range(start: datetime, end: datetime) -> tuple[int, int]:
    """Dates as milliseconds since the epoch; hours that are not over are left out."""
    begin, until = (int(each.replace(tzinfo=UTC).timestamp()) * 1000 for each in (start, end))
    over = system_clock() // HOUR_MS * HOUR_MS
    if begin >= until:
        raise typer.BadParameter("it must be after --start", param_hint="--end")
    if begin >= over:
        raise typer.BadParameter("no hour of that is over yet", param_hint="--start")
    return begin, min(until, over)


def _job(name: str) -> Job:
    return get_args(Job)[JOBS.index(name)]  # type: ignore[no-any-return]


def _owner() -> str:
    return f"analytics {platform.node()} {os.getpid()}"


if __name__ == "__main__":
    command.run(app, name="analytics")
