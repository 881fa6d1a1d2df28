"""The nodes that the conformance tests run against: two of ours that share a Redis, or a server that is there."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.redis_servers.chosen import chosen_redis

ROOT = Path(__file__).parents[2]
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Servers:
    mqtt: Sequence[Address]
    websocket: Sequence[str]
    """URLs; none where the server that is there has no WebSocket, or none that we were told of."""


def given_servers() -> Servers | None:
    """What MQTT_CONFORMANCE_ADDRESS (host:port, or several with commas between) and MQTT_CONFORMANCE_WEBSOCKET
    (a URL, or several) name; None where the first is not set.
    """
    named = os.environ.get("MQTT_CONFORMANCE_ADDRESS")
    if not named:
        return None
    addresses = [(host, int(port)) for host, _, port in (item.rpartition(":") for item in named.split(","))]
    return Servers(addresses, [url for url in os.environ.get("MQTT_CONFORMANCE_WEBSOCKET", "").split(",") if url])


@contextmanager
def two_nodes(folder: Path) -> Iterator[Servers]:
    """Two nodes of ours that share a Redis of their own; anybody may log in."""
    with ExitStack() as stack:
        url = stack.enter_context(chosen_redis())  # of these nodes alone: other tests empty theirs
        ports = [(free_port(), free_port(), free_port()) for _ in range(2)]
        for number, (port, websocket_port, ops_port) in enumerate(ports, 1):
            settings = {
                "BROKER_NODE": f"conformance-{number}",
                "BROKER_PORT": str(port),
                "BROKER_WS_PORT": str(websocket_port),
                "OPS_PORT": str(ops_port),
                "REDIS_URL": url,
                "MQTT_ALLOW_ANONYMOUS": "1",
                "LOG_LEVEL": "warning",
                "DATA_DIR": str(folder),
            }
            stack.enter_context(_node(settings, folder / f"node-{number}.log"))
        yield Servers(
            [("127.0.0.1", port) for port, _, _ in ports],
            [f"ws://127.0.0.1:{websocket_port}/mqtt" for _, websocket_port, _ in ports],
        )


@dataclass(frozen=True, slots=True)
class OneNode:
    mqtt: Address
    websocket: Address
    ops: str
    """The URL of its /readyz and /metrics."""
    pid: int
    log: Path
    redis: str
    """The URL of its Redis."""


@contextmanager
def one_node(folder: Path, **settings: str) -> Iterator[OneNode]:
    """A node of ours with a Redis of its own; anybody may log in, unless the settings say otherwise."""
    with ExitStack() as stack:
        url = stack.enter_context(chosen_redis())  # of these nodes alone: other tests empty theirs
        port, websocket_port, ops_port = free_port(), free_port(), free_port()
        log = folder / "node.log"
        named = {
            "BROKER_NODE": "alone",
            "BROKER_PORT": str(port),
            "BROKER_WS_PORT": str(websocket_port),
            "OPS_PORT": str(ops_port),
            "REDIS_URL": url,
            "MQTT_ALLOW_ANONYMOUS": "1",
            "LOG_LEVEL": "warning",
            "DATA_DIR": str(folder),
        }
        process = stack.enter_context(_node(named | settings, log))
        yield OneNode(
            ("127.0.0.1", port), ("127.0.0.1", websocket_port), f"http://127.0.0.1:{ops_port}", process.pid, log, url
        )


@contextmanager
def _node(settings: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with _process([sys.executable, "-m", "broker"], log, settings) as process:

        async def ready() -> bool:
            _fail_if_ended(process, log)
            try:
                async with httpx.AsyncClient(trust_env=False) as client:
                    answer = await client.get(f"http://127.0.0.1:{settings['OPS_PORT']}/readyz")
                    if answer.status_code != httpx.codes.OK:
                        return False
                    _, writer = await asyncio.open_connection("127.0.0.1", int(settings["BROKER_PORT"]))
                    writer.close()
                    return True
            except (httpx.TransportError, ConnectionError):
                return False

        asyncio.run(eventually(ready, limit=2 * WAIT_SECONDS))
        yield process


def _fail_if_ended(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} did not start: {log.read_text()}")


@contextmanager
def _process(command: list[str], log: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(WAIT_SECONDS)
