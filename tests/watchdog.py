"""Ends what a test process that was killed would leave behind: servers that nobody will ever stop.

Each is told of (`watched`) with the moment at which it started, for the kernel gives numbers of processes again. The
end of its input is the end of the test process, however that came about. Alone with the standard library.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

Process = TypeVar("Process", subprocess.Popen[bytes], subprocess.Popen[str])


def watched(process: Process) -> Process:
    """The same process; it ends with this one, also where this one is killed."""
    watchdog = _watchdog(os.getpid())
    if watchdog.stdin is not None:
        watchdog.stdin.write(f"{process.pid} {_started(process.pid)}\n".encode())
        watchdog.stdin.flush()
    return process


@lru_cache(maxsize=1)
def _watchdog(of: int) -> subprocess.Popen[bytes]:  # noqa: ARG001 - a fork has one of its own
    # In a session of its own: a Ctrl-C is for the tests.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _started(pid: int) -> str:
    """When a process started, in ticks since the machine did; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except OSError:
        return ""


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin.readlines():
        known, _, started = line.strip().partition(" ")
        if started and _started(int(known)) == started:
            with suppress(ProcessLookupError):
                os.kill(int(known), signal.SIGKILL)
