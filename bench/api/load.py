"""The load generator: connections that are kept, on which one request follows another.

Run in a process of its own (`bench.api`). It writes prepared bytes, and reads of an answer what it needs to
find its end.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import cast

import uvloop

from bench.cpu import cpu_seconds

HOST = "127.0.0.1"
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH, _ETAG = b"\r\ncontent-length: ", b"\r\netag: "


class BrokenAnswerError(Exception):
    """What came back is not what a benchmark can count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to ask for, and how often."""

    port: int
    pid: int
    """Of the server, whose use of the CPU is to be told."""
    path: str
    connections: int
    warm_up: float
    """Seconds, before the clock runs."""
    seconds: float
    rate: float | None = None
    """Requests a second, each at its time, however slow the answers are; None: as fast as they come."""
    conditional: bool = False
    """Ask with the ETag of the newest answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came of it."""

    per_second: float
    seconds: list[float]
    """Of each answer, from when its request was due."""
    not_modified: float
    """Share of the answers that were a 304; all others were a 200."""
    size: int
    """Bytes of the newest body."""
    generator_busy: float
    """Share of one core that this generator used: near 1 it is the bottleneck."""
    server_busy: float
    server_microseconds: float
    """CPU time of the server for each answer."""


def load(job: Job) -> Answers:
    """Do it. Raises BrokenAnswerError for an answer other than 200 and 304."""

    async def run() -> Answers:
        return await _Load(job).run()

    return uvloop.run(run())


class _Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._head = f"GET {job.path} HTTP/1.1\r\nHost: campus\r\n".encode()
        self.request = self._head + b"\r\n"
        self._etag = b""
        self._idle: list[_Connection] = []
        self._due: deque[float] = deque()
        self._seconds: list[float] = []
        self._not_modified = 0
        self._size = 0
        self._stopping = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> Answers:
        job = self._job
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: _Connection(self.answered, self.failed), HOST, job.port))[1]
            for _ in range(job.connections)
        ]
        self._idle = list(connections)
        began = perf_counter()
        pace = asyncio.create_task(self._pace(job.rate)) if job.rate else None
        if not pace:
            for _ in connections:
                self._ask(began)
        await self._wait(job.warm_up)
        self._seconds, self._not_modified = [], 0
        before, busy, server = perf_counter(), process_time(), cpu_seconds(job.pid)
        await self._wait(job.seconds)
        elapsed, count = perf_counter() - before, len(self._seconds)
        busy, server = process_time() - busy, cpu_seconds(job.pid) - server
        self._stopping = True
        if pace:
            pace.cancel()
        for connection in connections:
            connection.close()
        if not count:
            raise BrokenAnswerError("no answer came in time")
        return Answers(
            per_second=count / elapsed,
            seconds=self._seconds[:count],
            not_modified=self._not_modified / count,
            size=self._size,
            generator_busy=busy / elapsed,
            server_busy=server / elapsed,
            server_microseconds=server / count * 1e6,
        )

    async def _wait(self, seconds: float) -> None:
        await asyncio.wait([self._broken], timeout=seconds)
        if self._broken.done():
            self._broken.result()

    async def _pace(self, rate: float) -> None:
        began = perf_counter()
        number = 0
        while True:
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            if self._idle:
                self._ask(due)
            else:
                self._due.append(due)
            number += 1

    def _ask(self, due: float) -> None:
        self._idle.pop().ask(self.request, due)

    def answered(self, connection: "_Connection", head: bytes, size: int, due: float) -> None:
        now = perf_counter()
        self._seconds.append(now - due)
        if head.startswith(b"HTTP/1.1 304"):
            self._not_modified += 1
        elif head.startswith(b"HTTP/1.1 200"):
            self._size = size
            if self._job.conditional and (etag := _field(head, _ETAG)) != self._etag:
                self._etag = etag
                self.request = self._head + b"If-None-Match: " + etag + b"\r\n\r\n"
        else:
            self.failed(head.partition(b"\r\n")[0].decode(errors="replace"))
            return
        if self._stopping:
            return
        if self._job.rate is None:
            connection.ask(self.request, now)
        elif self._due:
            connection.ask(self.request, self._due.popleft())
        else:
            self._idle.append(connection)

    def failed(self, why: str) -> None:
        if not self._stopping and not self._broken.done():
            self._broken.set_exception(BrokenAnswerError(why))


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(
        self, answered: Callable[["_Connection", bytes, int, float], None], failed: Callable[[str], None]
    ) -> None:
        self._answered = answered
        self._failed = failed
        self._due = 0.0
        self._head = b""
        self._size = 0
        self._missing = -1
        """Bytes of the body that have not come; below 0 before the head is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._failed(f"the connection was lost: {exc}")

    def ask(self, request: bytes, due: float) -> None:
        self._head, self._missing, self._due = b"", -1, due
        self._transport.write(request)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            end = self._head.find(_END_OF_HEAD)
            if end < 0:
                return
            data = self._head[end + len(_END_OF_HEAD) :]
            self._head = self._head[:end]
            self._size = self._missing = int(_field(self._head, _LENGTH) or b"0")
        self._missing -= len(data)
        if not self._missing:
            self._answered(self, self._head, self._size, self._due)


def _field(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None]
