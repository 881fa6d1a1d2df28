"""`python -m bench.events`: 1,000 readers of /v1/events, and a change a second in every zone.

What counts is the slowest reader: from the moment before the change is written to Redis until it has the events of all
zones. Target: within a second, with the API under 256 MB.
"""

import asyncio
import os
import random
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import typer
import uvloop
from redis.asyncio import Redis
from rich.console import Console

from bench.kinds import CAR
from bench.machine import machine
from bench.presence import see
from bench.quick import Quick, ResultsFile, keep, place
from bench.servers import redis_server
from core.clock import system_clock

LIMIT_SECONDS = 1.0
LIMIT_MB = 256.0
OPEN_AT_ONCE = 50
_REQUEST = b"GET /v1/events HTTP/1.1\r\nHost: campus\r\n\r\n"
_OK, _NOT_YET = b"200", b"503"
"""It has not looked at the zones yet."""
_ZONE = re.compile(rb'"zone":"([^"]+)"')

app = typer.Typer(add_completion=False)


class _Reader(asyncio.Protocol):
    """One client: notes when it has had so many events of a round."""

    def __init__(self) -> None:
        self.started = asyncio.get_running_loop().create_future()
        self.wanted = b""
        self.missing = 0
        self.at = 0.0
        self._tail = b""
        self.snapshot = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        if not self.started.done():
            self.snapshot += data
            status = self.snapshot[9:12]
            if len(status) == len(_OK) and status not in {_OK, _NOT_YET}:
                self.started.set_exception(SystemExit(f"the API answers {status.decode(errors='replace')}"))
            elif b"event: snapshot" in self.snapshot and b"]}\n\n" in self.snapshot:
                self.started.set_result(None)
            return
        if self.missing:
            text = self._tail + data
            self.missing -= text.count(self.wanted)
            # What is counted must not be counted again with the next part.
            self._tail = text[text.rfind(b"\n") + 1 :]
            if self.missing <= 0:
                self.at = time.perf_counter()

    def expect(self, wanted: bytes, times: int) -> None:
        self.wanted, self.missing, self._tail = wanted, times, b""


@asynccontextmanager
async def _api(redis_url: str, folder: Path, streams: int) -> AsyncIterator[tuple[int, int]]:
    """The port and the process id of an API."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "API_PORT": str(port),
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder),
        "API_RATE_LIMIT": "0",
        "EVENTS_MAX_STREAMS": str(streams),
        "EVENTS_ADDRESS_SHARE": "1",
        "LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "api", env={**os.environ, **settings})
    try:
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _connect(port: int, readers: int) -> list[_Reader]:
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(OPEN_AT_ONCE)

    async def one() -> _Reader:
        async with gate:
            while True:
                try:
                    _, reader = await loop.create_connection(_Reader, "127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                    continue
                try:
                    async with asyncio.timeout(2):
                        await reader.started
                except TimeoutError:
                    continue  # 503: it has not looked at the zones yet
                return reader

    first = await one()
    return [first, *await asyncio.gather(*(one() for _ in range(readers - 1)))]


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def _round(redis: Redis, zones: list[str], readers: list[_Reader], number: int) -> list[float]:
    """Seconds until each reader had it."""
    for reader in readers:
        reader.expect(b'"car":%d,' % number, len(zones))
    began = time.perf_counter()
    await asyncio.gather(*(see(redis, zone, CAR, {f"device-{number}": system_clock()}) for zone in zones))
    while any(reader.missing > 0 for reader in readers) and time.perf_counter() - began < 10 * LIMIT_SECONDS:  # noqa: ASYNC110 - the readers set no event
        await asyncio.sleep(0.02)
    return [reader.at - began if reader.missing <= 0 else float("inf") for reader in readers]


async def measure(readers: int, rounds: int) -> tuple[list[list[float]], float]:
    """Seconds until each reader had each round, and the megabytes of the API at its peak."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        async with Redis.from_url(url) as redis, _api(url, Path(folder), readers) as (port, pid):
            opened = await _connect(port, readers)
            zones = [zone.decode() for zone in _ZONE.findall(opened[0].snapshot)]
            delays = []
            chance = random.Random(1)  # noqa: S311 - the same pauses in each run
            for number in range(1, rounds + 1):
                began = time.perf_counter()
                delays.append(await _round(redis, zones, opened, number))
                # Not in step with the looks of the API.
                pause = chance.uniform(0.75, 1.25)
                await asyncio.sleep(max(0.0, pause - (time.perf_counter() - began)))
            return delays, _peak_mb(pid)


@app.command()
def main(*, readers: int = 1000, rounds: int = 20, quick: Quick = False, results: ResultsFile = None) -> None:
    """Print the delays of the slowest reader, by round, and the memory of the API."""
    if quick:
        readers, rounds = 20, 2
    delays, megabytes = uvloop.run(measure(readers, rounds))
    slowest = [max(each) for each in delays]
    figures = {
        "readers": readers,
        "rounds": rounds,
        "slowest reader, median of rounds, s": round(statistics.median(slowest), 3),
        "slowest reader, worst round, s": round(max(slowest), 3),
        "all readers, median, s": round(statistics.median(delay for each in delays for delay in each), 3),
        "API at its peak, MB": round(megabytes, 1),
    }
    console = Console()
    for name, value in figures.items():
        console.print(f"{name}: {value}", highlight=False)
    reached = max(slowest) < LIMIT_SECONDS and megabytes < LIMIT_MB
    console.print(
        f"every reader within {LIMIT_SECONDS:g} s, under {LIMIT_MB:g} MB: {'reached' if reached else 'MISSED'}"
    )
    console.print(machine(), highlight=False)
    keep({**figures, "machine": machine()}, place("events", quick=quick, results=results))


if __name__ == "__main__":
    app()
