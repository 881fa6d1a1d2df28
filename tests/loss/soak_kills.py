"""`python -m tests.loss.soak_kills`, or a part of `make soak`: nodes die for ten minutes, and nobody loses anything."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console

from tests.loss.kills import Plan, try_kills

SHOWN = 10
THROUGH_SECONDS = 10.0
"""After the last kill every client is through again within so many."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def soak_kills(
    *,
    kills: Annotated[int, typer.Option(min=1, max=10_000, help="How often a node is killed with SIGKILL.")] = 200,
    minutes: Annotated[float, typer.Option(min=0.1, max=600, help="Over how long.")] = 10,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is killed when; a random one by default.")] = None,
) -> None:
    """Kill nodes behind HAProxy while clients send positions and messages, and subscribers hop between the nodes.

    Everything that was acknowledged must be in the stream, or at each subscriber; nothing of QoS 2 may be there twice;
    and ten seconds after the last kill every client must be through again. Exit code 1 where that is not so.
    """
    plan = Plan(kills, minutes * 60, SystemRandom().randrange(10**9) if seed is None else seed)
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="loss-"))
    started = time.monotonic()

    def progress(what: str) -> None:
        console.print(f"{time.monotonic() - started:6.1f} s  {what}")

    outcome = asyncio.run(try_kills(plan, folder, progress))
    console.print(
        f"seed {plan.seed}: {outcome.kills} kills in {minutes:g} minutes, {outcome.sent} messages sent, clients let in "
        f"{outcome.connects} times (refused by code: {outcome.refused or 'none'}); "
        f"{len(outcome.missing)} missing, {len(outcome.doubled)} doubled at QoS 2, "
        f"{outcome.lost_sessions} sessions lost; "
        f"all clients through again {outcome.slowest:.1f} s after the last kill, "
        f"all queues empty after {max(outcome.caught_up.values(), default=0.0):.1f} s"
    )
    for name, found in (("missing", outcome.missing), ("doubled", outcome.doubled), ("stuck", outcome.stuck)):
        if found:
            console.print(f"{name}: {found[:SHOWN]}", style="bold red")
    wrong = outcome.missing or outcome.doubled or outcome.lost_sessions or outcome.stuck
    if wrong or outcome.slowest > THROUGH_SECONDS:
        console.print(f"repeat it: --kills {kills} --minutes {minutes:g} --seed {plan.seed}; logs: {folder}")
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app()
