"""`python -m simulator history`: days that are over, as lines of JSON."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer

from core.clock import parse_rfc3339, system_clock
from core.windows import Width, window_start
from geofence import Geofence, InvalidCampusError, load_campus
from runtime import command
from runtime.settings import kinds_or_exit, load_or_exit
from simulator.campus.calendar import BadCalendarError, Calendar, read_calendar, usual
from simulator.campus.crowd import Crowd
from simulator.campus.fenced import History
from simulator.campus.history_file import history_output
from simulator.campus.settings import CrowdSettings
from simulator.campus.truth import SCHEMA, About, visits, write_truth

MAX_DEVICES = 20_000
MAX_DAYS = 400
HELP = """Print what a crowd sent on days that are over: positions on the campus with their zones, lines of JSON in
order of time, on standard output. The same seed gives the same lines.

\b
Examples:
  python -m simulator history --days 14 --devices 2000 --seed 7 > history.ndjson
  python -m simulator history --until 2026-11-30T00:00:00Z --days 1 --devices 100
"""

Devices = Annotated[int, typer.Option(min=1, max=MAX_DEVICES, help="How many devices there are, of all kinds.")]
Seed = Annotated[int, typer.Option(help="The same seed is the same crowd, and the same days.")]
CalendarFile = Annotated[
    Path | None,
    typer.Option("--calendar", help="JSON with terms, holidays and open_days; by default two terms of 15 weeks."),
]
TruthFile = Annotated[
    Path | None, typer.Option("--truth", help="Write there who was in which zone when: gzipped lines of JSON.")
]


def history_command(
    *,
    days: Annotated[int, typer.Option(min=0, max=MAX_DAYS, help="How many days of 24 hours; 0: no line.")] = 14,
    devices: Devices = 2000,
    seed: Seed = 7,
    until: Annotated[
        str | None, typer.Option(help="Where it ends, RFC 3339; by default the campus's last midnight.")
    ] = None,
    calendar_file: CalendarFile = None,
    truth: TruthFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write there, once: packed if it ends in .gz, whole or not at all; leave if it is there."
        ),
    ] = None,
) -> None:
    """Print history; the help above is what people read."""
    if out is not None and out.exists():
        typer.echo(f"{out} is there: nothing is written", err=True)
        return
    settings = load_or_exit(CrowdSettings)
    zone = ZoneInfo(settings.campus_timezone)
    end_ms = window_start(Width.DAY, system_clock(), zone) if until is None else _time(until)
    start_ms = end_ms - days * 86_400_000
    crowd, fence = made_crowd(settings, devices=devices, seed=seed, calendar_file=calendar_file, near_ms=end_ms)
    encoder = msgspec.json.Encoder()
    try:
        with history_output(out) as lines:
            for line in History(fence).fenced(crowd.moments(start_ms, end_ms, by_their_clocks=True)):
                lines.write(encoder.encode(line) + b"\n")
    except BrokenPipeError as error:
        # Whoever read has seen enough.
        raise typer.Exit(1) from error
    except OSError as error:
        command.fail(f"{out or 'standard output'}: {error.strerror or error}")
    if truth is not None:
        written(truth, crowd, fence, About(SCHEMA, start_ms, end_ms, devices, seed))


def written(file: Path, crowd: Crowd, fence: Geofence, about: About, *, shift_ms: int = 0) -> None:
    """Write the truth about a range, and say so; a file that cannot be written ends the command with a sentence."""
    try:
        count = write_truth(file, about, visits(crowd, fence, about.start, about.end), shift_ms=shift_ms)
    except OSError as error:
        command.fail(f"{file}: {error.strerror or error}")
    typer.echo(f"{file}: the truth, {count} visits", err=True)


def made_crowd(
    settings: CrowdSettings, *, devices: int, seed: int, calendar_file: Path | None, near_ms: int, spoofers: int = 0
) -> tuple[Crowd, Geofence]:
    """The crowd of the campus of the settings, and its fence. What cannot be used ends the command with a sentence.

    `near_ms` is a time of the years that the usual calendar is made for.
    """
    calendar = made_calendar(calendar_file, near_ms)
    try:
        campus = load_campus(settings.campus_file)
    except InvalidCampusError as error:
        command.fail(str(error), code=2)
    crowd = Crowd(
        campus=campus,
        kinds=kinds_or_exit(settings),
        devices=devices,
        seed=seed,
        calendar=calendar,
        zone=ZoneInfo(settings.campus_timezone),
        spoofers=spoofers,
    )
    return crowd, Geofence(campus)


def made_calendar(file: Path | None, near_ms: int) -> Calendar:
    """The calendar of a file, or the usual one of the years around a time. A bad file ends the command."""
    year = datetime.fromtimestamp(near_ms / 1000, UTC).year
    try:
        return usual(range(year - 2, year + 2)) if file is None else read_calendar(file)
    except BadCalendarError as error:
        command.fail(str(error), code=2)


def _time(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from error
