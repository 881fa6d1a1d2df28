"""How far a replay is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.publisher import Publisher

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""


@contextmanager
def shown_progress(
    publisher: Publisher,
    *,
    total: int | None,
    console: Console,
    elapsed: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[], None]]:
    """Gives what is to be called after each step; `total` is None where there is no end."""
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("replay", total=total)
            yield lambda: bar.update(task, completed=publisher.acknowledged)
        return
    last = elapsed()

    def line() -> None:
        nonlocal last
        if elapsed() - last >= LINE_SECONDS:
            last = elapsed()
            of = "" if total is None else f" of {total}"
            console.print(f"{publisher.acknowledged}{of} acknowledged", highlight=False)

    yield line


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("acknowledged"),
        TimeRemainingColumn(),
        console=console,
    )
