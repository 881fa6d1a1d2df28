"""`python -m backup restore`."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from backup.catalogue import Catalogue
from backup.erasures import Erasures, checked_ids, read_ids
from backup.manifest import What
from backup.place import open_place
from backup.progress import Shown
from backup.restoring import Chosen, Restored, Restoring, choose
from backup.sealing import DamagedError
from backup.settings import BackupSettings
from core.clock import format_rfc3339, parse_rfc3339, system_clock
from documents.opening import open_store as open_documents
from runtime.command import ask, fail
from runtime.settings import load_or_exit
from state.client import open_redis
from timeseries.opening import open_store as open_series


def restore(
    what: Annotated[list[What] | None, typer.Argument(help="What to restore; all three without it.")] = None,
    *,
    at: Annotated[
        str | None, typer.Option(help="Of backups that were begun by this time, RFC 3339; the newest without it.")
    ] = None,
    erased: Annotated[
        Path | None,
        typer.Option(help="File with the ids of devices that were erased since the backup was made, one a line."),
    ] = None,
    nobody_erased: Annotated[
        bool, typer.Option("--nobody-erased", help="No device was erased since the backup was made.")
    ] = False,
    over: Annotated[
        bool,
        typer.Option("--over", help="Remove what Redis has, and write over series that are there."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether the backup is whole and can be opened; write nothing.")
    ] = False,
) -> None:
    """Restore a backup to stores that are empty. All services have to be stopped; they refuse to start meanwhile.

    Every part is checked before anything is written. Whatever ends a restore on the way, run the same command again: it
    begins anew, over what it has written, and until it has come to its end no service starts on this Redis.

    A backup has the positions of devices that were erased after it was made. It says since when; name those devices in
    a file (--erased), or say that there are none (--nobody-erased). Their documents are not restored. Afterwards start
    the system, and run `python -m backup erase` with the same file.

    DEVICE_KEY, BACKUP_KEY and the passwords of the stores are in no backup. What else a system needs is in its
    configuration.

    For example:

    - `python -m backup restore --check`

    - `python -m backup restore --erased erased.txt`

    - `python -m backup restore documents --at 2026-11-30T03:00:00Z --nobody-erased`
    """
    settings = load_or_exit(BackupSettings)
    wanted = [each for each in What if each in (what or list(What))]
    try:
        until = None if at is None else parse_rfc3339(at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    if erased is not None and nobody_erased:
        raise typer.BadParameter("either this or --erased", param_hint="--nobody-erased")
    ask(lambda: _restore(settings, wanted, until, erased, nobody_erased=nobody_erased, over=over, check=check))


async def _restore(
    settings: BackupSettings,
    wanted: list[What],
    until: int | None,
    erased: Path | None,
    *,
    nobody_erased: bool,
    over: bool,
    check: bool,
) -> None:
    catalogue = Catalogue(open_place(settings), settings.key)
    try:
        chosen = await choose(catalogue, wanted, until=until)
        for each, manifest in chosen.items():
            typer.echo(
                f"{each}: {manifest.id}, begun {format_rfc3339(manifest.begun_at)}, {manifest.records:,} records"
            )
        ids = [] if check else _erased(chosen, erased, nobody_erased=nobody_erased)
        with Shown() as shown:
            restoring = Restoring(
                catalogue=catalogue,
                shown=shown,
                clock=system_clock,
                erasures=await Erasures.of(settings, ids, settings.kinds()),
                over=over,
            )
            await restoring.check(chosen)
            if check:
                await restoring.open(chosen)
                typer.echo("All parts are whole and can be opened.")
                return
            done = await _run(settings, restoring, chosen)
    except (DamagedError, FileNotFoundError) as error:
        fail(str(error))
    _tell(done, ids, erased)


async def _run(settings: BackupSettings, restoring: Restoring, chosen: Chosen) -> Restored:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(settings, "migrate"))
        # Documents of erased devices are looked for wherever something is restored, but for series alone.
        documents = series = None
        if What.DOCUMENTS in chosen:
            documents = await stack.enter_async_context(open_documents(settings))
        if What.SERIES in chosen:
            series = await stack.enter_async_context(open_series(settings))
        return await restoring.run(
            chosen, redis=redis, documents=documents, series=series, partitions=settings.partitions
        )


def _erased(chosen: Chosen, file: Path | None, *, nobody_erased: bool) -> list[str]:
    """The ids of devices that were erased since the oldest part was saved; asks where somebody is there."""
    if nobody_erased:
        return []
    if file is not None:
        return read_ids(file)
    since = format_rfc3339(min(manifest.oldest_at for manifest in chosen.values()))
    question = f"Which devices were erased since {since}? The backup has their positions."
    if not sys.stdin.isatty():
        fail(f"{question} Name them in a file: --erased FILE; or say --nobody-erased", code=2)
    typer.echo(f"{question} One id a line; an empty line ends it.", err=True)
    ids = []
    try:
        while line := input().strip():
            ids.append(line)
    except EOFError:
        fail("nothing was restored: the list of erased devices has no empty line at its end", code=2)
    return checked_ids(ids, "--erased")


def _tell(done: Restored, ids: list[str], file: Path | None) -> None:
    for what, records in done.records.items():
        typer.echo(f"{what}: {records:,} records restored")
    if done.lapsed:
        typer.echo(f"redis: {done.lapsed:,} keys were left out: their time was over")
    if done.expired:
        typer.echo(f"series: {done.expired:,} points were left out: they are older than the store keeps any")
    if done.refused:
        typer.echo(f"{done.refused:,} records were left out: the stores do not take them", err=True)
    if ids:
        typer.echo(
            f"{len(ids):,} devices were erased again: {done.erased:,} documents are not there. Start the system, and"
            f" then run `python -m backup erase {file or 'FILE'} --api URL`: what waited in streams and queues may name"
            " them."
        )
    else:
        typer.echo("No device was erased again.")
    typer.echo("The restore is complete: services may be started.")
