"""The smoke test: `python -m deploy.smoke --help`."""

import ssl
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.smoke.addresses import Address, api_address, mqtt_address
from deploy.smoke.api import Api
from deploy.smoke.check import Check
from deploy.smoke.device import Device, Login
from deploy.smoke.failed import CheckFailedError
from deploy.smoke.settings import SmokeSettings
from runtime import command
from runtime.settings import load_or_exit

NOBODY = "smoke-test"
"""The device id of an anonymous client."""

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def _mqtt(text: str) -> Address:
    try:
        return mqtt_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _api(text: str) -> Address:
    try:
        return api_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command(
    help="""Send one position to a running system over MQTT, and look for it over HTTP.

    A test device shows up in the quietest zone of the campus. The position must be acknowledged, counted, told of by
    an event, and be in the history; each step is printed with its time. The exit code is 0 only if all were seen, 1 if
    one was not, with what to look at, and 2 for options that cannot work.

    What stays: the positions of this one device, one more with each run, for as long as the system keeps positions;
    and a 1 in the history of the zone. It is present for PRESENCE_TTL, as any device.

    The MQTT user is to have the role car (or mobile, with --kind mobile) and speaks for itself; a gateway may name
    another device. Its password is read from MQTT_PASSWORD or --password-file, never from the command line. API_KEY is
    an API key, for an API that answers nothing without one.

    \b
    Examples:
      python -m deploy.smoke --mqtt mqtt://127.0.0.1 --api http://127.0.0.1:8080
      python -m deploy.smoke --mqtt mqtts://campus.example --api https://campus.example \\
        --username smoke-test --password-file /run/secrets/smoke
      python -m deploy.smoke --mqtt wss://campus.example/mqtt --api https://campus.example --ca ca.pem
    """,
)
def main(
    *,
    mqtt: Annotated[
        Address,
        typer.Option(
            parser=_mqtt, metavar="URL", show_default=False, help="mqtt:// (1883), mqtts:// (8883), ws:// or wss://."
        ),
    ],
    api: Annotated[
        Address, typer.Option(parser=_api, metavar="URL", show_default=False, help="http:// or https://, before /v1.")
    ],
    username: Annotated[str | None, typer.Option(help="MQTT user; by default anonymous.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with its password, on one line; by default MQTT_PASSWORD.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) of who may vouch for the servers; by default the system's.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="What the device is; by default the first of KINDS_FILE. Counts of phones can be withheld."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help=f"Device id; by default the user's name, or {NOBODY} without one.")
    ] = None,
    limit: Annotated[float, typer.Option(min=1, max=600, help="Seconds that each step may take.")] = 30.0,
) -> None:
    """Run the test; the help above is what people read."""
    settings = load_or_exit(SmokeSettings)
    password = settings.mqtt_password.get_secret_value() if settings.mqtt_password else None
    if password_file is not None:
        password = _password(password_file)
    if username is not None and password is None:
        raise typer.BadParameter("a user needs its password, in MQTT_PASSWORD or --password-file")
    tls = _tls(ca)
    check = Check(
        Api(api, tls=tls, key=settings.api_key.get_secret_value() if settings.api_key else None, limit=limit),
        Device(mqtt, Login(username, password), tls=tls, limit=limit),
        kind=command.chosen_kind(kind, settings),
        device_id=device or username or NOBODY,
        limit=limit,
        say=typer.echo,
    )
    try:
        check.run()
    except CheckFailedError as error:
        _fail(str(error))
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
        _fail(f"the API answers otherwise than this test knows it: is it of the same version? ({error!r})")
    typer.echo("the system does its job")


def _password(file: Path) -> str:
    try:
        return file.read_text().strip("\r\n")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"it cannot be read: {error}", param_hint="--password-file") from error


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(f"no certificates can be read from it: {error}", param_hint="--ca") from error


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    command.run(app, name="deploy.smoke")
