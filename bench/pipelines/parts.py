"""The processes of a pipeline: started, killed, and started again; their CPU is counted over all their lives."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.broker.peers import ROOT
from bench.cpu import cpu_seconds, memory_bytes

START_SECONDS = 90.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Part:
    """One process."""

    role: str
    """What its CPU is counted as, such as broker, consumer or Redis."""
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    """It is up when this port of 127.0.0.1 takes connections; None: at once."""
    log: Path | None = None
    killed_by: signal.Signals = signal.SIGKILL
    """Another one where a process that is killed leaves shared memory behind."""
    process: "subprocess.Popen[bytes] | None" = None
    _spent: float = 0.0

    def start(self) -> None:
        """Start it, and wait until it is up. Raises RuntimeError with the end of its log where it does not come up."""
        with (self.log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - programs of ours, and servers found on the PATH
                self.command, cwd=ROOT, env={**os.environ, **self.environment}, stdout=output, stderr=output
            )
        until = time.monotonic() + START_SECONDS
        while self.port is not None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.role} did not start: {self.told()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None and self.process.poll() is None:
            self._spent += cpu_seconds(self.process.pid)
            self.process.send_signal(self.killed_by)
            self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
            self.kill()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def cpu(self) -> float:
        """Seconds of CPU so far, of earlier lives as well."""
        return self._spent + (cpu_seconds(self.process.pid) if self.lives and self.process else 0.0)

    def memory(self) -> int:
        """Bytes in memory."""
        return memory_bytes(self.process.pid) if self.lives and self.process else 0

    def told(self) -> str:
        """The end of its log."""
        if self.log is None:
            return "it has no log"
        return " ".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]) or "it says nothing"
