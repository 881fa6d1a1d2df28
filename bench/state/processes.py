"""The processes that are measured: of this checkout, or of another version."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


def check_out(commit: str, folder: Path) -> Path:
    """The files of a commit, in a folder of their own. Raises subprocess.CalledProcessError where there is none."""
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - no shell
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


class Service:
    """A process whose processor time is measured, and which can be made to stand still."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used, its threads included."""
        return time.clock_gettime(~self._process.pid << 3 | 2)  # CPUCLOCK_SCHED of a process: clock_getcpuclockid(3)

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        fields = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def pause(self) -> None:
        """Stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def service(module: str, checkout: Path, settings: Mapping[str, str], log: Path) -> Iterator[Service]:
    """`python -m module` of a checkout, ready to work."""
    port = free_port()
    environment = {**os.environ, **settings, "OPS_PORT": str(port), "LOG_LEVEL": "warning"}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-m", module], cwd=checkout, env=environment, stdout=output, stderr=output
        )
    try:
        _until_ready(process, port, log)
        yield Service(process)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:  # noqa: PLR2004 - OK
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{process.args!r} is not ready:\n{log.read_text(encoding='utf-8')[-3000:]}")


class Appender:
    """`bench.state.appender` in a checkout."""

    def __init__(self, checkout: Path, settings: Mapping[str, str], *, zones: int, devices: int, batch: int) -> None:
        """`batch` is how many messages of a partition are appended at once."""
        arguments = [str(Path(__file__).with_name("appender.py")), str(zones), str(devices), settings["PARTITIONS"]]
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, *arguments, str(batch)],
            cwd=checkout,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def append(self, first: int, count: int, at: int) -> None:
        """Append a position each of `count` devices, seen at a time (ms since the epoch)."""
        assert self._process.stdin  # noqa: S101 - given above
        assert self._process.stdout  # noqa: S101
        self._process.stdin.write(json.dumps([first, count, at]) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise SystemExit("the appender has ended")

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(30)
