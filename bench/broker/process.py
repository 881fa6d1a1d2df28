"""What a process of this machine uses; from /proc, so only on Linux."""

import os
from pathlib import Path

_UTIME, _STIME = 11, 12
"""Places after the command's name in /proc/PID/stat, from 0 (proc(5))."""


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used so far; raises OSError where there is no /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Bytes of a process that are in memory; raises OSError where there is no /proc."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
