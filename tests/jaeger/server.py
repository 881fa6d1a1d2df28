"""Jaeger itself, as `tests/jaeger/build` makes it: of one test's own, with its traces in memory."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.system import wait_for
from tests.missing import missing
from tests.ports import free_port
from tests.watchdog import watched

BUILD = Path(__file__).with_name("build")
START_SECONDS = 90.0
STOP_SECONDS = 20.0


def jaeger_executable() -> str:
    """The program: what JAEGER names, a path or a name on the PATH, else what `make jaeger` has built."""
    named = os.environ.get("JAEGER")
    if named and (found := shutil.which(named)):
        return found
    built = subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(built).is_file():
        missing("Jaeger", "`make jaeger` builds it (Go 1.24.6)")
    return built


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger."""

    url: str
    """Where it is asked."""
    otlp: str
    """Where it takes spans: TRACES_URL."""

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        """What it knows of a trace; None where that is nothing."""
        answer = httpx.get(f"{self.url}/api/traces/{trace_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["data"][0]
        return found


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    """A Jaeger, once it answers; ended with the context."""
    executable = jaeger_executable()
    query, otlp, admin = free_port(), free_port(), free_port()
    nowhere = "127.0.0.1:0"
    command = [
        executable,
        "--collector.otlp.enabled=true",
        f"--collector.otlp.http.host-port=127.0.0.1:{otlp}",
        f"--collector.otlp.grpc.host-port={nowhere}",
        f"--collector.http-server.host-port={nowhere}",
        f"--collector.grpc-server.host-port={nowhere}",
        f"--query.http-server.host-port=127.0.0.1:{query}",
        f"--query.grpc-server.host-port=127.0.0.1:{free_port()}",
        f"--admin.http.host-port=127.0.0.1:{admin}",
    ]
    log = folder / "jaeger.log"
    with log.open("ab") as said:
        process = watched(
            subprocess.Popen(
                command,
                cwd=folder,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SPAN_STORAGE_TYPE": "memory"},
            )
        )
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                return httpx.get(f"http://127.0.0.1:{admin}/").is_success
            except httpx.TransportError:
                return False

        wait_for(answers, "Jaeger answers", START_SECONDS)
        yield Jaeger(f"http://127.0.0.1:{query}", f"http://127.0.0.1:{otlp}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
