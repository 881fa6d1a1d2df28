"""What stands between a client and a server, and can lose an answer."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

WRITE = b"POST /api/v2/write"


class CutProxy:
    """Passes bytes on in both directions. Once told to, it passes on one write, and keeps the answer to itself."""

    def __init__(self, port: int) -> None:
        """`port` of 127.0.0.1 is where the server is."""
        self._to = port
        self._armed = False
        self._connections: set[asyncio.Task[None]] = set()
        self.swallowed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def swallow_an_answer(self) -> None:
        """Of the next write."""
        self._armed = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        mute = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(65536):
                if self._armed and data.startswith(WRITE):
                    self._armed = False
                    mute.set()
                back.write(data)

        async def answers() -> None:
            while data := await there.read(65536):
                if mute.is_set():
                    self.swallowed.set()
                else:
                    writer.write(data)

        pumps = [asyncio.ensure_future(pump()) for pump in (requests, answers)]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, back):
                end.close()
            with suppress(ConnectionError):
                await asyncio.gather(*pumps, return_exceptions=True)
            self._connections.discard(task)
