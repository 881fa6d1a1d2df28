"""Commands around the time-series store: `python -m timeseries setup`, `tokens`, `history ZONE KIND`, and `drop`."""

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from core.clock import format_rfc3339
from core.kinds import KIND_ID, KindId
from core.windows import Width
from runtime import command
from runtime.settings import load_or_exit
from timeseries.drop_command import found_in
from timeseries.opening import open_store
from timeseries.settings import TimeseriesSettings
from timeseries.store import OccupancyPoint, TimeseriesStore

Answer = TypeVar("Answer")
Extent = tuple[int, int] | None
WHO = ("writer", "reader", "public", "analytics")
"""Who there are tokens for: `timeseries.influx_tokens.Holder`, which is loaded only where it is used."""

app = typer.Typer(
    help="The store of occupancy over time. TIMESERIES_STORE chooses it: sqlite (a file in DATA_DIR) or influxdb.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _kind(text: str) -> KindId:
    """Any kind, also one that has gone: what was counted of it is still there."""
    if not re.fullmatch(KIND_ID, text, re.ASCII):
        raise typer.BadParameter("the id of a kind, such as car")
    return KindId(text)


Privacy = Annotated[
    str,
    typer.Option(
        envvar="PRIVACY", help="Unless it is open, there are buckets of released counts, too.", show_envvar=True
    ),
]
"""As all services are told it: this room knows no more of it than whether counts are released."""


@app.command()
def setup(*, privacy: Privacy = "open") -> None:
    """Make the buckets (InfluxDB) or the file (SQLite) where they are missing. Safe to repeat.

    Example: TIMESERIES_STORE=influxdb python -m timeseries setup
    """
    settings = load_or_exit(TimeseriesSettings)
    _set_up(settings, privacy)
    typer.echo(f"{settings.timeseries_store} is ready")


def _set_up(settings: TimeseriesSettings, privacy: str) -> None:
    for released in _stores(privacy):
        _with_store(settings, lambda store: store.setup(), released=released)


def _stores(privacy: str) -> tuple[bool, ...]:
    """Which stores there are: that of true windows, and that of released ones."""
    return (False,) if privacy.lower() == "open" else (False, True)


@app.command()
def tokens(
    who: Annotated[
        list[str],
        typer.Argument(
            metavar="WHO=FILE...",
            help="Who: writer (decoder, backfill), reader (backup), public (API), analytics. - is standard output.",
        ),
    ],
    *,
    anew: Annotated[bool, typer.Option("--anew", help="New ones, also where there are any.")] = False,
    privacy: Privacy = "open",
) -> None:
    """Make the buckets, and tokens of InfluxDB that may do with them what a service does, and nothing else.

    INFLUXDB_V2_TOKEN is that of an administrator here, and of nobody who runs all the time. It may be repeated: a token
    that is there already and may do just that stays. Those of ours that may do something else are removed, and with
    --anew all: then start the services anew. Under another PRIVACY than open, `public` cannot read true counts.

    Example: python -m timeseries tokens writer=decoder/INFLUXDB_V2_TOKEN public=api/INFLUXDB_V2_TOKEN
    """
    settings = load_or_exit(TimeseriesSettings)
    files = _files(who)
    if settings.timeseries_store != "influxdb":
        command.fail("TIMESERIES_STORE: only influxdb has tokens", code=2)
    _set_up(settings, privacy)
    made = command.ask(lambda: _tokens(settings, [name for name, _ in files], privacy=privacy, anew=anew))
    for name, file in files:
        token = made[name]
        if str(file) == "-":
            typer.echo(f"{name} {token}")
            continue
        try:
            _write_secret(file, token)
        except (OSError, ValueError) as error:
            command.fail(f"{file}: {error}")
        typer.echo(f"{file} has the token of {name}")


def _files(who: list[str]) -> list[tuple[str, Path]]:
    found = []
    for each in who:
        name, equals, file = each.partition("=")
        if not (equals and file and name in WHO):
            command.fail(f"{each[:60]!r}: no WHO=FILE, where WHO is {', '.join(WHO)}", code=2)
        found.append((name, Path(file)))
    return found


async def _tokens(settings: TimeseriesSettings, names: list[str], *, privacy: str, anew: bool) -> dict[str, str]:
    from timeseries.influx_http import InfluxHttp  # noqa: PLC0415 - its client is only there where it is used
    from timeseries.influx_tokens import Holder, give_tokens, rights  # noqa: PLC0415

    true, org = settings.influxdb_bucket_prefix, settings.influxdb_v2_org
    released = settings.released_bucket_prefix if True in _stores(privacy) else None
    wanted = {Holder(name): rights(Holder(name), true=true, released=released) for name in names}
    token = settings.influxdb_v2_token.get_secret_value()
    async with InfluxHttp(url=settings.influxdb_v2_url, org=org, token=token) as http:
        given = await give_tokens(http, org=org, prefix=true, wanted=wanted, anew=anew)
    return {str(who): token for who, token in given.items()}


def _write_secret(file: Path, token: str) -> None:
    """For its owner alone, at once or not at all; one that is right already stays as it is."""
    if file.exists() and file.read_text(encoding="utf-8").strip() == token:
        return
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{token}\n")
    draft.replace(file)


@app.command()
def history(
    zone: Annotated[str, typer.Argument(help="Id of the zone, or campus.")],
    kind: Annotated[KindId, typer.Argument(parser=_kind, metavar="KIND", help="What is counted: car, for example.")],
    *,
    window: Annotated[Width, typer.Option(help="Width of the windows.")] = Width.FIVE_MINUTES,
    start: Annotated[str, typer.Option(help="Windows that begin at this time or later, RFC 3339.")],
    end: Annotated[str, typer.Option(help="Windows that begin before this time, RFC 3339.")],
) -> None:
    """Print how many distinct devices were in a zone: a line for each window that is in the store, times in UTC.

    Example: python -m timeseries history campus car --window 1m --start 2019-02-18T08:55:00Z --end 2019-02-18T09:05:00Z
    """
    start_ms, end_ms = command.time_range(start, end)

    async def ask(store: TimeseriesStore) -> tuple[Extent, int | None, list[OccupancyPoint]]:
        known = await store.extent(zone, kind, window)
        kept_since = await store.kept_since(window)
        points = await store.history(zone=zone, kind=kind, width=window, start=start_ms, end=end_ms)
        return known, kept_since, points

    known, kept_since, points = _with_store(load_or_exit(TimeseriesSettings), ask)
    if kept_since is not None and start_ms < kept_since:
        typer.echo(f"of {window} windows those since {format_rfc3339(kept_since)} are kept", err=True)
    if known is None:
        typer.echo(f"nothing is known of {kind} in {zone} by {window}", err=True)
        return
    first, last = known
    typer.echo(f"known from {format_rfc3339(first)} to {format_rfc3339(last)}", err=True)
    typer.echo(f"{'start':24}  devices")
    for point in points:
        typer.echo(f"{format_rfc3339(point.window.start):24}  {point.devices:7}")


@app.command()
def drop(
    zone: Annotated[str, typer.Option(help="Id of the zone, or campus.")],
    kind: Annotated[
        KindId,
        typer.Option(parser=_kind, metavar="KIND", help="What was counted; a kind that KINDS_FILE has no more, too."),
    ],
    *,
    start: Annotated[str, typer.Option(help="Windows that begin at this time or later, RFC 3339.")],
    end: Annotated[str, typer.Option(help="Windows that begin before this time, RFC 3339.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove windows of one zone and kind, of all widths, and that their time was recorded; it is shown first.

    For what should never have been counted, such as a device with its clock in 1980. Documents stay: a backfill of that
    time brings the windows back.

    Example: python -m timeseries drop --zone campus --kind car --start 1980-01-01T00:00:00Z --end 1990-01-01T00:00:00Z
    """
    start_ms, end_ms = command.time_range(start, end)
    settings = load_or_exit(TimeseriesSettings)
    found = _with_store(settings, lambda store: found_in(store, zone, kind, start=start_ms, end=end_ms))
    if not found:
        typer.echo(f"there is nothing of {kind} in {zone} in that time", err=True)
        return
    typer.echo("width  windows  most devices  first                 last")
    for each in found:
        first, last = format_rfc3339(each.first), format_rfc3339(each.last)
        typer.echo(f"{each.width:5}  {each.windows:7}  {each.devices:12}  {first:20}  {last}")
    if not yes:
        typer.confirm("Remove these windows?", abort=True, err=True)
    _with_store(settings, lambda store: store.drop(zone, kind, start=start_ms, end=end_ms))
    typer.echo(f"{sum(each.windows for each in found)} windows were removed")


def _with_store(
    settings: TimeseriesSettings, work: Callable[[TimeseriesStore], Awaitable[Answer]], *, released: bool = False
) -> Answer:
    async def asking() -> Answer:
        async with open_store(settings, released=released) as store:
            return await work(store)

    try:
        return command.ask(asking)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


if __name__ == "__main__":
    command.run(app, name="timeseries")
