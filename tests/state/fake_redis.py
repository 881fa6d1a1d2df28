"""A server that speaks Redis's protocol, and answers with the error that a test wants, as Redis 7.0 puts it.

Redis's rules that it keeps: a command that is refused within MULTI makes EXEC answer EXECABORT (`flagTransaction` in
server.c); an EXEC that is itself refused names the cause (`execCommandAbort` in multi.c); a command that fails while a
transaction runs has its error among the answers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import hiredis


@dataclass
class FakeRedis:
    """What it says, and what it has seen."""

    port: int = 0
    error: str = ""
    """What every command is answered with, code first, without the dash; empty: what is right."""
    refuses: str = "command"
    """Where in a transaction the error comes: `command`, `exec`, or `answer`."""
    connections: int = 0
    commands: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        parser = hiredis.Reader()
        queued: int | None = None
        flagged = False
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                name = command[0].decode().upper()
                self.commands.append(name)
                if name == "MULTI":
                    queued, flagged, answer = 0, False, b"+OK\r\n"
                elif name == "EXEC":
                    answer, queued = self._exec(queued or 0, flagged=flagged), None
                elif queued is not None:
                    refused = bool(self.error) and self.refuses == "command"
                    queued, flagged = queued + 1, flagged or refused
                    answer = self._error() if refused else b"+QUEUED\r\n"
                else:
                    answer = self._answer(name)
                writer.write(answer)
            await writer.drain()
        writer.close()

    def _exec(self, queued: int, *, flagged: bool) -> bytes:
        if flagged:
            return b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        if self.error and self.refuses == "exec":
            return f"-EXECABORT Transaction discarded because of: {self.error}\r\n".encode()
        first = self._error() if self.error else b":1\r\n"
        return f"*{queued}\r\n".encode() + first + b":1\r\n" * (queued - 1)

    def _answer(self, name: str) -> bytes:
        if name in {"HELLO", "CLIENT"}:
            return b"%1\r\n$5\r\nproto\r\n:3\r\n" if name == "HELLO" else b"+OK\r\n"
        if self.error:
            return self._error()
        return {"XREADGROUP": b"_\r\n", "EVALSHA": b":1\r\n", "SCRIPT": b"*1\r\n:1\r\n"}.get(name, b"$1\r\n1\r\n")

    def _error(self) -> bytes:
        return f"-{self.error}\r\n".encode()


@asynccontextmanager
async def fake_redis() -> AsyncIterator[FakeRedis]:
    """One that runs."""
    fake = FakeRedis()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await fake.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
