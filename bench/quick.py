"""What every benchmark takes: `--quick`, so that tests see that it still runs, and `--results`, where it writes.

A quick run takes some seconds and says nothing about how fast anything is; so it leaves bench/results alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path(__file__).parent / "results"
Quick = Annotated[bool, typer.Option("--quick", help="Some seconds: whether it still runs, not how fast it is.")]
ResultsFile = Annotated[
    Path | None,
    typer.Option("--results", help="Write the results here; by default into bench/results, but for --quick."),
]


def place(name: str, *, quick: bool, results: Path | None) -> Path | None:
    """The file of the results of a benchmark; None where they are not kept."""
    return results or (None if quick else RESULTS / f"{name}.json")


def keep(found: Mapping[str, object], file: Path | None) -> None:
    """Write results; None keeps none."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
