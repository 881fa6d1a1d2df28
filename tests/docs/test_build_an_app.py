"""What docs/build-an-app.md tells a student to do, done: each of its commands, in its order."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.system import ROOT, System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LIMIT_SECONDS = 120.0
PAGE = ROOT / "docs" / "build-an-app.md"
NOT_HERE = ("make run", "docker compose", "kubectl")
"""The system runs already; containers and a cluster have tests of their own."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = start(tmp_path_factory.mktemp("data"))
    yield system
    system.stop()


@dataclass(slots=True)
class Student:
    """Somebody at a shell in a clone of the project."""

    system: System
    folder: Path
    environment: dict[str, str] = field(init=False)
    running: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        """The clone, with the virtual environment of this project, and the data of the running system."""
        ignored = shutil.ignore_patterns(".*", "node_modules", "data", "__pycache__")
        shutil.copytree(ROOT, self.folder, ignore=ignored)
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        (self.folder / "data").symlink_to(self.system.data_dir)
        self.environment = {
            **os.environ,
            "DATA_DIR": "data",
            "HTTP_PORT": self.system.environment["HTTP_PORT"],
            "MQTT_PORT": self.system.environment["MQTT_PORT"],
        }

    def here(self, command: str) -> str:
        """A command with the ports of this system in the place of the usual ones."""
        found = command.replace("127.0.0.1:8080", f"127.0.0.1:{self.environment['HTTP_PORT']}")
        return found.replace("-p 1883", f"-p {self.environment['MQTT_PORT']}")

    def does(self, commands: str) -> str:
        """What the shell prints."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", self.here(commands)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def starts(self, command: str) -> None:
        """Start what stays, and wait until both versions are known and healthy."""
        self.running = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment)
        wait_for(lambda: self.healthy() == {"1": True, "2": True}, "both versions are healthy", LIMIT_SECONDS)

    def stops(self) -> None:
        """Ctrl-C."""
        assert self.running is not None
        self.running.send_signal(signal.SIGINT)
        assert self.running.wait(60) == 0
        self.running = None
        # Else the next one that starts would be taken for healthy by what was seen of this one.
        wait_for(lambda: not any(self.healthy().values()), "what has ended is not called healthy", LIMIT_SECONDS)

    def healthy(self) -> dict[str, bool]:
        """Of each version that runs, whether one of its instances is healthy."""
        key = (self.system.data_dir / "demo-api-key").read_text().strip()
        url = f"{self.system.url}/v1/apps"
        apps = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30).json()["apps"]
        found: dict[str, Any] = next((app for app in apps if app["app"] == "quiet-corner"), {"versions": []})
        return {each["version"]: each["healthy"] for each in found["versions"]}

    def latest(self, client: str) -> dict[str, Any]:
        """What somebody is answered."""
        url = f"{self.system.url}/apps/quiet-corner/latest"
        answer: dict[str, Any] = httpx.get(url, headers={"X-Campus-Client": client}, timeout=10).json()
        return answer


@pytest.fixture
def student(system: System, tmp_path: Path) -> Iterator[Student]:
    student = Student(system, tmp_path / "clone")
    yield student
    if student.running is not None:
        # Not SIGKILL: it ends those that it has started.
        student.running.terminate()
        student.running.wait(60)


def blocks() -> list[str]:
    """The commands of the page, block by block."""
    found = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block.strip() for block in found]


def test_each_command_of_the_page_does_what_the_page_says(student: Student) -> None:
    (make, run, ask, listen, list_, change, test, rule, asks, undo, canary) = [
        block for block in blocks() if not block.startswith(NOT_HERE)
    ]

    assert "apps/quiet_corner/v2/sentence.py" in student.does(make)
    student.starts(run)
    wait_for(lambda: '"version":' in student.does(ask), "the front sends people to it", LIMIT_SECONDS)
    first = json.loads(student.does(ask))
    assert (first["app"], first["version"]) == ("quiet-corner", "1")
    # Who is there may change between the two.
    same = "over MQTT comes what is answered"
    wait_for(lambda: json.loads(student.does(listen)) == json.loads(student.does(ask)), same, LIMIT_SECONDS)
    assert '"quiet-corner"' in student.does(list_)

    student.does(change)
    with pytest.raises(AssertionError, match="test_version_2_says_when_it_is_quiet_today_too"):
        student.does(test)
    expected = student.folder / "apps" / "quiet_corner" / "tests" / "test_sentences.py"
    of_version_1, of_version_2 = expected.read_text().split("async def test_version_2", 1)
    of_version_2 = of_version_2.replace('"The building: 42', '"Hello! The building: 42')
    expected.write_text(f"{of_version_1}async def test_version_2{of_version_2}")
    assert "8 passed" in student.does(test)
    student.stops()
    student.starts(run)

    answer = json.loads(student.does(rule))
    assert answer["shares"] == {"1": 80, "2": 20}
    wait_for(lambda: student.latest("ann").get("version") == "2", "ann has version 2", LIMIT_SECONDS)
    assert re.findall(r'"version":"(\d)"', student.does(asks)) == ["2", "1"]
    assert student.latest("ann")["text"].startswith("Hello! ")
    assert student.latest("bob")["version"] == "1"
    student.does(f"{rule.splitlines()[0]}\n{undo}")
    wait_for(lambda: student.latest("ann").get("version") == "1", "the rule is undone", LIMIT_SECONDS)

    student.does(f"{rule.splitlines()[0]}\n{canary}")
    wait_for(lambda: student.latest("bob").get("version") == "2", "the canary has reached all", LIMIT_SECONDS)
