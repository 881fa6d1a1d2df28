"""`python -m state migrate`: data of the version before, or of other partitions, becomes that of this one."""

from contextlib import AsyncExitStack
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from core.clock import system_clock
from core.errors import BadSettingsError
from runtime import command
from runtime.settings import CampusSettings, CommonSettings, load_or_exit
from state.client import Redis, open_redis
from state.layout import VERSION, Layout, is_of_the_version_before, read_layout, write_version
from state.upgrade.options import check_stopped, unpack_options
from state.upgrade.partitions import Repartition
from state.upgrade.run import Migration
from state.windows import day_shift_ms


def migrate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, and change nothing.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Copy from this Redis, which stays as it is: into a cluster, say."),
    ] = None,
) -> None:
    """Bring the data of the version before, or of another number of PARTITIONS, to what the services expect.

    Stop all services first. What it does may be done again: where it was ended, run it once more.

    REDIS_URL or DATA_DIR say where Redis is, PARTITIONS and CAMPUS_TIMEZONE what the services are given.

    For example: REDIS_URL=redis+cluster://a:6379,b:6379 PARTITIONS=16 python -m state migrate --from redis://old:6379
    """
    settings, campus = load_or_exit(CommonSettings), load_or_exit(CampusSettings)
    shift_ms = day_shift_ms(ZoneInfo(campus.campus_timezone))
    command.ask(lambda: _migrate(settings, source, shift_ms=shift_ms, dry_run=dry_run))


async def _migrate(settings: CommonSettings, source: str | None, *, shift_ms: int, dry_run: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(open_redis(settings, "migrate"))
        origin = target
        if source is not None:
            origin = await stack.enter_async_context(open_redis(settings.model_copy(update={"redis_url": source})))
            await read_layout(origin)  # nobody copies half of a backup
        layout = await read_layout(target)
        if layout is None or layout.migrating == 0:
            if source is None and layout is None and not await is_of_the_version_before(target):
                raise BadSettingsError("Redis is empty: there is nothing to migrate")
            partitions = settings.partitions if layout is None else layout.partitions
            migration = Migration(
                source=origin, target=target, partitions=partitions, shift_ms=shift_ms, clock=system_clock
            )
            await _bring(console, migration, dry_run=dry_run)
            return
        if source is not None:
            raise BadSettingsError("--from: the Redis at REDIS_URL has data already")
        if layout.version < VERSION:
            await _to_this_layout(console, target, layout, dry_run=dry_run)
        if layout.version == VERSION or layout.partitions != settings.partitions or layout.migrating is not None:
            await _repartition(console, settings, target, layout, shift_ms=shift_ms, dry_run=dry_run)
        if not dry_run:
            console.print("done: start the services")


async def _to_this_layout(console: Console, target: Redis, layout: Layout, *, dry_run: bool) -> None:
    console.print(f"from layout {layout.version} to {VERSION}")
    await check_stopped(target)
    if not dry_run:
        await unpack_options(target)
        await write_version(target)


async def _repartition(
    console: Console, settings: CommonSettings, target: Redis, layout: Layout, *, shift_ms: int, dry_run: bool
) -> None:
    was = layout.partitions if layout.migrating is None else layout.migrating
    partitions = settings.partitions if layout.migrating is None else layout.partitions
    if was == partitions and layout.migrating is None:
        raise BadSettingsError("Redis has the data of this version already: there is nothing to migrate")
    change = Repartition(client=target, was=was, partitions=partitions, shift_ms=shift_ms, clock=system_clock)
    console.print(f"from {was} partitions to {partitions}")
    if dry_run:
        await change.check()
    else:
        await change.run()


async def _bring(console: Console, migration: Migration, *, dry_run: bool) -> None:
    found = await migration.look()
    table = Table("what", "keys")
    table.columns[1].justify = "right"
    for kind, count in found.kinds.items():
        table.add_row(kind, str(count))
    for what, count in (
        ("windows of the last days", found.windows),
        ("streams of partitions", len(found.streams)),
        ("where devices are: left out, it comes back with their next positions", len(found.nothing)),
        ("of somebody else: left as they are", found.unknown),
    ):
        table.add_row(what, str(count))
    console.print(table)
    await migration.check_stopped()
    if dry_run:
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done)

        await migration.run(found, tell)
    console.print(f"done, with PARTITIONS={migration.partitions}: start the services")
