"""`python -m tests.oracle.soak`, or `make soak`: the oracle for as long as you like."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from runtime.logs import configure_logs
from runtime.settings import CommonSettings
from tests.oracle.disturbed import disturbed_redis
from tests.oracle.rounds import Round

SHOWN = 20
"""Differences that are printed; all of them go to a file."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def soak(
    *,
    minutes: Annotated[
        float, typer.Option(min=0, help="No round begins after this many minutes; there is always one.")
    ] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the first round; that of each further one is higher by 1.")
    ] = None,
) -> None:
    """Compare the system with a plain program, in rounds of hours of traffic, while decoders and Redis are killed.

    Documents, windows, presence and dead letters must be the same in the end, and every stream empty. It ends with exit
    code 1 at the first round in which they are not, and says what is different.

    A failure can be repeated: `--minutes 0 --seed` with the seed of its round. That gives the same traffic, and kills
    after the same messages; which moment of a process that hits is chance, so it may take several attempts.
    """
    configure_logs(CommonSettings(log_level="error"))  # processes have files for theirs
    console = Console(highlight=False, soft_wrap=True)
    if not asyncio.run(_rounds(console, SystemRandom().randrange(10**9) if seed is None else seed, minutes * 60)):
        raise SystemExit(1)


async def _rounds(console: Console, first: int, seconds: float) -> bool:
    ends, seed = time.monotonic() + seconds, first
    while seed == first or time.monotonic() < ends:
        if not await _round(console, seed, left=max(0.0, ends - time.monotonic())):
            console.print(f"repeat it: make soak MINUTES=0 SEED={seed}")
            return False
        seed += 1
    console.print(f"{seed - first} rounds, no difference", style="green")
    return True


async def _round(console: Console, seed: int, *, left: float) -> bool:
    """Whether all was well."""
    one, started = Round.of(seed), time.monotonic()
    title = f"seed {seed}: {one}"
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{title}; {left / 60:.0f} minutes left", total=None)
        try:
            async with disturbed_redis(folder) as redis:
                wrong = await one.play(
                    redis, folder, lambda done, total: progress.update(task, completed=min(done, total), total=total)
                )
                messages = progress.tasks[task].total or 0
        except Exception:
            console.print(f"{title}: what it left is in {folder}", style="red")
            raise
    if wrong:
        console.print(f"{title}: NOT the same", style="bold red")
        _show(console, wrong, folder)
        return False
    console.print(f"{title}: the same, {messages:.0f} messages in {time.monotonic() - started:.0f} s")
    await asyncio.to_thread(shutil.rmtree, folder)
    return True


def _show(console: Console, wrong: Sequence[str], folder: Path) -> None:
    for line in wrong[:SHOWN]:
        console.print(f"  {line}", markup=False)
    if len(wrong) > SHOWN:
        console.print(f"  and {len(wrong) - SHOWN} more")
    (folder / "differences.txt").write_text("\n".join([*wrong, ""]))
    console.print(
        f"all {len(wrong)} are in {folder / 'differences.txt'}, beside the logs, the stores and Redis's files"
    )


if __name__ == "__main__":
    app()
