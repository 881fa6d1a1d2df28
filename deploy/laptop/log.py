"""The log of a run: one line after the other, each with its time and who wrote it."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from runtime.log_secrets import without_secrets

_COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")


class Lines(Protocol):
    """Where the lines of a run go."""

    def write(self, name: str, line: str) -> None:
        """Write a line that a process, or the runner itself, has said."""


class JsonLog:
    """Writes to standard output, an object a line: what is none yet, as Redis's lines are, becomes one."""

    def write(self, name: str, line: str) -> None:
        """Write a line. Where nobody reads any more, the run goes on all the same."""
        if not _is_object(line):
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
            said = {"timestamp": now, "level": "info", "service": name, "node": name, "logger": name}
            line = json.dumps({**said, "event": without_secrets(line)}, ensure_ascii=False)
        with suppress(OSError):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def log_of(log_format: str, names: Sequence[str]) -> Lines:
    """The log that LOG_FORMAT asks for."""
    return JsonLog() if log_format == "json" else Log(names)


def _is_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


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
