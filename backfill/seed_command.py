"""`python -m backfill seed`: a history of fenced positions, into both stores."""

import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from backfill.once import Mark
from backfill.report import BackfillSettings
from backfill.seed import AlreadyThereError, Seed, Seeded, setup
from backfill.seed_lines import BadLineError, opened, read_lines
from core.clock import format_rfc3339, system_clock
from core.errors import UnavailableError
from disclosure.policy import PrivacySettings
from documents import open_store as open_documents
from runtime import command
from runtime.devices import device_hasher
from runtime.durations import parse_duration
from runtime.epochs import who_is_who
from runtime.settings import DeviceSettings, kinds_or_exit, load_or_exit
from timeseries import open_store


class SeedSettings(BackfillSettings, DeviceSettings, PrivacySettings):
    """Both stores, the campus's time zone, and the key of the devices' hashes."""


def seed(
    file: Annotated[Path, typer.Argument(help="Lines of JSON, also packed (.gz); - is standard input.")],
    *,
    documents: Annotated[
        str,
        typer.Option(
            help="Positions of this time before the last midnight become documents; 0: none, as with ARCHIVE=off."
        ),
    ] = "1d",
    over: Annotated[bool, typer.Option("--over", help="Go on where the range has points, and replace those.")] = False,
    once: Annotated[
        Path | None,
        typer.Option(
            metavar="MARK", help="Once: this file is made, and says so. A range that has points is left as it is."
        ),
    ] = None,
) -> None:
    """Write a history that is given, until the campus's last midnight: points, coverage and documents.

    A line is a position on the campus, with its zones; lines come in the order of time:

    {"at": 1550480400000, "device": "phone-7", "kind": "mobile", "zones": ["campus", "main"], "longitude": -8.5734,
    "latitude": 52.6733}

    All days from that of the first line to that of the last count as recorded.

    A range that has points is refused, unless --over. It can be repeated then: the same lines give the same points and
    documents. The exit code is 1 where a line cannot be used; what came before it is written.

    With --once MARK one that was interrupted begins anew, and one that is over is not repeated. Where days since then
    have points of their own, it ends where it would have ended at first.

    Example: python -m simulator history --days 14 --seed 7 | python -m backfill seed -
    """
    documents_ms = _duration(documents)
    try:
        mark = Mark(once)
    except UnavailableError as error:
        command.fail(str(error))
    if mark.over:
        typer.echo(f"nothing is written: {mark.says}", err=True)
        return
    settings = load_or_exit(SeedSettings)
    who = who_is_who(settings, is_open=settings.policy.is_open)
    if who.rotates or who.source:
        command.fail(
            "DEVICE_KEY_ROTATION, DEVICE_SOURCE: a history that is made up has devices of one key, which are nobody's:"
            " seed with PRIVACY=open",
            code=2,
        )
    kinds = kinds_or_exit(settings)
    started = time.monotonic()

    async def work() -> Seeded:
        async with open_store(settings) as store, open_documents(settings) as archive:
            writer = Seed(
                store=store,
                documents=archive,
                zone=ZoneInfo(settings.campus_timezone),
                kinds=kinds,
                hasher=device_hasher(settings),
                now=system_clock(),
                # As of the live path, which makes none then.
                documents_ms=0 if settings.archive == "off" else documents_ms,
                over=over,
                begun_at=mark.begun_at,
                begins=mark.begin,
            )
            await setup(store, archive, _waits)
            with opened(file) as lines:
                return await writer.run(read_lines(lines), done=_done, waits=_waits)

    try:
        seeded = command.ask(work)
    except BadLineError as error:
        command.fail(f"{file}: {error}")
    except AlreadyThereError as error:
        if once is None:
            command.fail(f"{error}; --over writes in the place of those of the same windows")
        mark.end(f"left as it is, for {error}")
        typer.echo(str(error), err=True)
        return
    _show(seeded, time.monotonic() - started)
    mark.end("done")


def _duration(text: str) -> int:
    if text == "0":
        return 0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--documents") from error


def _done(until: int) -> None:
    typer.echo(f"done until {format_rfc3339(until)}", err=True)


def _waits(reason: str | None) -> None:
    typer.echo(f"waiting: {reason}" if reason else "going on", err=True)


def _show(seeded: Seeded, seconds: float) -> None:
    typer.echo(
        f"{seeded.positions:,} positions: {seeded.points:,} points of {len(seeded.zones)} zones and "
        f"{seeded.documents:,} new documents, in {seconds:.0f} s"
    )
    if seeded.later:
        typer.echo(f"{seeded.later:,} positions are not older than the last midnight: left out", err=True)
    if seeded.refused:
        typer.echo(f"{seeded.refused:,} points are older than the server keeps any: not stored", err=True)
