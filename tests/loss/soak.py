"""`python -m tests.loss.soak`, or a part of `make soak`: many messages, and nodes and Redis that die meanwhile."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.loss.publishers import MAX_NUMBERS
from tests.loss.trial import CLIENTS, Plan, Result, try_to_lose

SHOWN = 20
"""Lost numbers that are printed."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def soak(
    *,
    messages: Annotated[
        int, typer.Option(min=100, max=CLIENTS * MAX_NUMBERS, help="Messages of QoS 1, each with a number.")
    ] = 100_000,
    kills: Annotated[int, typer.Option(min=0, max=1000, help="How often a node is killed with SIGKILL.")] = 12,
    outages: Annotated[int, typer.Option(min=0, max=1000, help="How often Redis goes away and comes back.")] = 6,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is killed when; a random one by default.")] = None,
) -> None:
    """Publish numbered messages through HAProxy to two nodes that are killed at random, as is their Redis.

    Every number that a client was sent a PUBACK for must be in the stream raw. It ends with exit code 1 if one is not.

    The same seed kills after the same numbers of acknowledgements; which moment of a process that hits is chance.
    """
    plan = Plan(messages, kills, outages, SystemRandom().randrange(10**9) if seed is None else seed)
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="loss-"))
    started = time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(f"seed {plan.seed}", total=messages)

            def progress(count: int, what: str) -> None:
                bar.update(task, completed=count)
                if what:
                    bar.console.print(f"{time.monotonic() - started:6.1f} s  {count:7} acknowledged  {what}")

            result = asyncio.run(try_to_lose(plan, folder, progress))
    except BaseException:
        console.print(f"seed {plan.seed}: the logs are in {folder}", style="red")
        raise
    seconds = time.monotonic() - started
    if not _report(console, plan, result, seconds):
        options = f"--messages {messages} --kills {kills} --outages {outages} --seed {plan.seed}"
        console.print(f"repeat it: python -m tests.loss.soak {options}; logs: {folder}")
        raise SystemExit(1)
    shutil.rmtree(folder)


def _report(console: Console, plan: Plan, result: Result, seconds: float) -> bool:
    """Whether all was well."""
    console.print(
        f"seed {plan.seed}: {len(result.acknowledged)} messages acknowledged in {seconds:.0f} s, {result.kills} nodes "
        f"killed, Redis away {result.outages} times, clients let in {result.connects} times, "
        f"{result.repeated} messages stored more than once"
    )
    if result.lost:
        console.print(f"LOST: {len(result.lost)}: {sorted(result.lost)[:SHOWN]}", style="bold red")
        return False
    if (result.kills, result.outages) != (plan.kills, plan.outages) or not all(result.left):
        console.print("not all disturbances came before the last message", style="bold red")
        return False
    console.print("none was lost", style="green")
    return True


if __name__ == "__main__":
    app()
