"""`python -m simulator load`: so many positions a second, whatever the server makes of them."""

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import Field, SecretStr
from rich.console import Console

from geofence import InvalidCampusError, load_campus
from runtime import command
from runtime.service import loop_factory
from runtime.settings import CampusSettings, load_or_exit
from simulator.campus.chance import chance
from simulator.carrier import Carrier
from simulator.load.measured import Measured
from simulator.load.mqtt_load import LoadError, Message, MqttLoad
from simulator.load.rest_load import RestLoad
from simulator.load.run import Summary, run
from simulator.load.schedule import Schedule
from simulator.load.table import shown
from simulator.login import Login, logins_without_a_user
from simulator.message import encoded
from simulator.settings import SimulatorSettings

HELP = """Publish positions at a rate that the clock sets (an open loop), and say how long answers took.

A message that is due is sent, whatever became of those before, and its latency counts from when it was due: so a server
that stalls shows it. Positions are of made-up devices on the campus, and have no times: they are of when they arrive.

\b
Examples:
  python -m simulator load --rate 5000 --connections 200
  python -m simulator load --transport tls --port 8883 --ca secrets/people/ca.pem --host localhost
  python -m simulator load --rate 200 --over rest --connections 20 --json load.json
"""
_WIDTH = 110


class Over(StrEnum):
    """How positions are sent."""

    MQTT = "mqtt"
    REST = "rest"


class LoadSettings(SimulatorSettings, CampusSettings):
    """Where the load goes, and who sends it."""

    api_key: SecretStr | None = Field(
        default=None, description="An API key with the scope positions:write, for a load over REST."
    )


def load_command(
    *,
    rate: Annotated[float, typer.Option(min=0.1, max=1_000_000, help="Positions a second.")] = 1000,
    connections: Annotated[int, typer.Option(min=1, max=5000, help="How many connections share them.")] = 50,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="For how long.")] = 30,
    over: Annotated[Over, typer.Option(help="What carries them.")] = Over.MQTT,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices they are of.")] = 1000,
    kind: Annotated[str | None, typer.Option(help="Their kind; by default the first of KINDS_FILE.")] = None,
    host: Annotated[str | None, typer.Option(help="Where MQTT is; by default MQTT_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; by default MQTT_PORT or 1883.")] = None,
    transport: Annotated[
        Carrier, typer.Option(help="What carries MQTT; over ws and wss the path is /mqtt.")
    ] = Carrier.TCP,
    ca: Annotated[
        Path | None, typer.Option(help="File of the authorities that tls and wss trust; by default the system's.")
    ] = None,
    api: Annotated[str, typer.Option(help="Where REST is.")] = "http://127.0.0.1:8080",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there.")] = None,
) -> None:
    """Load the system; the help above is what people read."""
    settings = load_or_exit(LoadSettings)
    chosen = command.chosen_kind(kind, settings)
    host, port = host or settings.mqtt_host, port or settings.mqtt_port
    payloads = _payloads(settings, devices)
    measured = Measured()
    tls = _tls(ca) if transport.encrypted else None

    async def over_mqtt(login: Login) -> Summary:
        target = MqttLoad([Message(chosen.topic, payload) for payload in payloads], measured, time.monotonic)
        await target.open(connections, host=host, port=port, login=login, tls=tls, websocket=transport.websocket)
        return await _run(target)

    async def over_rest() -> Summary:
        target = RestLoad(payloads, measured, time.monotonic)
        key = settings.api_key.get_secret_value() if settings.api_key else None
        await target.open(connections, url=api, path=f"/v1/positions?kind={chosen.id}", key=key)
        return await _run(target)

    async def _run(target: MqttLoad | RestLoad) -> Summary:
        return await run(
            target,
            Schedule(rate, seconds),
            measured,
            over=over.value,
            connections=connections,
            elapsed=time.monotonic,
            progress=lambda due: typer.echo(
                f"{due:,} due, {measured.answered:,} answered, {target.under_way:,} under way,"
                f" p99 {measured.latency.p99:,.1f} ms",
                err=True,
            ),
        )

    if over is Over.REST:
        summary = _asked(over_rest)
    else:
        login = _login(settings, host)
        summary = _asked(lambda: over_mqtt(login))
    # Whoever keeps it in a file wants it whole.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(shown(summary), highlight=False)
    if json_file is not None:
        try:
            json_file.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
        except OSError as error:
            command.fail(f"{json_file}: {error.strerror or error}")


def _asked(work: Callable[[], Awaitable[Summary]]) -> Summary:
    async def main() -> Summary:
        return await work()

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    except LoadError as error:
        command.fail(str(error))


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # an SSLError is one
        command.fail(f"--ca {ca}: {error.strerror or error}", code=2)


def _login(settings: LoadSettings, host: str) -> Login:
    if settings.mqtt_username is None:
        return logins_without_a_user(host, settings.data_dir)[0]
    if settings.mqtt_password is None:
        command.fail("a user name needs a password: set MQTT_PASSWORD")
    return Login(settings.mqtt_username, settings.mqtt_password.get_secret_value())


def _payloads(settings: LoadSettings, devices: int) -> list[bytes]:
    """A position for each device, within some metres of the middle of the campus."""
    try:
        middle = load_campus(settings.campus_file).boundary.geometry.representative_point()
    except InvalidCampusError as error:
        command.fail(str(error), code=2)
    source = chance(0, "load")
    return [
        encoded(
            {
                "type": "Feature",
                "geometry": {
                    "type": "Point",
                    "coordinates": [
                        round(middle.x + source.uniform(-1e-4, 1e-4), 7),
                        round(middle.y + source.uniform(-1e-4, 1e-4), 7),
                    ],
                },
                "properties": {"device_id": f"load-{number:05d}", "accuracy": 5.0},
            }
        )
        for number in range(devices)
    ]
