"""What `python -m backfill` needs besides the work itself: its settings, its progress bar, its report."""

import asyncio
import sys
from typing import Literal, Self
from zoneinfo import ZoneInfo

import typer
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from backfill.recompute import Backfill, Outcome
from core.clock import format_rfc3339, system_clock
from core.errors import UnavailableError
from documents import DocumentSettings
from documents import open_store as open_documents
from runtime.settings import CampusSettings
from timeseries.settings import TimeseriesSettings
from timeseries.store import TimeseriesStore

SHOWN_EVERY = 1000
"""Documents between two changes of the bar."""


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
    store: TimeseriesStore,
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
            try:
                return await backfill.run(bar)
            except UnavailableError as error:
                raise UnavailableError(f"{error}; {bar.hint(end)}") from error
            except asyncio.CancelledError:
                # Ctrl-C.
                typer.echo(bar.hint(end), err=True)
                raise


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
    """Progress: a bar where somebody is watching, else a line for each day that is done."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self._watched,
        )
        self._task: TaskID | None = None
        self._start = 0
        self._until: int | None = None
        self._documents = 0
        self._waits_for: str | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, start: int, end: int) -> None:
        self._start = start
        self._task = self._progress.add_task(f"from {format_rfc3339(start)}", total=end - start)

    def read(self) -> None:
        self._documents += 1
        if self._documents % SHOWN_EVERY == 0:
            self._show(f"{self._documents:,} documents read")

    def done(self, until: int) -> None:
        if until == self._until:
            return
        self._until = until
        self._show(f"done until {format_rfc3339(until)}", completed=until - self._start)
        if not self._watched:
            typer.echo(f"done until {format_rfc3339(until)}", err=True)

    def waits(self, reason: str | None) -> None:
        self._show(f"waiting: {reason}" if reason else "going on")
        if not self._watched and reason != self._waits_for:
            typer.echo(f"waiting: {reason}" if reason else "going on", err=True)
        self._waits_for = reason

    def hint(self, end: int) -> str:
        """How to go on after an interruption; what was asked for ends at `end`."""
        if self._until is None:
            return "no day is done yet: the same command begins again"
        return f"to go on: --start {format_rfc3339(self._until)} --end {format_rfc3339(end)}"

    def _show(self, text: str, **changes: float) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=text, **changes)  # type: ignore[arg-type]  # rich's own names
