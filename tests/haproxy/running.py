"""HAProxy with the configuration that is shipped, and what a test asks it."""

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import WAIT_SECONDS, eventually, free_port, missing
from tests.haproxy.nodes import FakeNode, NodePorts
from tests.mqtt.wire import connect

CONFIG = Path(__file__).parents[2] / "haproxy" / "haproxy.cfg"
ROUTES = CONFIG.with_name("routes")
PUBLIC = ("MQTT_PORT", "MQTTS_PORT", "HTTP_PORT", "HTTPS_PORT", "HAPROXY_OPS_PORT")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def haproxy_executable() -> str:
    return shutil.which("haproxy") or missing("haproxy", "install Debian's haproxy")


def two_fixed_nodes(nodes: Sequence[FakeNode], ports: NodePorts) -> dict[str, str]:
    """The environment of a laptop for these two."""
    return {
        f"BROKER_{number}_{name}": value
        for number, node in enumerate(nodes, 1)
        for name, value in {
            "HOST": node.address,
            "PORT": str(ports.mqtt),
            "WS_PORT": str(ports.websocket),
            "OPS_PORT": str(ports.ops),
        }.items()
    }


@dataclass(frozen=True, slots=True)
class Proxy:
    ports: Mapping[str, int]
    socket: Path
    routes: Path
    log: Path
    process: asyncio.subprocess.Process
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self, port: str = "MQTT_PORT", *, tls: ssl.SSLContext | None = None, source: str = "") -> Streams:
        """A connection to one of the public ports, from an address of the loopback network."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.ports[port],
            ssl=tls,
            server_hostname="localhost" if tls else None,
            local_addr=(source, 0) if source else None,
        )
        self.opened.append(writer)
        return reader, writer

    async def ask(
        self, first: bytes, port: str = "MQTT_PORT", *, tls: ssl.SSLContext | None = None, source: str = ""
    ) -> bytes:
        """What comes first on a new connection; nothing where it is cut off instead."""
        try:
            reader, writer = await self.open(port, tls=tls, source=source)
            try:
                writer.write(first)
                async with asyncio.timeout(WAIT_SECONDS):
                    return await reader.read(65_536)
            finally:
                writer.transport.abort()
        except ConnectionError:
            return b""

    async def mqtt(self, client_id: str, **options: Any) -> Streams:
        """A client that stays: CONNECT was answered."""
        reader, writer = await self.open(**options)
        writer.write(connect(client_id))
        async with asyncio.timeout(WAIT_SECONDS):
            await reader.readexactly(4)
        return reader, writer

    async def command(self, line: str) -> str:
        """What the runtime API says."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        writer.write(line.encode() + b"\n")
        answer = await reader.read()
        writer.close()
        return answer.decode()

    async def statistics(self) -> dict[tuple[str, str], dict[str, str]]:
        """What HAProxy counts, by proxy and server."""
        head, *rows = [line.split(",") for line in (await self.command("show stat")).lstrip("# ").splitlines() if line]
        return {(row[0], row[1]): dict(zip(head, row, strict=False)) for row in rows}

    async def status(self, backend: str = "brokers") -> dict[str, str]:
        """Whether each server is UP, DOWN, MAINT or in another state."""
        return {
            server: row["status"]
            for (proxy, server), row in (await self.statistics()).items()
            if proxy == backend and server not in {"FRONTEND", "BACKEND"}
        }

    async def up(self, backend: str = "brokers") -> set[str]:
        """The servers that clients are sent to."""
        return {server for server, status in (await self.status(backend)).items() if status.startswith("UP")}

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; fails where a line is no JSON."""
        whole, _, _ = self.log.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    async def logged(self, **fields: object) -> dict[str, Any]:
        """The first line with these fields, as soon as there is one."""

        async def look() -> dict[str, Any] | None:
            return next((line for line in self.lines() if fields.items() <= line.items()), None)

        found = await eventually(look)
        assert found is not None
        return found


@asynccontextmanager
async def haproxy(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """HAProxy on ports of its own, answering; `environment` is what haproxy.cfg describes.

    One that is started in the same folder later has the maps of the one before.
    """
    ports = {name: free_port() for name in PUBLIC}
    socket, routes, log = folder / "s", folder / "routes", folder / "log"
    if not routes.exists():
        shutil.copytree(ROUTES, routes)
    own = {
        "PATH": os.environ["PATH"],
        "HAPROXY_LOG_LEVEL": "info",
        "HAPROXY_SOCKET": str(socket),
        "ROUTES_FOLDER": str(routes),
        "PAUSE_LUA": str(CONFIG.with_name("pause.lua")),
        "HAPROXY_THREADS": "1",
        # In a container it takes more than a laptop may have file descriptors for.
        "HAPROXY_MAXCONN": "500",
        **{name: str(port) for name, port in ports.items()},
    }
    with log.open("wb") as output, (folder / "errors").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            haproxy_executable(), "-db", "-f", str(CONFIG), env={**own, **environment}, stdout=output, stderr=errors
        )
    proxy = Proxy(ports, socket, routes, log, process)
    try:

        async def answers() -> bool:
            assert process.returncode is None, (folder / "errors").read_text()
            try:
                return b" 200 " in await proxy.ask(b"GET /healthz HTTP/1.0\r\n\r\n", "HAPROXY_OPS_PORT")
            except OSError:
                return False

        await eventually(answers)
        yield proxy
    finally:
        for writer in proxy.opened:
            writer.transport.abort()
        if process.returncode is None:
            process.terminate()
        await process.wait()
