"""A wire between two processes that can be torn: nothing comes through, and nobody is told, as in a partition.

Toxiproxy's `cut` ends connections, which both sides see at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 65_536


@dataclass(slots=True)
class Wire:
    """Passes connections on to `to`, a port of this machine, while it is whole. What is under way waits meanwhile."""

    to: int
    carried: int = 0
    """Bytes."""
    _whole: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def tear(self) -> None:
        """Let nothing through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let through what waits, and what comes."""
        self._whole.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._whole.wait()
            with suppress(OSError):
                there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.to)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._one_way(reader, there_writer))
                        group.create_task(self._one_way(there_reader, writer))
                finally:
                    there_writer.transport.abort()
        except* OSError:
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            await self._whole.wait()
            self.carried += len(piece)
            writer.write(piece)
            await writer.drain()
        await self._whole.wait()
        with suppress(OSError):
            writer.write_eof()

    def end(self) -> None:
        """Leave nothing open."""
        for task in list(self._open):
            task.cancel()


@asynccontextmanager
async def wire(host: str, port: int, to: int) -> AsyncIterator[Wire]:
    """A whole one from an address to a port of this machine."""
    made = Wire(to)
    made.mend()
    server = await asyncio.start_server(made.carry, host, port)
    try:
        yield made
    finally:
        server.close()
        made.end()
