"""All benchmarks, one after another, in an order that is drawn by lot.

python -m bench            in full, some hours: bench/results and docs/benchmarks.md; no machine that does other things
python -m bench --quick    some seconds each: whether they still run, not how fast anything is; nothing is kept
"""

import os
import random
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console

from bench import pages
from bench.programs import BENCH, benchmarks
from bench.quick import Quick

IDLE = 1.0
"""The load of the last minute from which on a figure says more about the others than about us."""


def main(
    *,
    quick: Quick = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also on a machine that does other things.")] = False,
    seed: Annotated[int, typer.Option(help="Of the order.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only those with this in their name; may be repeated.")] = None,
) -> None:
    """Run all benchmarks; ends with 1 where one of them did not come to its end."""
    console = Console(highlight=False)
    runs = [run for run in benchmarks() if not only or any(part in " ".join(run) for part in only)]
    random.Random(seed).shuffle(runs)  # noqa: S311 - an order, and no secret
    failed = []
    for run in runs:
        load = os.getloadavg()[0]
        console.rule(f"{' '.join(run)}, load {load:.1f}")
        if load > IDLE and not (quick or anyway or run is not runs[0]):
            console.print(f"the load is {load:.1f}: what is measured now is worth nothing; --anyway measures it")
            raise typer.Exit(1)
        done = subprocess.run(  # noqa: S603 - modules of our own
            [sys.executable, "-m", *run, *(["--quick"] if quick else [])], cwd=BENCH.parent, check=False
        )
        if done.returncode:
            failed.append(" ".join(run))
    if not quick:
        pages.main()
    console.rule()
    console.print(f"{len(runs) - len(failed)} of {len(runs)} came to their end")
    for name in failed:
        console.print(f"NOT: {name}")
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
