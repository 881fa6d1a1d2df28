"""Nodes that are not real. At addresses of the loopback network they all have the same ports, as containers do."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha1

from tests.conftest import free_port

CONNACK = b"\x20\x02\0\0"
SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    mqtt: int = field(default_factory=free_port)
    websocket: int = field(default_factory=free_port)
    ops: int = field(default_factory=free_port)


@dataclass(slots=True)
class FakeNode:
    """Answers CONNECT and a WebSocket's handshake; remembers what came first on each connection."""

    address: str
    ready: bool = True
    holds: bool = False
    """Whether it never answers those that ask for something else than its health."""
    greeting: bytes = CONNACK
    """What it answers to a CONNECT."""
    connects: list[bytes] = field(default_factory=list)
    handshakes: list[bytes] = field(default_factory=list)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def mqtt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a CONNACK to what comes first, and what comes later as it came."""
        first = await reader.read(65_536)
        # A large one comes in pieces.
        while len(first) < _whole(first) and (more := await reader.read(65_536)):
            first += more
        self.connects.append(first)
        await self._answer(self.greeting, reader, writer)

    async def websocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a handshake, and then as above."""
        handshake = await reader.readuntil(b"\r\n\r\n")
        self.handshakes.append(handshake)
        key = re.search(r"sec-websocket-key: (\S+)", handshake.decode("latin-1"), re.IGNORECASE)
        assert key is not None
        proof = b64encode(sha1(f"{key[1]}{GUID}".encode()).digest()).decode()  # noqa: S324 - the standard's
        await self._answer(f"{SWITCHED}Sec-WebSocket-Accept: {proof}\r\n\r\n".encode(), reader, writer)

    async def ops(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """/readyz, and /healthz of an API."""
        asked = await reader.read(4096)
        if self.holds and b"/healthz" not in asked and b"/readyz" not in asked:
            self.open.add(writer)
            return
        status = b"200 OK" if self.ready else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        writer.close()

    async def _answer(self, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            writer.write(answer)
            while more := await reader.read(4096):
                writer.write(more)
        except ConnectionError:
            pass
        finally:
            self.open.discard(writer)
            writer.close()


def _whole(first: bytes) -> int:
    """How long the packet is that begins so; 0 where that is no CONNECT, or cannot be said yet."""
    if first[:1] != b"\x10":
        return 0
    length = 0
    for index, byte in enumerate(first[1:5]):
        length |= (byte & 127) << 7 * index
        if byte < 128:
            return 2 + index + length
    return 0


@asynccontextmanager
async def fake_node(address: str, ports: NodePorts) -> AsyncIterator[FakeNode]:
    """A node that listens at `address`."""
    node = FakeNode(address)
    served = ((node.mqtt, ports.mqtt), (node.websocket, ports.websocket), (node.ops, ports.ops))
    servers = [await asyncio.start_server(handle, address, port) for handle, port in served]
    try:
        yield node
    finally:
        for server in servers:
            server.close()
        for writer in list(node.open):
            writer.transport.abort()
