"""`python -m simulator campus`: the crowd as it moves, over MQTT."""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import typer

from core.clock import format_rfc3339, system_clock
from core.windows import Width, window_start
from runtime import command
from runtime.settings import load_or_exit
from simulator.campus.crowd import Crowd
from simulator.campus.history_command import CalendarFile, Devices, Seed, TruthFile, made_calendar, made_crowd, written
from simulator.campus.links import Links, Transport
from simulator.campus.live import Live, Plan, wait_for_a_connection
from simulator.campus.owned import MAX_OWN, Owned, Way
from simulator.campus.pace import Pace, busy_hours
from simulator.campus.settings import CrowdSettings
from simulator.campus.truth import SCHEMA, About
from simulator.carrier import Carrier
from simulator.device_paho import trusting
from simulator.login import Login, logins_without_a_user
from simulator.outline import Rings, outline_of
from simulator.publisher import LoginRefusedError, NotConnectedError
from simulator.zones import Ask, Outline, SharedZones, ZonesApi

MAX_SPOOFERS = 2000
LINE_SECONDS = 60.0
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT."""
CONNECT_SECONDS, KNOCK_SECONDS = 120.0, 2.0
"""How long users are not there yet, and how often to try."""
HELP = """A crowd of people and vehicles that lives a campus day by a timetable: they arrive, park, walk between
buildings, and leave. Each device has its own geofence, and sends nothing from outside; its receiver errs as receivers
do.

The campus's time begins in the past, runs fast until it meets the present, after five minutes unless told, and goes on
with it. The same seed is the same crowd. Until Ctrl-C, or --seconds.

With --own-connections each device has an MQTT connection, a client id and a persistent session of its own, as phones
have. It begins now, and at most 500 devices can be had so.

\b
Examples:
  python -m simulator campus --devices 2000 --time-scale 60 --seed 7
  python -m simulator campus --devices 500 --seconds 600 --truth truth.ndjson.gz
  python -m simulator campus --devices 500 --spoofers 50 --time-scale 60 --truth truth.ndjson.gz
  python -m simulator campus --devices 200 --own-connections --api http://127.0.0.1:8080
