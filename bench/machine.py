"""The machine that figures are of."""

import os
import platform
import re
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
"""Where the kernel shares processors among sessions, the nice value of ours (sched(7))."""


def machine() -> str:
    """The machine and the Python that the figures are of."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def priority() -> str | None:
    """That this process and what it starts go before others of the machine, where they do; None where they do not."""
    try:
        session = re.search(r"nice (-?\d+)", _AUTOGROUP.read_text(encoding="utf-8"))
    except OSError:
        session = None
    nice = min(int(session[1]) if session else 0, os.nice(0))
    return f"other work on the machine had to wait: all that is measured ran with nice {nice}" if nice < 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
