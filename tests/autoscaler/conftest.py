"""An Engine that pretends, and the gate in front of it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from autoscaler.engine import DockerEngine
from autoscaler.gate import serve_gate
from autoscaler.settings import GateSettings
from runtime.service import Stop
from tests.autoscaler.fake_docker import FakeDocker, serve_docker
from tests.conftest import WAIT_SECONDS, eventually, free_port


@pytest.fixture
async def docker_socket() -> AsyncIterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    folder = Path(tempfile.mkdtemp(prefix="campus-docker-"))
    yield folder / "docker.sock"
    shutil.rmtree(folder)


@pytest.fixture
async def docker(docker_socket: Path) -> AsyncIterator[FakeDocker]:
    """Two brokers and a decoder of the project campus, and others."""
    async with serve_docker(docker_socket) as fake:
        fake.add("campus-broker-1", "broker", 1)
        fake.add("campus-broker-2", "broker", 2)
        fake.add("campus-decoder-1", "decoder", 1)
        fake.add("campus-redis-1", "redis", 1)
        fake.add("other-broker-1", "broker", 1, project="other")
        fake.add("campus-broker-run-1", "broker", 1, **{"com.docker.compose.oneoff": "True"})
        yield fake


@dataclass(frozen=True, slots=True)
class RunningGate:
    docker: FakeDocker
    port: int

    def engine(self, project: str = "campus") -> DockerEngine:
        return DockerEngine(address=f"tcp://127.0.0.1:{self.port}", project=project)

    def id(self, name: str) -> str:
        return next(str(each["Id"]) for each in self.docker.containers.values() if each["Name"] == f"/{name}")

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Bytes as they are to the gate; the status and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        async with asyncio.timeout(WAIT_SECONDS):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    async def send(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """A request whose target is not tidied up by any client."""
        head = f"{method} {target} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        return await self.ask(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)


@asynccontextmanager
async def running_gate(
    docker: FakeDocker, docker_socket: Path, gate_for: Literal["autoscaler", "controller"]
) -> AsyncIterator[RunningGate]:
    stop, port = Stop(), free_port()
    settings = GateSettings(gate_port=port, engine_socket=docker_socket, scale_maximum=4, gate_for=gate_for)
    serving = asyncio.create_task(serve_gate(settings, stop))

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await eventually(listens)
    try:
        yield RunningGate(docker, port)
    finally:
        stop.set()
        await serving


@pytest.fixture
async def gate(docker: FakeDocker, docker_socket: Path) -> AsyncIterator[RunningGate]:
    """The autoscaler's."""
    async with running_gate(docker, docker_socket, "autoscaler") as made:
        yield made


@pytest.fixture
async def registry(docker: FakeDocker, docker_socket: Path) -> AsyncIterator[RunningGate]:
    """The controller's."""
    async with running_gate(docker, docker_socket, "controller") as made:
        yield made
