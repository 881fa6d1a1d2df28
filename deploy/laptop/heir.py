"""Ends what a runner that was killed has left behind: started beside it, and alone with the standard library.

The runner writes the process group of each process that it starts on standard input (`+123`), and of each that has
ended (`-123`). The end of that input is the end of the runner, however that came about. The first argument is how many
seconds a process may take to end.
"""

import os
import signal
import sys
import time
from contextlib import suppress

_LOOK_SECONDS = 0.05


def left_behind() -> set[int]:
    """The process groups that are there when the runner ends."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line[1:])
        if line.startswith("+"):
            groups.add(number)
        else:
            groups.discard(number)
    return groups


def tell(groups: set[int], number: int) -> set[int]:
    """Send a signal to process groups; those that are still there."""
    there = set()
    for group in groups:
        with suppress(OSError):
            os.killpg(group, number)
            there.add(group)
    return there


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    remaining = tell(left_behind(), signal.SIGTERM)
    limit = time.monotonic() + float(sys.argv[1])
    while remaining and time.monotonic() < limit:
        time.sleep(_LOOK_SECONDS)
        remaining = tell(remaining, 0)
    tell(remaining, signal.SIGKILL)
