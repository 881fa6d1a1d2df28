"""A Node-RED of a test's own, with the flows of `simulator/node-red`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import free_port, missing
from tests.e2e.system import System, wait_for

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "simulator" / "node-red"
PROGRAM = ROOT / "tests" / "node-red" / "node_modules" / "node-red" / "red.js"
PASSWORD = "of the editor"  # noqa: S105 - a test's
START_SECONDS = 300.0


class Editor:
    """Node-RED's own API, which its editor uses."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._password = password
        self._token: str | None = None

    def known(self, name: str) -> Any:  # noqa: ANN401 - whatever a flow has put there
        """What flows have put into the global context, by Node-RED's own API; None where it is not there."""
        if self._token is None:
            login = {"client_id": "node-red-admin", "grant_type": "password", "scope": "*"}
            answer = httpx.post(
                f"{self.url}/auth/token", data={**login, "username": "admin", "password": self._password}, timeout=30
            )
            self._token = str(answer.raise_for_status().json()["access_token"])
        found = httpx.get(
            f"{self.url}/context/global/{name}", headers={"Authorization": f"Bearer {self._token}"}, timeout=30
        )
        body = found.raise_for_status().json()
        # What is not there has no message; objects come as text.
        return json.loads(body["msg"]) if body.get("format", "").startswith(("Object", "array", "number")) else None


class NodeRed(Editor):
    """One that runs as a process of a test."""

    def __init__(self, url: str, password: str, process: subprocess.Popen[bytes]) -> None:
        super().__init__(url, password)
        self.process = process


def for_system(system: System) -> dict[str, str]:
    """Where the flows find a system, through HAProxy."""
    return {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(system.mqtt_port), "API_URL": system.url}


@contextmanager
def node_red(folder: Path, *files: str, password: str = PASSWORD, **environment: str) -> Iterator[NodeRed]:
    """Node-RED with these files of flows, in a folder of its own, for it writes there."""
    if shutil.which("node") is None or not PROGRAM.exists():
        missing("Node-RED", "install Node.js 18.5 or later, then: npm ci --ignore-scripts --prefix tests/node-red")
    flows = [node for file in files for node in json.loads((FLOWS / file).read_text(encoding="utf-8"))]
    folder.mkdir()
    (folder / "flows.json").write_text(json.dumps(flows), encoding="utf-8")
    port, log = free_port(), folder / "log"
    given: Mapping[str, str] = {"NODE_RED_PORT": str(port), "NODE_RED_PASSWORD": password, **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", str(PROGRAM), "-u", str(folder), "-s", str(FLOWS / "settings.js"), "flows.json"],
            env={**os.environ, **given},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def started() -> bool:
            assert process.poll() is None, log.read_text()
            return "Started flows" in log.read_text()

        wait_for(started, "Node-RED runs", START_SECONDS)
        yield NodeRed(f"http://127.0.0.1:{port}", password, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
