"""A load over REST: `POST /v1/positions`, one request under way on each connection, and what is due waits its turn."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from simulator.load.measured import Measured
from simulator.load.mqtt_load import LoadError

ANSWER_SECONDS = 60.0


class RestLoad:
    """Connections to one API. `elapsed` is the load's clock, seconds."""

    def __init__(self, bodies: Sequence[bytes], measured: Measured, elapsed: Callable[[], float]) -> None:
        """`bodies` are sent in turn, again and again."""
        self._bodies = list(bodies)
        self._measured = measured
        self._elapsed = elapsed
        self._due: deque[tuple[int, float]] = deque()
        self._more = asyncio.Event()
        self._busy = 0
        self._workers: list[asyncio.Task[None]] = []
        self._head = b""
        self._place = ("", 0)

    async def open(self, count: int, *, url: str, path: str, key: str | None) -> None:
        """Connect so often. Raises LoadError."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise LoadError(f"{url}: not the address of an API, such as http://127.0.0.1:8080")
        self._place = (parts.hostname, parts.port or 80)
        bearer = f"Authorization: Bearer {key}\r\n" if key else ""
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/geo+json\r\n{bearer}"
            "Content-Length: "
        ).encode()
        try:
            for _ in range(count):
                streams = await asyncio.open_connection(*self._place)
                self._workers.append(asyncio.create_task(self._work(*streams)))
        except OSError as error:
            await self.close()
            raise LoadError(f"{url}: {error}") from error

    def send(self, number: int, due: float) -> None:
        """Have a connection that is free, or the first one that becomes free, send it."""
        self._due.append((number, due))
        self._more.set()

    @property
    def under_way(self) -> int:
        """Messages without an answer, sent or waiting for a connection."""
        return len(self._due) + self._busy

    async def close(self) -> None:
        """End all connections; what has no answer is told as that."""
        now = self._elapsed()
        while self._due:
            _, due = self._due.popleft()
            self._measured.was_sent(due, now)
            self._measured.was_not_answered(due, now)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                while not self._due:
                    self._more.clear()
                    await self._more.wait()
                number, due = self._due.popleft()
                self._busy += 1
                self._measured.was_sent(due, self._elapsed())
                answered = False
                try:
                    status, last = await self._ask(reader, writer, self._bodies[number % len(self._bodies)])
                    answered = True
                    self._measured.was_answered(due, self._elapsed(), status)
                except (OSError, EOFError, ValueError, TimeoutError) as error:
                    self._measured.broken[type(error).__name__] += 1
                    last = True
                finally:
                    self._busy -= 1
                    if not answered:
                        self._measured.was_not_answered(due, self._elapsed())
                if last:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
                    reader, writer = await self._again()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _again(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            with suppress(OSError):
                return await asyncio.open_connection(*self._place)
            await asyncio.sleep(0.5)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> tuple[str, bool]:
        """The status, and whether the connection is over. Raises OSError, EOFError, ValueError, TimeoutError."""
        writer.write(self._head + f"{len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status = head.split(" ", 2)[1]
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", "0")))
        return status, fields.get("connection") == "close" or "content-length" not in fields
