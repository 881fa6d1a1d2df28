"""How far it is: a bar where somebody is watching, else a line for each part."""

import sys
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Shown:
    """Says on standard error what is going on. Use it as a context manager."""

    def __init__(self, *, watched: bool | None = None) -> None:
        self._watched = sys.stderr.isatty() if watched is None else watched
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not self._watched,
        )
        self._task = self._bar.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, text: str, total: int | None = None) -> None:
        """Something begins, of so many steps, if that is known."""
        self._bar.reset(self._task, description=text, total=total, visible=True)

    def step(self, count: int = 1) -> None:
        """So many steps more are done."""
        self._bar.advance(self._task, count)

    def say(self, text: str) -> None:
        """A sentence that stays."""
        if self._watched:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            typer.echo(text, err=True)
