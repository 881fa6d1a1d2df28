"""Devices without devices: `python -m simulator --help`."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from runtime import command
from runtime.settings import load_or_exit
from simulator.campus.campus_command import HELP as CAMPUS_HELP
from simulator.campus.campus_command import campus_command
from simulator.campus.history_command import HELP as HISTORY_HELP
from simulator.campus.history_command import history_command
from simulator.campus.score_command import HELP as SCORE_HELP
from simulator.campus.score_command import score_command
from simulator.campus.watch_command import HELP as WATCH_HELP
from simulator.campus.watch_command import watch_command
from simulator.fix import BadTrackError, DeviceFix
from simulator.load.load_command import HELP as LOAD_HELP
from simulator.load.load_command import load_command
from simulator.login import Login, logins_without_a_user
from simulator.message import DEVICE_ID_MAX
from simulator.misbehaviour.command import HELP as MISBEHAVE_HELP
from simulator.misbehaviour.command import misbehave_command
from simulator.pacing import MAX_SPEED
from simulator.plan import Plan
from simulator.progress import shown_progress
from simulator.publisher import LoginRefusedError, NotConnectedError, Publisher
from simulator.replay import merged, replay, summary
from simulator.settings import SimulatorSettings
from simulator.tracks import Recording, Track, read_tracks

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT."""

MAX_LINES = 20
"""Of what is said to be left out."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Simulated devices, which publish over MQTT like real ones.

    \b
    Examples:
      python -m simulator replay bus.gpx --kind car --speed max
      python -m simulator replay walks/ --kind mobile
      python -m simulator replay walk.geojson --kind mobile --speed 10 --shift-to-now
      python -m simulator campus --devices 2000 --time-scale 60 --seed 7
      python -m simulator history --days 14 --devices 2000 --seed 7 > history.ndjson
      python -m simulator load --rate 5000 --connections 200
      python -m simulator score truth.ndjson.gz --api http://127.0.0.1:8080
      python -m simulator misbehave --only storm,garbage
    """,
)


app.command("campus", help=CAMPUS_HELP)(campus_command)
app.command("history", help=HISTORY_HELP)(history_command)
app.command("load", help=LOAD_HELP)(load_command)
app.command("score", help=SCORE_HELP)(score_command)
app.command("watch", help=WATCH_HELP)(watch_command)
app.command("misbehave", help=MISBEHAVE_HELP)(misbehave_command)


def _speed(text: str) -> float:
    if str(text) in ("max", str(MAX_SPEED)):
        return MAX_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < MAX_SPEED:
        raise typer.BadParameter("max, or a number above 0: 1 is as recorded, 10 ten times as fast")
    return speed


@app.command(
    "replay",
    help="""Publish recorded tracks, each fix with its own time, at QoS 1.

    GPX, KML, KMZ, TCX, FIT, GeoLife PLT, CSV, NMEA, OwnTracks .rec, Google Timeline and GeoJSON, also in .gz or .zip;
    of a folder each file is a device. What is left out of them is said.

    Ends with a line that says how many were sent and acknowledged; the exit code is 0 only if all were.

    \b
    Examples:
      python -m simulator replay bus.gpx
      python -m simulator replay bus.gpx --speed 1 --shift-to-now --loop
    """,
)
def replay_command(
    file: Annotated[Path, typer.Argument(help="A file with a track, an archive or a folder.", show_default=False)],
    *,
    kind: Annotated[
        str | None, typer.Option(help="What the device is, as in KINDS_FILE: car (default) or mobile, if unset.")
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            parser=_speed,
            metavar="max|NUMBER",
            show_default=False,
            help="1 is as recorded, 10 ten times as fast; by default max.",
        ),
    ] = MAX_SPEED,
    device: Annotated[
        str | None, typer.Option(help="Device id, of a single track; by default its file's name.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where MQTT is; by default MQTT_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; by default MQTT_PORT or 1883.")] = None,
    username: Annotated[
        str | None,
        typer.Option(
            help="MQTT user, with the password in MQTT_PASSWORD, or asked for; by default the demo gateway of make run."
        ),
    ] = None,
    shuffle: Annotated[int | None, typer.Option(metavar="SEED", help="In a random order, the same for a seed.")] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move the track in time so that its first fix is now.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many fixes.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, until Ctrl-C.")] = False,
) -> None:
    """Publish recorded tracks; the help above is what people read."""
    settings = load_or_exit(SimulatorSettings)
    topic = command.chosen_kind(kind, settings).topic
    try:
        recording = read_tracks(file)
        plan = Plan(speed=speed, shuffle=shuffle, shift_to_now=shift_to_now, limit=limit, loop=loop)
    except (BadTrackError, ValueError) as error:
        _fail(str(error))
    host = host or settings.mqtt_host
    username = username or settings.mqtt_username
    logins = [Login(username, _password(settings))] if username else logins_without_a_user(host, settings.data_dir)
    fixes = merged(_named(recording.tracks, device))
    _say_what_is_left_out(recording)
    for login in logins:
        publisher = Publisher(
            host=host, port=port or settings.mqtt_port, username=login.username, password=login.password
        )
        try:
            code = _run(fixes, publisher, topic=topic, plan=plan)
        except LoginRefusedError as error:
            problem = str(error)
        else:
            raise typer.Exit(code)
    _fail(f"{problem}. MQTT_USERNAME and MQTT_PASSWORD say who publishes")


def _run(fixes: list[DeviceFix], publisher: Publisher, *, topic: str, plan: Plan) -> int:
    """The exit code. Raises Refused if the server does not let the publisher in at all."""
    started = time.monotonic()
    code = 0
    problem = ""
    try:
        with publisher:
            started = time.monotonic()
            with shown_progress(publisher, total=plan.total(fixes), console=Console()) as progress:
                replay(fixes, publisher=publisher, topic=topic, plan=plan, progress=progress)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (NotConnectedError, ValueError) as error:
        if isinstance(error, LoginRefusedError) and not publisher.sent:
            raise
        code = 1
        problem = str(error)
    if publisher.sent or not problem:
        typer.echo(summary(publisher, time.monotonic() - started))
    if problem:
        typer.echo(problem, err=True)
    return code


def _password(settings: SimulatorSettings) -> str:
    if settings.mqtt_password is not None:
        return settings.mqtt_password.get_secret_value()
    if not sys.stdin.isatty():
        _fail("a user name needs a password: set MQTT_PASSWORD")
    return str(typer.prompt("MQTT password", hide_input=True))


def _named(tracks: list[Track], device: str | None) -> list[Track]:
    if device is None:
        return tracks
    if len(tracks) > 1:
        raise typer.BadParameter(f"there are {len(tracks)} tracks, each of a device", param_hint="--device")
    if not 1 <= len(device) <= DEVICE_ID_MAX:
        raise typer.BadParameter(f"1 to {DEVICE_ID_MAX} characters", param_hint="--device")
    return [replace(tracks[0], name=device)]


def _say_what_is_left_out(recording: Recording) -> None:
    of_tracks = [f"{track.name}: {note}" for track in recording.tracks for note in track.notes]
    lines = of_tracks + [f"left out: {file}" for file in recording.left_out]
    for line in lines[:MAX_LINES]:
        typer.echo(line, err=True)
    if len(lines) > MAX_LINES:
        typer.echo(f"and {len(lines) - MAX_LINES} more", err=True)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    command.run(app, name="simulator")
