"""The log of a run: one line after the other, each with its time and who wrote it."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

_COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")


class Log:
    """Writes to standard output, in colours where that is a terminal."""

    def __init__(self, names: Sequence[str]) -> None:
        """The first of `names` has no colour."""
        self._width = max(map(len, names))
        coloured = sys.stdout.isatty()
        self._colours = {
            name: _COLOURS[number % len(_COLOURS)] if coloured else "" for number, name in enumerate(names[1:])
        }

    def write(self, name: str, line: str) -> None:
        """Write a line. Where nobody reads any more, the terminal being closed, the run goes on all the same."""
        prefix = f"{datetime.now().astimezone():%H:%M:%S} {name:{self._width}} | "
        if colour := self._colours.get(name):
            prefix = f"\033[0m\033[{colour}m{prefix}\033[0m"
        with suppress(OSError):
            sys.stdout.write(f"{prefix}{line}\n")
            sys.stdout.flush()
