"""The process runner: starts the processes, starts again what ends, and ends all of them in order.

- A process that ends is started again after a pause that grows (`deploy.laptop.restart_pause`); one that ends three
  times within a minute ends the run, and so does one that refuses its settings at its first start. Of one that is not
  needed neither ends anything but itself.
- Redis, and that of keys, are stopped when all others have gone, since they finish their work with them.
- Ctrl-C, SIGTERM and a closed terminal end the run, at any moment; a Ctrl-C does not reach the processes themselves.
- Where the runner is killed, `deploy.laptop.heir` ends its processes.
"""

import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from deploy.laptop import heir
from deploy.laptop.log import log_of
from deploy.laptop.processes import Description
from deploy.laptop.restart_pause import MOST_ENDS, WITHIN_SECONDS, RestartPause

KILL_WAIT = 5.0
"""Seconds that a process may take to end."""
NO_SETTINGS = 2
"""The exit code of a service whose settings cannot work."""
NOT_STARTED = 127
"""What a shell answers where there is no such program."""
LAST_LINES = 20
_LOOK_SECONDS = 0.1
_DRAIN_SECONDS = 1.0
SYSTEM = "system"


class _Process:
    """One process, over all its lives."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.name = description.name
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.restart = RestartPause()
        self.lives = 0
        self.child: subprocess.Popen[bytes] | None = None
        """None before the first start, and while it waits for the next."""
        self.reader: threading.Thread | None = None
        self.started = 0.0
        self.start_at = 0.0
        self.told_at: float | None = None
        """When it was told to end."""


class Runner:
    """Runs processes until a signal says so, or one of them ends again and again; then stops them all."""

    def __init__(
        self,
        processes: list[Description],
        *,
        last: Collection[str],
        log_format: str = "console",
        kill_wait: float = KILL_WAIT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`last` are the names of those that are stopped when all others have gone; times are in seconds.

        `log_format` is LOG_FORMAT.
        """
        self.stopping = threading.Event()
        """Set as soon as the run is to end."""
        self._processes = [_Process(description) for description in processes]
        self._last = last
        self._kill_wait = kill_wait
        self._monotonic = monotonic
        self._lines: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._log = log_of(log_format, [SYSTEM, *(process.name for process in self._processes)])
        self._background: list[Callable[[], None]] = []
        self._heir: subprocess.Popen[bytes] | None = None
        self._heir_lock = threading.Lock()
        self._gave_up = ""

    def say(self, line: str) -> None:
        """Write a line to the log, among those of the processes; from any thread."""
        self._lines.put((SYSTEM, line))

    def in_background(self, task: Callable[[], None]) -> None:
        """Run `task` in a thread of its own once the processes are started; it ends when `stopping` is set."""
        self._background.append(task)

    def hold(self, name: str) -> None:
        """Do not start a process before `release`."""
        self._named(name).start_at = math.inf

    def release(self, name: str) -> None:
        """Start a process that was held; from any thread."""
        self._named(name).start_at = 0.0

    def run(self, *, opening: list[str]) -> int:
        """Start everything and return when everything has stopped: 0 if somebody asked for that, else 1.

        `opening` are the first lines of the log.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Also where it is ignored, as SIGINT is for what a script starts in the background.
            signal.signal(number, lambda *_: self.stopping.set())
        for line in opening:
            self._log.write(SYSTEM, line)
        self._heir = subprocess.Popen(  # noqa: S603 - a file of ours
            [sys.executable, "-I", "-S", str(Path(heir.__file__)), str(self._kill_wait)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._start_what_is_due()
            for task in self._background:
                threading.Thread(target=task, daemon=True).start()
            while not self.stopping.is_set() or self._running():
                self._write_lines(_LOOK_SECONDS)
                self._look()
                if self.stopping.is_set():
                    self._end_who_is_next()
                else:
                    self._start_what_is_due()
        finally:
            self.stopping.set()
            for process in self._running():
                self._signal(process, signal.SIGKILL)
            self._dismiss_heir()
        self._write_lines(0)
        if self._gave_up:
            sys.stderr.write(self._gave_up)
        return 1 if self._gave_up else 0

    def _start_what_is_due(self) -> None:
        now = self._monotonic()
        for process in self._processes:
            if process.child is None and now >= process.start_at and not self.stopping.is_set():
                self._start(process, now)

    def _start(self, process: _Process, now: float) -> None:
        process.lives += 1
        process.started = now
        try:
            child = subprocess.Popen(  # noqa: S603 - what `deploy.laptop.processes` describes
                process.description.command,
                env=process.description.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is the runner's to deal with.
                start_new_session=True,
            )
        except OSError as error:
            self._line(process.name, str(error))
            self._ended(process, NOT_STARTED)
            return
        process.child = child
        self.inherit("+", child.pid)
        process.reader = threading.Thread(target=self._read, args=(process.name, child), daemon=True)
        process.reader.start()
        self._line(SYSTEM, f"{process.name} started (pid={child.pid})")

    def _read(self, name: str, child: subprocess.Popen[bytes]) -> None:
        if child.stdout is not None:
            for line in child.stdout:
                for part in line.decode("utf-8", "replace").splitlines():
                    self._lines.put((name, part))

    def _write_lines(self, seconds: float) -> None:
        """Write what has come; wait for something so long."""
        try:
            self._line(*(self._lines.get(timeout=seconds) if seconds else self._lines.get_nowait()))
            while True:
                self._line(*self._lines.get_nowait())
        except queue.Empty:
            pass

    def _line(self, name: str, line: str) -> None:
        self._log.write(name, line)
        for process in self._processes:
            if process.name == name:
                process.last_lines.append(line)

    def _look(self) -> None:
        """See who has ended."""
        for process in self._running():
            child = process.child
            if child is None or child.poll() is None:
                continue
            if process.reader is not None:
                # What it has started itself may hold its output open.
                process.reader.join(_DRAIN_SECONDS)
            self._write_lines(0)
            self.inherit("-", child.pid)
            self._line(SYSTEM, f"{process.name} stopped (rc={child.returncode})")
            process.child = None
            if not self.stopping.is_set():
                self._ended(process, child.returncode)

    def _ended(self, process: _Process, code: int) -> None:
        """A process has ended although nobody asked it to."""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        now = self._monotonic()
        pause = process.restart.pause(process.started, now)
        if code == NO_SETTINGS and (process.lives == 1 or not process.description.needed):
            self._give_up(process, how)
        elif pause is None:
            self._give_up(process, f"{how}, the last of {MOST_ENDS} times within {WITHIN_SECONDS:.0f} s")
        else:
            process.start_at = now + pause
            self._line(SYSTEM, f"{process.name} {how}, and is started again in {pause:.0f} s")

    def _give_up(self, process: _Process, how: str) -> None:
        if not process.description.needed:
            process.start_at = math.inf
            self._line(SYSTEM, f"{process.name} {how}, and is not started again: all else runs without it")
            return
        last = "".join(f"  {line}\n" for line in process.last_lines)
        self._gave_up = f"{process.name} {how}, so everything was stopped{'; its last lines:' if last else ''}\n{last}"
        self.stopping.set()

    def _end_who_is_next(self) -> None:
        running = self._running()
        now = self._monotonic()
        for process in [process for process in running if process.name not in self._last] or running:
            if process.told_at is None:
                process.told_at = now
                self._signal(process, signal.SIGTERM)
            elif now - process.told_at > self._kill_wait:
                process.told_at = now
                self._line(SYSTEM, f"sending SIGKILL to {process.name}")
                self._signal(process, signal.SIGKILL)

    def _named(self, name: str) -> _Process:
        return next(process for process in self._processes if process.name == name)

    def _running(self) -> list[_Process]:
        return [process for process in self._processes if process.child is not None]

    @staticmethod
    def _signal(process: _Process, number: signal.Signals) -> None:
        if process.child is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.child.pid, number)

    def inherit(self, sign: str, pid: int) -> None:
        """Tell the heir of a process group: `+` once it is there, `-` once it is not; from any thread."""
        if self._heir is not None and self._heir.stdin is not None:
            # Where the run is ending it is closed, and knows of all that was there.
            with self._heir_lock, suppress(OSError, ValueError):
                self._heir.stdin.write(f"{sign}{pid}\n".encode())
                self._heir.stdin.flush()

    def _dismiss_heir(self) -> None:
        if self._heir is not None and self._heir.stdin is not None:
            with suppress(OSError):
                self._heir.stdin.close()
            self._heir.wait()