"""


class Target(NamedTuple):
    """Where MQTT is, and how many connections go there."""

    host: str
    port: int
    transport: Transport
    connections: int

    def links(self, login: Login) -> Links:
        """Connections of one user."""
        return Links(self.connections, host=self.host, port=self.port, login=login, transport=self.transport)

    def way(self, login: Login) -> Way:
        """The same for a device's own connection."""
        scheme = ("ws" if self.transport.ws else "mqtt") + ("s" if self.transport.tls else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        ca = self.transport.ca
        return Way(f"{scheme}://{host}:{self.port}", login, str(ca) if ca is not None else None)


class Ended(NamedTuple):
    """How it was."""

    reached_ms: int
    """How far the campus's time had come."""
    interrupted: bool
    """Whether somebody ended it."""


class Hours(StrEnum):
    """Which day is lived."""

    REAL = "real"
    BUSY = "busy"


def campus_command(
    *,
    devices: Devices = 2000,
    time_scale: Annotated[
        float, typer.Option(min=1, max=3600, help="How much faster time runs until it has met the present.")
    ] = 1,
    seed: Seed = 7,
    spoofers: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_SPOOFERS,
            help="Devices besides that make positions up, in five ways by turns; 30 have a crowd in lockstep.",
        ),
    ] = 0,
    start: Annotated[
        str | None,
        typer.Option(help="When it begins, RFC 3339, in the past; by default it takes five minutes."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so many seconds.")] = None,
    truth: TruthFile = None,
    hours: Annotated[
        Hours,
        typer.Option(help="busy: while few are on the campus, live a Tuesday morning in term with the times of now."),
    ] = Hours.REAL,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm", help="Send who is there first, and besides, as fast as it is taken, all since midnight."
        ),
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Connections that the devices share.")] = 20,
    own_connections: Annotated[
        bool,
        typer.Option("--own-connections", help=f"One for each device instead, of which {MAX_OWN} can be had so."),
    ] = False,
    api: Annotated[
        str | None,
        typer.Option(
            help="With --own-connections: where REST is, of which devices ask for the outline of the campus;"
            " by default they know it."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where MQTT is; by default MQTT_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; by default MQTT_PORT or 1883.")] = None,
    username: Annotated[
        str | None,
        typer.Option(help="MQTT user, with the password in MQTT_PASSWORD; by default the demo gateway of make run."),
    ] = None,
    transport: Annotated[
        Carrier, typer.Option(help="What carries MQTT; over ws and wss the path is /mqtt.")
    ] = Carrier.TCP,
    ca: Annotated[
        Path | None, typer.Option(help="File of the authorities that tls and wss trust; by default the system's.")
    ] = None,
    calendar_file: CalendarFile = None,
) -> None:
    """Run the crowd; the help above is what people read."""
    settings = load_or_exit(CrowdSettings)
    if own_connections:
        _refuse_what_is_not_now(devices + spoofers, time_scale=time_scale, start=start, warm=warm)
    elif api is not None:
        command.fail("--api is for --own-connections: devices that share connections know the campus")
    zone = ZoneInfo(settings.campus_timezone)
    now_ms = system_clock()
    pace = Pace.meeting(now_ms, time_scale)
    if start is not None:
        pace = Pace(now_ms, _past(start, now_ms), time_scale)
    busy = busy_hours(now_ms, zone, made_calendar(calendar_file, now_ms)) if hours is Hours.BUSY else None
    if busy is not None:
        typer.echo(busy.why)
    crowd, fence = made_crowd(
        settings, devices=devices, seed=seed, calendar_file=calendar_file, near_ms=now_ms, spoofers=spoofers
    )
    plan = Plan(
        pace=pace,
        shift_ms=busy.shift_ms if busy is not None else 0,
        until_ms=None if seconds is None else now_ms + round(seconds * 1000),
        warm_from_ms=window_start(Width.DAY, pace.start_ms, zone) if warm else None,
    )
    target = Target(
        host=host or settings.mqtt_host,
        port=port or settings.mqtt_port,
        transport=Transport(tls=transport.encrypted, ws=transport.websocket, ca=ca),
        connections=connections,
    )
    logins = _logins(settings, target.host, username)
    rings = outline_of(crowd.campus.as_feature_collection())
    if own_connections:
        ended = _lived(_own(crowd, _zones(api, ca, rings), target, plan, seed), logins)
    else:
        ended = _lived(_shared(crowd, rings, target, plan, seed), logins)
    if truth is not None:
        about = About(
            SCHEMA, pace.start_ms - plan.shift_ms, ended.reached_ms - plan.shift_ms, devices, seed, crowd.spoofers
        )
        written(truth, crowd, fence, about, shift_ms=plan.shift_ms)
    if ended.interrupted:
        raise typer.Exit(INTERRUPTED)


def _shared(crowd: Crowd, rings: Rings | None, target: Target, plan: Plan, seed: int) -> Callable[[Login], Ended]:
    def lived(login: Login) -> Ended:
        with target.links(login) as links:
            return _run(Live(crowd, rings, links, plan, seed=seed, clock=system_clock))

    return lived


def _own(crowd: Crowd, zones: Ask, target: Target, plan: Plan, seed: int) -> Callable[[Login], Ended]:
    def lived(login: Login) -> Ended:
        # Whether this user is let in is asked once, not by each device.
        try:
            with target._replace(connections=1).links(login) as links:
                wait_for_a_connection(links, plan, system_clock)
        except KeyboardInterrupt:
            return Ended(plan.pace.start_ms, interrupted=True)
        moments = crowd.moments(plan.pace.start_ms - plan.shift_ms)
        with Owned(
            moments, plan, target.way(login), zones=zones, say=_complain, seed=seed, clock=system_clock
        ) as owned:
            return _run(owned)

    return lived


def _lived(live: Callable[[Login], Ended], logins: Callable[[], list[Login]]) -> Ended:
    """Run until the end or Ctrl-C, as the first user that is let in."""
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        for login in logins():
            try:
                return live(login)
            except LoginRefusedError as error:
                problem = (
                    f"{error} for {CONNECT_SECONDS:g} s. MQTT_USERNAME and MQTT_PASSWORD must name a user of the role"
                    " gateway, who may publish for any device"
                )
            except NotConnectedError as error:
                command.fail(str(error))
        # A system that starts for the first time makes its users while we knock.
        if time.monotonic() > until:
            command.fail(problem, code=2)
        time.sleep(KNOCK_SECONDS)


def _run(live: Live | Owned) -> Ended:
    last = time.monotonic()

    def line() -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            typer.echo(
                f"{format_rfc3339(live.reached_ms // 1000 * 1000)}: {live.inside} devices on the campus,"
                f" {live.acknowledged} messages acknowledged, {live.unsent} positions unsent"
            )

    interrupted = False
    try:
        live.run(line)
    except KeyboardInterrupt:
        # Ended by whoever started it: the truth is written all the same.
        interrupted = True
    typer.echo(f"{live.acknowledged} messages acknowledged, {live.dropped} positions given up")
    return Ended(live.reached_ms, interrupted)


def _refuse_what_is_not_now(devices: int, *, time_scale: float, start: str | None, warm: bool) -> None:
    if devices > MAX_OWN:
        command.fail(
            f"--own-connections is for {MAX_OWN} devices at the most, spoofers included, and these are {devices}:"
            " fewer with --devices, or leave it out, and they share connections"
        )
    if time_scale != 1 or start is not None or warm:
        command.fail(
            "--own-connections is for what happens now: it goes without --time-scale, --start and --warm, since"
            " connections and the network cannot be made faster"
        )


def _zones(api: str | None, ca: Path | None, rings: Rings | None) -> Ask:
    if api is None:
        known = Outline(rings, "known")
        return lambda etag: None if etag == known.etag else known
    try:
        return SharedZones(ZonesApi(f"{api.rstrip('/')}/v1/zones", trusting(str(ca) if ca is not None else None)))
    except (OSError, ValueError) as error:
        command.fail(f"--api: {error}")


def _complain(problem: str) -> None:
    typer.echo(problem, err=True)


def _logins(settings: CrowdSettings, host: str, username: str | None) -> Callable[[], list[Login]]:
    name = username or settings.mqtt_username
    if name is None:
        return lambda: logins_without_a_user(host, settings.data_dir)
    if settings.mqtt_password is None:
        command.fail("a user name needs a password: set MQTT_PASSWORD")
    login = Login(name, settings.mqtt_password.get_secret_value())
    return lambda: [login]


def _past(text: str, now_ms: int) -> int:
    start_ms, _ = command.time_range(text, format_rfc3339(now_ms))
    return start_ms
