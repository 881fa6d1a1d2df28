"""What a process of this machine uses, with all processes that it has started; from /proc, so only on Linux."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PARENT, _UTIME, _CSTIME = 1, 11, 14
"""Places after the command's name in /proc/PID/stat, from 0; four times of CPU from `_UTIME` on (proc(5))."""
MILLION = 1_000_000


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU so far, also of children that have ended and were waited for; raises OSError without /proc."""
    ticks = sum(int(ticks) for fields in _stats(pid) for ticks in fields[_UTIME : _CSTIME + 1])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Bytes that are in memory; what processes share counts once (PSS). Raises OSError without /proc."""
    found = 0
    for process in tree(pid):
        with suppress(ProcessLookupError):
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
            found += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return found


def tree(pid: int) -> list[int]:
    """A process, and all that it has started, theirs as well."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                children.setdefault(int(_fields(int(folder.name))[_PARENT]), []).append(int(folder.name))
    found = todo = [pid]
    while todo:
        todo = [child for parent in todo for child in children.get(parent, [])]
        found = found + todo
    return found


def _stats(pid: int) -> Iterator[list[str]]:
    yield _fields(pid)
    for child in tree(pid)[1:]:
        # It may have ended since.
        with suppress(OSError):
            yield _fields(child)


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
