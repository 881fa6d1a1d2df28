"""What `python -m timeseries backfill` needs besides the work itself: its settings, its progress bar, its report."""

import sys
from typing import Literal, Self
from zoneinfo import ZoneInfo

import typer
from pydantic import Field
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID
from rich.table import Table

from core.clock import system_clock
from core.settings import CampusSettings
from timeseries.backfill import Backfill, DocumentSettings, Outcome, open_documents
from timeseries.settings import TimeseriesSettings
from timeseries.store import OccupancyStore


class BackfillSettings(DocumentSettings, TimeseriesSettings, CampusSettings):
    """Both stores, and the campus's time zone."""

    archive: Literal["every", "sampled", "off"] = Field(
        default="every", description="Which positions the decoder makes documents of: every, sampled or off."
    )


def check_archive(settings: BackfillSettings, *, force: bool, lower: bool) -> None:
    """Leave with exit code 2 where no documents are made, unless it is forced."""
    # Samples are enough: each window of a position that was left out has a sample of the same device.
    if settings.archive != "off":
        return
    if not force:
        typer.echo(
            "ARCHIVE=off: positions do not become documents, so that windows would get too few devices. --force "
            "recomputes them from what documents there are, and lowers no figure.",
            err=True,
        )
        raise typer.Exit(2)
    if lower:
        raise typer.BadParameter("documents are incomplete with ARCHIVE=off", param_hint="--lower")


async def recompute(
    settings: BackfillSettings,
    store: OccupancyStore,
    *,
    start: int,
    end: int,
    lower: bool | None,
    dry_run: bool,
) -> Outcome:
    """Run a backfill with a progress bar on standard error; times are milliseconds since the epoch."""
    now = system_clock()
    keep = settings.documents_keep_ms
    async with open_documents(settings) as documents:
        backfill = Backfill(
            documents=documents,
            store=store,
            zone=ZoneInfo(settings.campus_timezone),
            start=start,
            end=end,
            now=now,
            complete_from=0 if keep is None else now - keep,
            lower=lower,
            dry_run=dry_run,
        )
        if not dry_run:
            await store.setup()
        with _Bar() as bar:
            return await backfill.run(bar)


def show(outcome: Outcome, *, dry_run: bool) -> None:
    """Print what became of the windows, and what an operator should know of it."""
    table = Table("width", "windows", "would be written" if dry_run else "written", "of them 0", "kept")
    for column in table.columns[1:]:
        column.justify = "right"
    for width, tally in outcome.tallies.items():
        table.add_row(width.value, *(f"{n:,}" for n in (tally.windows, tally.changed, tally.zeroed, tally.kept)))
    Console().print(table)
    typer.echo(f"{outcome.documents:,} documents in the range", err=True)
    if outcome.unreadable:
        typer.echo(f"{outcome.unreadable:,} documents are not positions: left out", err=True)
    if outcome.refused:
        typer.echo(f"{outcome.refused:,} points are older than the server keeps any: not stored", err=True)
    if any(tally.kept for tally in outcome.tallies.values()):
        typer.echo("kept: the stored figure is greater, and documents may be missing; --lower lowers it", err=True)


class _Bar:
    """Progress, where somebody is watching."""

    def __init__(self) -> None:
        self._progress = Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._progress.stop()

    def begin(self, what: str, total: int) -> None:
        self._finish()
        self._task = self._progress.add_task(what, total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task)

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=self._progress.tasks[-1].completed)
