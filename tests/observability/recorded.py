"""The log of a running system as files that a shipper reads."""

import re
from pathlib import Path

from tests.e2e.system import System

_OF_THE_RUNNER = re.compile(r"\d\d:\d\d:\d\d (\S+) +\| (.*)")


class Recorded:
    """Each line as its process wrote it: in a file of the process's own where the runner has put the name before it."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder
        self._read = 0
        self.lines: list[str] = []
        """All that was written to the files so far."""

    @property
    def files(self) -> str:
        """The pattern of the files."""
        return str(self._folder / "*.log")

    def write(self) -> int:
        """Write what the system has said since; how many lines there are."""
        until = len(self._system.log)
        for line in self._system.log[self._read : until]:
            text = line.rstrip("\n")
            found = _OF_THE_RUNNER.fullmatch(text)
            name, said = (found[1], found[2]) if found else ("laptop", text)
            if said:
                with (self._folder / f"{name}.log").open("a") as file:
                    file.write(f"{said}\n")
                self.lines.append(said)
        self._read = until
        return len(self.lines)
