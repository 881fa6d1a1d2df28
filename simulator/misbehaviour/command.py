"""`python -m simulator misbehave`: what devices must not do, and what the system answers."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from geofence import InvalidCampusError, load_campus
from runtime import command
from runtime.demo_users import kept_demo_users
from runtime.settings import kinds_or_exit, load_or_exit
from simulator.campus.settings import CrowdSettings
from simulator.login import Login, is_here
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.duplicates import duplicates
from simulator.misbehaviour.foreign_ids import foreign_ids
from simulator.misbehaviour.garbage import garbage
from simulator.misbehaviour.slow import slow
from simulator.misbehaviour.spoof import spoof
from simulator.misbehaviour.storm import storm
from simulator.misbehaviour.system import System, users_of
from simulator.misbehaviour.topics import topics

ACTS: Mapping[str, Callable[[System, str, Clock], Answer]] = {
    "spoof": spoof,
    "duplicates": duplicates,
    "garbage": garbage,
    "storm": storm,
    "slow": slow,
    "topics": topics,
    "foreign-ids": foreign_ids,
}
HELP = """Do what devices must not do, and say what the system answered to each: on the wire, over REST, and in the
metrics of brokers and decoders, where --metrics names them (the log of `make run` has their ports).

It speaks as the demo users of DATA_DIR on this machine, and as nobody on others, for a system of one's own: some of it
is counted, and stays.

\b
Examples:
  python -m simulator misbehave
  python -m simulator misbehave --only storm,foreign-ids --metrics http://127.0.0.1:29024/metrics
"""


def misbehave_command(
    *,
    only: Annotated[str, typer.Option(help=f"Some of it, with commas: {', '.join(ACTS)}.", show_default="all")] = "",
    host: Annotated[str | None, typer.Option(help="Where MQTT is; by default MQTT_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; by default MQTT_PORT or 1883.")] = None,
    api: Annotated[str, typer.Option(help="Where REST is.")] = "http://127.0.0.1:8080",
    metrics: Annotated[
        list[str] | None, typer.Option(help="/metrics of a broker or decoder; may be repeated.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--json", help="Write the answers there, too.")] = None,
) -> None:
    """Misbehave; the help above is what people read."""
    settings = load_or_exit(CrowdSettings)
    kinds = kinds_or_exit(settings)
    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(ACTS)
    if unknown := [name for name in chosen if name not in ACTS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: there is {', '.join(ACTS)}", param_hint="--only")
    try:
        campus = load_campus(settings.campus_file)
    except InvalidCampusError as error:
        command.fail(str(error), code=2)
    host = host or settings.mqtt_host
    # To other machines their passwords never go.
    kept = kept_demo_users(settings.data_dir) if is_here(host) else []
    logins = {user.name: Login(user.name, user.password) for user in kept}
    system = System(
        host=host,
        port=port or settings.mqtt_port,
        api=api.rstrip("/"),
        metrics=tuple(metrics or ()),
        users=users_of(logins, kinds),
        kinds=kinds,
        campus=campus,
    )
    try:
        system.check()
    except UnavailableError as error:
        command.fail(str(error))
    # Names that nobody had before: what an earlier run was told does not count for this one.
    name = f"misbehaves-{secrets.token_hex(3)}"
    answers = [ACTS[each](system, name, system_clock) for each in chosen]
    _show(answers)
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(answers)) + b"\n")


def _show(answers: list[Answer]) -> None:
    table = Table("what", "what was done", "what the system answered", show_lines=True)
    for answer in answers:
        table.add_row(answer.what, answer.sent, "\n".join(answer.answered))
    Console().print(table)
