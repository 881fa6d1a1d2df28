"""`python -m backup save`."""

from contextlib import AsyncExitStack
from typing import Annotated

import typer

from backup.catalogue import Catalogue
from backup.manifest import Manifest, What
from backup.place import open_place
from backup.progress import Shown
from backup.saving import Saving
from backup.settings import BackupSettings
from core.clock import system_clock
from documents.opening import open_store as open_documents
from runtime.command import ask, fail
from runtime.settings import load_or_exit
from state.client import open_redis
from timeseries.opening import open_store as open_series


def save(
    what: Annotated[list[What] | None, typer.Argument(help="What to save; all three without it.")] = None,
    *,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Save months and days anew that were saved before: after a backfill, say."),
    ] = False,
) -> None:
    """Make a backup of Redis, the documents and the series, of each by itself, while the system runs.

    It becomes a backup at the end, by its manifest: what is interrupted is none, and costs room for a day. Redis is
    copied as a replica copies it, at one moment. Of documents each month is saved, of series each day; one that has
    been over for more than a week is saved once, when documents of it came later, and again every BACKUP_KEEP_DAYS.
    Backups that are older than that are removed afterwards, but for the newest.

    While a backup is being restored nothing is saved. For all three that belong together, save them at once, or Redis
    first. `restore` chooses by itself.

    For example:

    - `python -m backup save`

    - `python -m backup save redis`
    """
    settings = load_or_exit(BackupSettings)
    ask(lambda: _save(settings, [each for each in What if each in (what or list(What))], whole=whole))


async def _save(settings: BackupSettings, wanted: list[What], *, whole: bool) -> None:
    catalogue = Catalogue(open_place(settings), settings.key)
    async with AsyncExitStack() as resources:
        shown = resources.enter_context(Shown())
        redis = await resources.enter_async_context(open_redis(settings, "backup"))
        saving = Saving(
            client=redis,
            catalogue=catalogue,
            shown=shown,
            clock=system_clock,
            keep_days=settings.backup_keep_days,
            whole=whole,
        )
        try:
            for what in wanted:
                _tell(await _one(saving, settings, what))
            for what in wanted:
                await _tidy(saving, what)
        except FileNotFoundError as error:
            fail(str(error))


async def _one(saving: Saving, settings: BackupSettings, what: What) -> Manifest:
    match what:
        case What.REDIS:
            return await saving.redis()
        case What.DOCUMENTS:
            async with open_documents(settings) as documents:
                return await saving.documents(documents)
        case What.SERIES:
            async with open_series(settings) as series:
                return await saving.series(series)


def _tell(manifest: Manifest) -> None:
    anew = sum(part.path.startswith(f"{manifest.what}/{manifest.id}/") for part in manifest.parts)
    typer.echo(
        f"{manifest.what}: {manifest.records:,} records in {len(manifest.parts):,} parts, {anew:,} of them anew, as"
        f" {manifest.id}"
    )


async def _tidy(saving: Saving, what: What) -> None:
    done = await saving.catalogue.tidy(what, now=saving.clock(), keep_days=saving.keep_days)
    if done.removed or done.objects:
        typer.echo(f"{what}: {done.removed:,} old backups and {done.objects:,} parts that none needs were removed")
    if done.unreadable:
        typer.echo(f"{what}: {done.unreadable:,} backups cannot be opened with this BACKUP_KEY", err=True)
