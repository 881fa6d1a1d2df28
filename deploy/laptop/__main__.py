"""The whole system on a laptop: `python -m deploy.laptop`, which is what `make run` runs."""

import os
import resource
import shutil
import sys
from functools import partial
from pathlib import Path
from threading import Event

import typer

from core.errors import BadSettingsError
from core.kinds import Kinds
from deploy.laptop.data_dir import data_dir, refuse_a_second_redis
from deploy.laptop.demo_history import history_command, is_made, make_history, seed_command
from deploy.laptop.demo_key import demo_key
from deploy.laptop.demo_users import demo_users
from deploy.laptop.disk_reserve import DiskReserve
from deploy.laptop.first_start import once_redis_answers, redis_answers
from deploy.laptop.ports import PUBLIC, choose_ports, shown
from deploy.laptop.processes import CROWD, KEYS, REDIS, Programs, describe, service_environment
from deploy.laptop.readiness import announce, anonymous_note, door, release_when, services, welcome
from deploy.laptop.redis_server import KEYS_FOLDER, REDIS_FOLDER, redis_command, redis_executable
from deploy.laptop.redis_users import make_users
from deploy.laptop.routes import put_maps
from deploy.laptop.runner import Runner
from deploy.laptop.settings import LaptopSettings
from deploy.laptop.upgrade import bring_up_to_date
from runtime import command
from runtime.settings import KEYS_SOCKET, load

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(
    help="""Start Redis, two broker nodes, HAProxy, the decoder and the API, until Ctrl-C.

    All settings are environment variables: MQTT_PORT (1883) and HTTP_PORT (8080) are the public ports, BIND_ADDRESS
    (127.0.0.1) their address, DATA_DIR (data) the folder of all data. DEMO=1 adds a crowd that moves (DEMO_DEVICES,
    600), and weeks of history (DEMO_DAYS, 14), as `make demo` does.

    The exit code is 0 after Ctrl-C, 1 where a process ended again and again, 2 where a setting cannot work.

    \b
    Examples:
      python -m deploy.laptop
      DEMO=1 DEMO_DEVICES=2000 python -m deploy.laptop
      MQTT_PORT=2883 HTTP_PORT=9080 DATA_DIR=/tmp/campus python -m deploy.laptop
    """
)
def main() -> None:
    """Start everything; the help above is what people read."""
    try:
        code = _run()
    except BadSettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


def _run() -> int:
    settings = load(LaptopSettings)
    kinds = settings.kinds()
    with data_dir(settings.data_dir) as folder:
        programs = Programs(
            redis_server=None if settings.redis_url else redis_executable(folder),
            haproxy=shutil.which("haproxy"),
            descriptors=_descriptors(),
            keys_server=redis_executable(folder) if settings.runs_keys_redis else None,
        )
        if programs.keys_server:
            refuse_a_second_redis(folder, KEYS_SOCKET)
            make_users(programs.keys_server, folder, KEYS_FOLDER)
        if programs.redis_server:
            refuse_a_second_redis(folder)
            (folder / REDIS_FOLDER).mkdir(mode=0o700, exist_ok=True)
            make_users(programs.redis_server, folder)
            if bring_up_to_date(
                settings,
                folder,
                redis_command(programs.redis_server, folder, settings.log_level),
                service_environment(settings, folder=folder, environment=os.environ),
                folder / REDIS_FOLDER,
            ):
                typer.echo("the data of the version before was brought to the layout of this one")
        if programs.haproxy:
            put_maps(folder)
        ports = choose_ports(settings, haproxy=programs.haproxy is not None)
        runner = Runner(
            describe(settings, folder=folder, ports=ports, programs=programs, environment=os.environ),
            last={REDIS, KEYS},
            log_format=settings.log_format,
        )
        made, ready = Event(), Event()
        runner.in_background(
            partial(
                once_redis_answers,
                partial(redis_answers, settings),
                partial(_first_start, settings, kinds, folder),
                say=runner.say,
                made=made,
                stop=runner.stopping,
            )
        )
        runner.in_background(
            partial(
                announce,
                services(settings, ports),
                door(settings, ports),
                say=runner.say,
                welcome=lambda: [*anonymous_note(settings), welcome(settings, ports)],
                ready=ready,
                made=made,
                stop=runner.stopping,
            )
        )
        if settings.demo:
            _demo(settings, folder, runner, ready)
        if programs.redis_server:
            reserve = DiskReserve(folder, say=runner.say)
            # Once at the start, so that brokers that find no reserve have nothing to wait for.
            reserve.look()
            runner.in_background(partial(reserve.run, runner.stopping))
        return runner.run(opening=_opening(settings, folder, ports, programs))


def _demo(settings: LaptopSettings, folder: Path, runner: Runner, ready: Event) -> None:
    """Have the crowd move, and its past be made, once the system is ready for them."""
    runner.hold(CROWD)
    runner.in_background(partial(release_when, ready, partial(runner.release, CROWD), stop=runner.stopping))
    if settings.demo_days and not is_made(folder):
        runner.in_background(
            partial(
                make_history,
                history_command(settings),
                seed_command(folder),
                service_environment(settings, folder=folder, environment=os.environ),
                say=runner.say,
                inherit=runner.inherit,
                ready=ready,
                stop=runner.stopping,
            )
        )


def _first_start(settings: LaptopSettings, kinds: Kinds, folder: Path) -> list[str]:
    environment = service_environment(settings, folder=folder, environment=os.environ)
    # What is no terminal is a file, or somebody who collects lines: there secrets would last.
    shown = sys.stdout.isatty()
    users = demo_users(settings, kinds, folder=folder, environment=environment, show=shown)
    key = demo_key(settings, folder=folder, environment=environment, show=shown)
    return [*users, *key]


def _opening(settings: LaptopSettings, folder: Path, ports: dict[str, int], programs: Programs) -> list[str]:
    lines = [f"data: {folder}"]
    if not programs.haproxy:
        lines.append(
            "no haproxy on the PATH: both nodes listen on "
            f"{shown(str(settings.bind_address), settings.mqtt_port)} themselves, "
            f"the API on {shown(str(settings.bind_address), settings.http_port)}"
        )
    internal = ", ".join(f"{name.upper()} {port}" for name, port in ports.items() if name not in PUBLIC)
    return [*lines, f"ports of 127.0.0.1 for this run: {internal}"]


def _descriptors() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


if __name__ == "__main__":
    command.run(app, name="deploy.laptop")
