"""The process runner: honcho, with an order to the end, and nobody left behind.

What it adds to honcho's Manager:

- Redis is stopped when all others have gone, since they finish their work with it;
- who closes the terminal, and Ctrl-C while the first processes are still starting, ends the run as well;
- where the runner is killed, its processes end themselves.
"""

# honcho has no types: every call of it would be an error.
# mypy: disable-error-code="no-untyped-call"

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from subprocess import TimeoutExpired

from honcho import manager
from honcho.manager import SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from deploy.laptop.processes import Description

_LOOK_SECONDS = 1.0


class Runner(Manager):
    """Runs processes until one of them ends, or a signal says so; then stops them all."""

    def __init__(self, processes: list[Description], *, last: str) -> None:
        """`last` is the name of the process that is stopped when all others have gone."""
        super().__init__(_LastingPrinter(sys.stdout))
        self.died: str | None = None
        """The process that ended although nobody asked it to."""
        self.stopping = threading.Event()
        """Set as soon as the run is to end."""
        self._process_ctor = _Child
        self._last = last
        self._told: dict[str, float] = {}
        self._background: list[Callable[[], None]] = []
        for process in processes:
            # `exec`: the process itself gets the signals and gives the exit code, not a shell around it.
            self.add_process(process.name, f"exec {shlex.join(process.command)}", env=process.environment)

    def say(self, line: str) -> None:
        """Write a line to the log, among those of the processes, from a thread in the background."""
        self.events.put(
            Message(type="line", data=line, time=datetime.now().astimezone(), name=SYSTEM_PRINTER_NAME, colour=None)
        )

    def in_background(self, task: Callable[[], None]) -> None:
        """Run `task` in a thread of its own once the processes are started; it ends when `stopping` is set."""
        self._background.append(task)

    def run(self, *, opening: list[str]) -> int:
        """Start everything and return when everything has stopped: 0 if somebody asked for that, else 1.

        `opening` are the first lines of the log.
        """
        self._listen_for_signals()
        for line in opening:
            self._system_print(line)
        try:
            self.loop()
        finally:
            self.stopping.set()
            for process in self._processes.values():
                if process.get("pid") and process.get("returncode") is None:
                    self._procmgr.kill(process["pid"])
        if self.died is None:
            return 0
        code = self._processes[self.died]["returncode"]
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        sys.stderr.write(f"{self.died} {how}, so everything was stopped\n")
        return 1

    # What honcho's loop calls, in this order, again and again.

    def terminate(self) -> None:
        """Begin the end. Who is to be told is told by the loop: a signal may come before all processes have a pid."""
        self.stopping.set()

    def kill(self) -> None:
        """End with SIGKILL who was told long enough ago, and is still there."""
        for name in self._running():
            if time.monotonic() - self._told.get(name, time.monotonic()) > manager.KILL_WAIT:
                self._system_print(f"sending SIGKILL to {name}\n")
                self._procmgr.kill(self._processes[name]["pid"])
                self._told[name] = time.monotonic()

    def _start(self) -> None:
        super()._start()
        # Once more, in place of honcho's own handlers, which print: that fails in the middle of another print.
        self._listen_for_signals()
        # After the processes: they are forked, and a fork knows only one thread.
        for task in self._background:
            threading.Thread(target=task, daemon=True).start()

    def _listen_for_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stopping.set())

    def _all_stopped(self) -> bool:
        if self.stopping.is_set():
            self._tell_who_is_next()
        return bool(super()._all_stopped())

    def _any_stopped(self) -> bool:
        if not self.stopping.is_set():
            self.died = next((name for name in self._processes if name not in self._running()), None)
        return self.stopping.is_set() or self.died is not None

    def _tell_who_is_next(self) -> None:
        running = self._running()
        for name in [name for name in running if name != self._last] or running:
            if name not in self._told:
                self._told[name] = time.monotonic()
                self._procmgr.terminate(self._processes[name]["pid"])

    def _running(self) -> list[str]:
        return [name for name, process in self._processes.items() if process.get("returncode") is None]


class _LastingPrinter(Printer):
    """Goes on where nobody reads any more, the terminal being closed: the end must still come in order."""

    def write(self, message: Message) -> None:
        with suppress(OSError):
            super().write(message)


class _Child(Process):
    """Runs in a process of its own, beside the one that it starts."""

    def run(self, events: object = None, ignore_signals: bool = False) -> None:  # noqa: FBT001, FBT002 - honcho's signature
        # The runner hears of a closed terminal, and ends everything in order.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        threading.Thread(target=self._end_with_the_runner, args=(os.getppid(),), daemon=True).start()
        super().run(events, ignore_signals)

    def _end_with_the_runner(self, runner: int) -> None:
        while os.getppid() == runner:
            time.sleep(_LOOK_SECONDS)
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)
                try:
                    self._child.wait(manager.KILL_WAIT)
                except TimeoutExpired:
                    os.killpg(self._child.pid, signal.SIGKILL)
        # Not by returning: nobody is left to read the log lines that are still to be sent.
        os._exit(1)
