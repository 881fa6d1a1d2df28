"""The double of CouchDB 3.5, `tests/node/couchdb/`: of one test's or benchmark's own, and killed as it pleases."""

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.ports import free_port

MAIN = Path(__file__).parents[1] / "node" / "couchdb" / "main.mjs"
LIMITS = Path(__file__).with_name("limits.ini")
"""What the contract tests of CouchDB's rules expect of a server."""
USER, PASSWORD = "admin", "secret"
STOP_SECONDS = 60.0


def is_there() -> bool:
    """Whether it can be started: Node.js, and what `npm ci --prefix tests/node` installs."""
    return shutil.which("node") is not None and (MAIN.parents[1] / "node_modules" / "pouchdb-server").is_dir()


@dataclass(slots=True)
class CouchDouble:
    """A server on a port of its own, with its databases in memory."""

    settings: tuple[Path, ...] = (LIMITS,)
    """.ini files, the last one wins."""
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead to it; it demands the same login as the CouchDB of the compose file."""
        return {
            "CLOUDANT_URL": self.url,
            "CLOUDANT_AUTH_TYPE": "COUCHDB_SESSION",
            "CLOUDANT_USERNAME": USER,
            "CLOUDANT_PASSWORD": PASSWORD,
        }

    def start(self) -> None:
        """Start it; again after `kill` on the same port, with nothing in it."""
        if not self.port:
            self.port = free_port()
        self.process = subprocess.Popen(
            ["node", str(MAIN), "--port", str(self.port), *map(str, self.settings)],
            env={**os.environ, "COUCHDB_USER": USER, "COUCHDB_PASSWORD": PASSWORD},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        with self.process.stdout as output:
            if output.readline() != "ready\n":
                raise RuntimeError("the double of CouchDB did not start: see its standard error")

    def configure(self, section: str, key: str, value: str | None) -> None:
        """Change a setting while it runs, as with CouchDB's own API; None takes it back."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}/_node/_local/_config/{section}/{key}",
            method="DELETE" if value is None else "PUT",
            data=None if value is None else json.dumps(value).encode(),
            headers={"Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=STOP_SECONDS):  # noqa: S310 - likewise
            pass

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it answer nothing, and keep its connections, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(which)

    def _end(self, how: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
