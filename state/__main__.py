"""`python -m state`: what Redis holds at present, and the way from one layout of it to another, for operators."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime import command
from state.command import ask_redis
from state.migrate_command import migrate
from state.status import Status, read_status

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def state() -> None:
    """The hot state: what Redis holds at present, and the way from one layout of it to another."""


app.command()(migrate)


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for tools.")] = False) -> None:
    """Show the backlog of each stage, and how many messages, positions and dead letters there have ever been.

    `outside` counts the positions outside the campus: that number is all that is kept of them.

    DATA_DIR or REDIS_URL say where Redis is. Example: DATA_DIR=data python -m state status --json
    """
    found = ask_redis(lambda client, settings: read_status(client, settings.partitions), user="status")
    if as_json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    else:
        _show(found)


def _show(found: Status) -> None:
    table = Table("what", "count")
    table.columns[1].justify = "right"
    for name, count in found.backlogs.items():
        oldest = found.oldest_seconds.get(name)
        age = "" if oldest is None else f", the oldest for {oldest:.0f} s"
        table.add_row(f"waiting in {name}{age}", str(count))
    table.add_row("dead letters kept", str(found.dead_letters), end_section=True)
    for name, count in found.totals.items():
        table.add_row(f"{name}, ever", str(count))
    Console().print(table)


if __name__ == "__main__":
    command.run(app, name="state")
