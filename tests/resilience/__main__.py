"""`python -m tests.resilience`, or `make resilience`: faults on purpose, and whether the system recovers."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime.logs import configure_logs
from runtime.settings import CommonSettings
from tests.resilience.playing import play
from tests.resilience.recipes import load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Only recipes that have these words in their names.")] = "",
    attempts: Annotated[int, typer.Option(min=1, max=3, help="How often a recipe is played until it goes well.")] = 1,
) -> None:
    """Play the recipes of tests/resilience/recipes.toml, and print what came of each.

    After each of them an oracle compares all that the system holds with a plain program that was given the same
    messages. It ends with exit code 1 where anything is different, or took too long.
    """
    configure_logs(CommonSettings(log_level="error"))  # decoders have files for theirs
    console = Console(highlight=False, soft_wrap=True)
    table, well = Table("recipe", "for", "messages", "recovered after", "the oracle"), True
    for recipe in load():
        if only.lower() not in recipe.name.lower():
            continue
        for attempt in range(attempts):
            console.print(f"{recipe.name} ..." if not attempt else f"{recipe.name}, once more ...")
            with tempfile.TemporaryDirectory(prefix="resilience-") as folder:
                outcome = asyncio.run(play(recipe, Path(folder)))
            for sentence in outcome.wrong[:20]:
                console.print(f"  {sentence}", style="red")
            if not outcome.wrong:
                break
        well = well and not outcome.wrong
        table.add_row(
            recipe.name,
            f"{recipe.seconds:.0f} s",
            f"{outcome.messages:,}",
            f"{outcome.recovered:.1f} s, of {recipe.recovered_within:.0f} s",
            f"{len(outcome.wrong)} differences" if outcome.wrong else "no difference",
        )
    console.print(table)
    if not well:
        raise SystemExit(1)


if __name__ == "__main__":
    app()
