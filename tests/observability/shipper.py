"""The shipper of logs with the rules of the tree: Debian's rsyslog, of one test's own."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.missing import missing
from tests.watchdog import watched

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "observability" / "rsyslog" / "campus.conf"
STOP_SECONDS = 60.0


def rsyslogd() -> str:
    """The program. Without its module for OpenSearch it is none."""
    found = shutil.which("rsyslogd") or shutil.which("/usr/sbin/rsyslogd")
    modules = [*Path("/usr/lib").glob("*/rsyslog/omelasticsearch.so"), *Path("/usr/lib").glob("rsyslog/omelastic*.so")]
    if not found or not modules:
        missing("rsyslogd", "Debian: apt install rsyslog rsyslog-elasticsearch")
    return found


@dataclass(slots=True)
class Shipper:
    """Reads the files of `files` and gives their lines to the store at `store`."""

    folder: Path
    files: str
    store: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; again after `stop` or `kill`, with what it knew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Another start would find its id of a process that is gone.
        (self.folder / "pid").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "state", ignore_errors=True)  # as a container's /tmp is
        (self.folder / "state").mkdir()
        # AppArmor of some systems lets the program read /var/log alone, and knows it by its path.
        program = self.folder / "rsyslogd"
        if not program.exists():
            shutil.copy(rsyslogd(), program)
        with (self.folder / "rsyslog.out").open("ab") as log:
            self.process = watched(
                subprocess.Popen(
                    [program, "-n", "-i", str(self.folder / "pid"), "-f", str(RULES)],
                    env={
                        "PATH": os.environ["PATH"],
                        "LOG_FILES": self.files,
                        "LOG_STORE_URL": self.store,
                        "LOG_PROJECT": "campus",
                        "SHIPPER_FOLDER": str(self.folder),
                        "SHIPPER_STATE": str(self.folder / "state"),
                    },
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    @property
    def said(self) -> str:
        """What it has said of itself."""
        return (self.folder / "rsyslog.out").read_text(errors="replace")

    @property
    def memory(self) -> int:
        """Bytes of it that are in memory."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def stop(self) -> None:
        """End it as a container is ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)


def docker_lines(
    texts: Iterable[str],
    *,
    service: str = "broker",
    number: int = 1,
    project: str = "campus",
    at: str = "2026-11-30T20:00:00.123456789Z",
) -> str:
    """Lines as Docker's driver json-file writes them."""
    labels = {
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
    }
    lines: list[dict[str, Any]] = [
        {"log": f"{text}\n", "stream": "stdout", "attrs": labels, "time": at} for text in texts
    ]
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
