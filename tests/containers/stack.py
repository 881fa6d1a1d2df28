"""The shipped compose file, running under a project name of its own, with what stands for other people's images."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.conftest import free_port
from tests.containers.compose import compose
from tests.containers.engine import docker

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts" / "containers"
"""Where the logs are kept when something fails; git ignores it."""
FILES = ("docker-compose.yml", "tests/containers/compose.e2e.yml")
PORTS = ("MQTT_PORT", "MQTTS_PORT", "HTTP_PORT", "HTTPS_PORT", "HAPROXY_OPS_PORT")
ONCE = ("setup", "users", "api-key", "welcome", "redis-cluster")
"""Services that do something at each start, and end."""
RUNNING = (
    "redis",
    "couchdb",
    "documents-setup",
    "broker",
    "decoder",
    "api",
    "haproxy",
    "engine",
    "registry",
    "autoscaler",
    "controller",
)
BUILT = ("setup", "broker", "decoder", "api", "haproxy", "autoscaler", "controller", "simulator")
"""Services that images are built for."""
BUILD_SECONDS = 1200.0
UP_SECONDS = 400.0
DOWN_SECONDS = 240.0
COMMAND_SECONDS = 180.0
_LOOK_SECONDS = 0.1
Answer = TypeVar("Answer")


def until(
    probe: Callable[[], Answer], what: str, limit: float = 180.0, *, told: Callable[[], object] | None = None
) -> Answer:
    """The first true answer of `probe`; fails after `limit` seconds with `what`, and with what `told` says then."""
    end = time.monotonic() + limit
    while not (answer := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit:g} s{f': {told()}' if told else ''}")
        time.sleep(_LOOK_SECONDS)
    return answer


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as the engine described it when it was asked."""

    id: str
    service: str
    number: int
    about: dict[str, Any] = field(repr=False)

    @property
    def running(self) -> bool:
        return bool(self.about["State"]["Running"])

    @property
    def healthy(self) -> bool:
        """Running and well; where there is no check, running."""
        state = self.about["State"]
        return bool(state["Running"]) and state.get("Health", {"Status": "healthy"})["Status"] == "healthy"

    @property
    def ended_well(self) -> bool:
        state = self.about["State"]
        return not state["Running"] and state["Status"] == "exited" and state["ExitCode"] == 0

    @property
    def state(self) -> str:
        """For people: its state, its health if that is looked at, and what its last check said."""
        state = self.about["State"]
        health = state.get("Health", {})
        last = (health.get("Log") or [{}])[-1].get("Output", "").strip()
        return f"{state['Status']} {state['ExitCode']} {health.get('Status', '')} {last}".strip()

    @property
    def restarts(self) -> int:
        """How often the engine has started it again by itself."""
        return int(self.about["RestartCount"])

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel has ended it for that."""
        return bool(self.about["State"]["OOMKilled"])

    @property
    def started(self) -> str:
        return str(self.about["State"]["StartedAt"])

    def address(self, network: str) -> str:
        """Its address in one of the project's networks."""
        project = self.about["Config"]["Labels"]["com.docker.compose.project"]
        return str(self.about["NetworkSettings"]["Networks"][f"{project}_{network}"]["IPAddress"])

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints that runs in it."""
        return docker("exec", self.id, *command, seconds=COMMAND_SECONDS, check=check)


class Stack:
    """A compose project."""

    def __init__(self, name: str, settings: Mapping[str, str], more: Sequence[str] = ()) -> None:
        """`more` are compose files, over those of every project here."""
        self.name = name
        self._files = (*FILES, *more)
        self.up_seconds = 0.0
        self.starts = 0
        self.first_up_seconds = 0.0
        self.first_welcome = ""
        self.ports = {port: free_port() for port in PORTS}
        passed = {key: os.environ[key] for key in ("PATH", "HOME", "DOCKER_HOST") if key in os.environ}
        self.environment = {
            **passed,
            **{port: str(number) for port, number in self.ports.items()},
            "DOCKER_BUILDKIT": "1",
            **settings,
        }

    @property
    def url(self) -> str:
        """HTTP through HAProxy."""
        return f"http://127.0.0.1:{self.ports['HTTP_PORT']}"

    @property
    def secrets(self) -> Path:
        """The folder of all secrets."""
        return Path(self.environment["SECRETS_FOLDER"])

    def secret(self, service: str, name: str) -> str:
        """One of the secrets that a service was given."""
        return (self.secrets / service / name).read_text().strip()

    def compose(
        self, *arguments: str, seconds: float = COMMAND_SECONDS, settings: Mapping[str, str] | None = None
    ) -> str:
        """`docker compose` for this project, with `settings` over those that it has."""
        files = [argument for file in self._files for argument in ("--file", str(ROOT / file))]
        # Not the .env of whoever runs this.
        project = ("--project-name", self.name, "--project-directory", str(ROOT), "--env-file", os.devnull)
        return compose(
            *project,
            *files,
            *arguments,
            folder=ROOT,
            environment={**self.environment, **(settings or {})},
            seconds=seconds,
        )

    def build(self) -> float:
        """Build all images; the seconds that it took."""
        began = time.monotonic()
        self.compose("--profile", "demo", "build", seconds=BUILD_SECONDS)
        return time.monotonic() - began

    def up(self, *arguments: str, **settings: str) -> None:
        """Start everything, and wait until all of it is well; `up_seconds` says how long that took."""
        began = time.monotonic()
        self.compose("up", "--detach", *arguments, seconds=UP_SECONDS, settings=settings)
        until(lambda: not self.unwell(), "all containers are well", UP_SECONDS, told=self.unwell)
        self.up_seconds = time.monotonic() - began
        self.starts += 1
        if self.starts == 1:
            self.first_up_seconds = self.up_seconds
            self.first_welcome = self.logs("welcome")

    def unwell(self) -> list[str]:
        """What is neither well, nor has ended as it should."""
        wrong = [
            f"{container.service}-{container.number}: {container.state}"
            for container in self.containers()
            if not (container.healthy or (container.service in ONCE and container.ended_well))
        ]
        lacking = {*RUNNING, *ONCE} - {"redis-cluster"} - {container.service for container in self.containers()}
        return wrong + [f"{service}: not there" for service in sorted(lacking)]

    def down(self, *arguments: str) -> None:
        """Stop and remove its containers and networks; volumes, too, where `--volumes` is given."""
        self.compose("--profile", "*", "down", "--timeout", "15", *arguments, seconds=DOWN_SECONDS)

    def containers(self, service: str | None = None) -> list[Container]:
        """Those of the project, or of one service, that there are, stopped ones included."""
        wanted = [f"label=com.docker.compose.project={self.name}"]
        if service is not None:
            wanted.append(f"label=com.docker.compose.service={service}")
        filters = [argument for one in wanted for argument in ("--filter", one)]
        ids = docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        if not ids:
            return []
        # One may have gone since.
        found = json.loads(docker("inspect", "--type", "container", *ids, check=False) or "[]")
        made = [_container(about) for about in found]
        return sorted(made, key=lambda container: (container.service, container.number))

    def one(self, service: str) -> Container:
        """The only container of a service."""
        [container] = self.containers(service)
        return container

    def kill(self, container: Container) -> None:
        """End its process with SIGKILL, as a crash would: what `docker kill` ends, no restart policy brings back."""
        os.kill(int(container.about["State"]["Pid"]), signal.SIGKILL)

    def wait_until_back(self, killed: Container, limit: float = 300.0) -> None:
        """Wait until a container that was killed runs again, and is well."""

        def back() -> bool:
            found = [container for container in self.containers(killed.service) if container.id == killed.id]
            return bool(found) and found[0].started != killed.started and found[0].healthy

        until(back, f"{killed.service}-{killed.number} is back", limit, told=self.unwell)

    def logs(self, *services: str) -> str:
        """What containers have said."""
        return self.compose("logs", "--no-color", *services)

    def keep_logs(self) -> Path:
        """Keep what all containers have said and how they are, for people to look at; the folder."""
        folder = ARTEFACTS / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for container in self.containers():
            name = f"{container.service}-{container.number}"
            (folder / f"{name}.json").write_text(json.dumps(container.about, indent=1))
            done = subprocess.run(
                ["docker", "logs", "--timestamps", container.id], capture_output=True, check=False, timeout=60
            )
            (folder / f"{name}.log").write_bytes(done.stdout + done.stderr)
        return folder


def _container(about: dict[str, Any]) -> Container:
    labels = about["Config"]["Labels"]
    return Container(
        id=about["Id"],
        service=labels["com.docker.compose.service"],
        number=int(labels.get("com.docker.compose.container-number", 0)),
        about=about,
    )


@contextmanager
def project(settings: Mapping[str, str], more: Sequence[str] = ()) -> Iterator[Stack]:
    """A project whose containers, networks, volumes and images' names are its own, and gone afterwards."""
    stack = Stack(f"campus-e2e-{secrets.token_hex(3)}", settings, more)
    try:
        yield stack
    finally:
        stack.down("--volumes", "--remove-orphans")


def clear_artefacts() -> None:
    """Remove the logs of earlier runs."""
    shutil.rmtree(ARTEFACTS, ignore_errors=True)
