"""InfluxDB itself, as `tests/influxd/build` makes it: of one test's or benchmark's own, and killed as it pleases."""

import csv
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port

BUILD = Path(__file__).with_name("build")
START_SECONDS = 90.0
"""A machine that is busy otherwise takes its time."""
STOP_SECONDS = 30.0


def influxd_executable() -> str | None:
    """The InfluxDB to run: what INFLUXD names, a path or a name on the PATH, else what `make influxd` has built."""
    named = os.environ.get("INFLUXD")
    if named:
        return shutil.which(named)
    built = subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    return built if Path(built).is_file() else None


@dataclass(slots=True)
class InfluxServer:
    """A server on a port and in a folder of its own, with an organization and a token that may do all."""

    executable: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    """Of influxd's own: environment variables such as INFLUXD_LOG_LEVEL."""
    org: str = "campus"
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead to it."""
        return {
            "TIMESERIES_STORE": "influxdb",
            "INFLUXDB_V2_URL": self.url,
            "INFLUXDB_V2_ORG": self.org,
            "INFLUXDB_V2_TOKEN": self.token,
        }

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "influxd.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and set it up if it is new; again after `kill`, with what it had, on the same port."""
        new = not self.port
        if new:
            self.port = free_port()
        with (self.folder / "influxd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.executable,
                    *("--bolt-path", str(self.folder / "influxd.bolt")),
                    *("--sqlite-path", str(self.folder / "influxd.sqlite")),
                    *("--engine-path", str(self.folder / "engine")),
                    *("--http-bind-address", f"127.0.0.1:{self.port}"),
                    "--reporting-disabled",
                ],
                env={**os.environ, "INFLUXD_LOG_LEVEL": "warn", **self.settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"influxd did not start:\n{self.log}")
            time.sleep(0.05)
        if new:
            body = {"username": "campus", "password": secrets.token_hex(16), "org": self.org, "token": self.token}
            self.ask("POST", "/api/v2/setup", {**body, "bucket": "unused"})

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """One request to its API, with the token of all rights; the JSON of its answer. Raises HTTPError."""
        request = self._request(method, path, body)
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:  # noqa: S310 - our own server
            return json.loads(answer.read() or "null")

    def buckets(self) -> dict[str, dict[str, Any]]:
        """Its buckets, by name."""
        found: list[dict[str, Any]] = []
        while page := self.ask("GET", f"/api/v2/buckets?limit=100&offset={len(found)}")["buckets"]:
            found += page
        return {bucket["name"]: bucket for bucket in found}

    def rows(self, flux: str) -> list[dict[str, str]]:
        """The rows that a query gives, by column."""
        request = self._request("POST", f"/api/v2/query?org={self.org}", {"query": flux})
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:  # noqa: S310 - our own server
            tables = answer.read().decode().split("\r\n\r\n")
        return [row for table in tables for row in csv.DictReader(table.splitlines())]

    def write(self, bucket: str, line: str) -> None:
        """Write a point in line protocol, with its time in milliseconds."""
        path = f"/api/v2/write?org={self.org}&bucket={bucket}&precision=ms"
        request = self._request("POST", path, None)
        request.data = line.encode()
        with urllib.request.urlopen(request, timeout=START_SECONDS):  # noqa: S310 - our own server
            pass

    def new_token(self) -> tuple[dict[str, str], str]:
        """The settings of a service with a token that may read and write buckets, and the id of its authorization."""
        [organization] = self.ask("GET", f"/api/v2/orgs?org={self.org}")["orgs"]
        permissions = [
            {"action": action, "resource": {"type": "buckets", "orgID": organization["id"]}}
            for action in ("read", "write")
        ]
        made = self.ask("POST", "/api/v2/authorizations", {"orgID": organization["id"], "permissions": permissions})
        # Such a token may not look an organization up by its name.
        settings = {"INFLUXDB_V2_TOKEN": made["token"], "INFLUXDB_V2_ORG": organization["id"]}
        return {**self.environment, **settings}, made["id"]

    def _request(self, method: str, path: str, body: object) -> urllib.request.Request:
        return urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5) as answer:  # noqa: S310 - our own server
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
