"""The past of a demo: two weeks that the crowd might have lived, written into the stores once, in the background.

The simulator prints it, and a backfill counts and keeps it: two processes and a pipe, none of which this room imports.
A mark in DATA_DIR says how far it has come (`python -m backfill seed --once`).
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

from deploy.laptop.settings import LaptopSettings

DEMO_HISTORY = "demo-history"
"""The mark, a file in DATA_DIR."""
NICENESS = 10
"""Whoever looks at the map is served first."""
_LOOK_SECONDS = 0.2
_LAST_LINES = 3


def history_command(settings: LaptopSettings) -> list[str]:
    """What prints the past of the crowd that moves now."""
    size = ["--days", str(settings.demo_days), "--devices", str(settings.demo_devices)]
    return [sys.executable, "-m", "simulator", "history", *size]


def seed_command(folder: Path) -> list[str]:
    """What writes it; `folder` is DATA_DIR."""
    return [sys.executable, "-m", "backfill", "seed", "-", "--once", str(folder / DEMO_HISTORY)]


def is_made(folder: Path) -> bool:
    """Whether there is nothing left to do."""
    try:
        return not (folder / DEMO_HISTORY).read_text(encoding="utf-8").startswith("begun")
    except (OSError, UnicodeDecodeError):
        return False


def make_history(
    printing: list[str],
    writing: list[str],
    environment: Mapping[str, str],
    *,
    say: Callable[[str], None],
    inherit: Callable[[str, int], None],
    ready: Event,
    stop: Event,
) -> None:
    """Once the system is `ready`, have the one command print what the other one writes, and say how it went.

    The writer sees the end of its input only if the printer came to its own end: half a past is none. Both end when
    `stop` is set; `inherit` hears of each process group that begins (`+`) and ends (`-`), as `deploy.laptop.heir` does.
    """
    while not ready.wait(_LOOK_SECONDS):
        if stop.is_set():
            return
    say("demo: the weeks before are being made, in the background")
    read_end, write_end = os.pipe()
    try:
        printer = _started(printing, environment, inherit, stdin=subprocess.DEVNULL, stdout=write_end)
        writer = _started(writing, environment, inherit, stdin=read_end, stdout=subprocess.PIPE)
        os.close(read_end)
        while printer.poll() is None and writer.poll() is None and not stop.wait(_LOOK_SECONDS):
            pass
        if printer.poll() != 0:
            writer.terminate()
    finally:
        os.close(write_end)
    told = [text.decode(errors="replace").splitlines() for text in writer.communicate()]
    printer.terminate()
    complaint = printer.communicate()[1].decode(errors="replace").splitlines()
    for process in (printer, writer):
        inherit("-", process.pid)
    if stop.is_set():
        return
    if writer.returncode == 0:
        say(f"demo: {_end([*told[1], *told[0]], 1)}")
    else:
        # Where the writer has ended by itself, the printer complains of a broken pipe alone.
        why = _end(told[1] if writer.returncode > 0 else complaint, _LAST_LINES)
        say(f"demo: the weeks before could not be made, and are tried again at the next start: {why}")


def _started(
    command: list[str], environment: Mapping[str, str], inherit: Callable[[str, int], None], *, stdin: int, stdout: int
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603 - commands of our own
        command,
        env=dict(environment),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        # A Ctrl-C in the terminal is the runner's to deal with.
        start_new_session=True,
    )
    inherit("+", process.pid)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    return process


def _end(lines: list[str], count: int) -> str:
    return " ".join(lines[-count:])
