"""How long it takes from a device's PUBLISH until REST says so, while others publish as well.

python -m bench.end_to_end                 2,000 messages/s for 20 s: percentiles, and bench/results/end_to_end.json

Starts the whole system (`python -m deploy.laptop`) on ports and a data directory of its own. Ten times a second a car
that was never seen before publishes from a building, and `GET /v1/zones/{zone}/occupancy` is asked until it counts.
"""

import asyncio
import base64
import json
import os
import signal
import statistics
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Annotated, cast

import aiohttp
import typer
import uvloop
from rich.console import Console

from bench.machine import machine
from bench.quick import Quick, ResultsFile, keep, place
from bench.traffic import payloads
from core.clock import format_rfc3339, system_clock
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
TARGET_MS = 250
CONNECTIONS = 10
PROBE_SECONDS = 0.1
ZONE, PLACE = "health-sciences", (-8.5690, 52.6777)
_TICK_SECONDS = 0.01
START_SECONDS = 60
LIMIT_SECONDS = 10


def main(
    *,
    rate: Annotated[int, typer.Option(min=0, max=50_000, help="Messages a second of the others.")] = 2000,
    seconds: Annotated[int, typer.Option(min=1, max=600, help="How long.")] = 20,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the whole way, from PUBLISH to REST."""
    if quick:
        rate, seconds = 200, 2
    waits = sorted(uvloop.run(_measure(rate, seconds)))
    cuts = statistics.quantiles(waits, n=100)
    figures = {
        "messages/s": rate,
        "probes": len(waits),
        "median ms": round(statistics.median(waits), 1),
        "p95 ms": round(cuts[94], 1),
        "p99 ms": round(cuts[98], 1),
        "most ms": round(waits[-1], 1),
        "machine": machine(),
    }
    for name, value in figures.items():
        Console().print(f"{name}: {value}", highlight=False)
    Console().print(f"target: p99 under {TARGET_MS} ms: {'reached' if cuts[98] < TARGET_MS else 'MISSED'}")
    keep(figures, place("end_to_end", quick=quick, results=results))


async def _measure(rate: int, seconds: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="bench-e2e-") as folder:
        ports = free_port(), free_port()
        async with _system(Path(folder), *ports), aiohttp.ClientSession(f"http://127.0.0.1:{ports[1]}") as session:
            stop = asyncio.Event()
            others = [
                asyncio.create_task(_publish(ports[0], number, rate / CONNECTIONS, stop))
                for number in range(CONNECTIONS if rate else 0)
            ]
            await asyncio.sleep(1)  # the traffic is to have begun
            try:
                return await _probe(ports[0], session, seconds)
            finally:
                stop.set()
                await asyncio.gather(*others)


@asynccontextmanager
async def _system(data_dir: Path, mqtt_port: int, http_port: int) -> AsyncIterator[None]:
    environment = {
        **os.environ,
        "DATA_DIR": str(data_dir),
        "MQTT_PORT": str(mqtt_port),
        "HTTP_PORT": str(http_port),
        # A probe asks again and again until it is counted.
        "API_RATE_LIMIT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.laptop", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output = cast("asyncio.StreamReader", process.stdout)
    try:
        async with asyncio.timeout(START_SECONDS):
            while b"ready: MQTT" not in (line := await output.readline()):
                if not line:
                    raise SystemExit("the system did not start: see make run")
        # Until it has ended: who writes more than a pipe holds, and is not read, never ends.
        following = asyncio.create_task(output.read())
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await following
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.wait()


async def _connect(port: int, client_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b"\0\4MQTT\4\2\0\0" + struct.pack("!H", len(client_id)) + client_id.encode()
    writer.write(bytes((0x10, len(body))) + body)
    await reader.readexactly(4)
    return reader, writer


def _packet(payload: bytes, packet_id: int, topic: bytes = b"mobile-iotp") -> bytes:
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", packet_id) + payload
    return bytes((0x32, len(body) & 0x7F | 0x80, len(body) >> 7)) + body


async def _publish(port: int, number: int, rate: float, stop: asyncio.Event) -> None:
    """Publish at QoS 1 at a steady rate; acknowledgements are read and not waited for."""
    reader, writer = await _connect(port, f"load-{number}")
    following = asyncio.create_task(reader.read(-1))
    traffic = payloads(1000, system_clock())
    started, sent = perf_counter(), 0
    while not stop.is_set():
        due = int((perf_counter() - started) * rate) - sent
        for _ in range(due):
            writer.write(_packet(traffic[sent % len(traffic)], sent % 65535 + 1))
            sent += 1
        await writer.drain()
        await asyncio.sleep(_TICK_SECONDS)
    following.cancel()
    writer.close()


async def _probe(port: int, session: aiohttp.ClientSession, seconds: int) -> list[float]:
    """Milliseconds from each PUBLISH of a new phone to the answer that counts it."""
    reader, writer = await _connect(port, "probe")
    waits = []
    until = perf_counter() + seconds
    number = 0
    while perf_counter() < until:
        number += 1
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": PLACE},
            "properties": {"device_id": f"probe-{number}", "timestamp": format_rfc3339(system_clock())},
        }
        before = await _cars(session)
        started = perf_counter()
        payload = base64.b64encode(json.dumps(feature).encode())
        # A car: the others are phones, so nobody else changes this count.
        writer.write(_packet(payload, number % 65535 + 1, b"car-iotp"))
        async with asyncio.timeout(LIMIT_SECONDS):
            while await _cars(session) <= before:
                pass
        waits.append((perf_counter() - started) * 1000)
        await asyncio.sleep(max(0.0, PROBE_SECONDS - (perf_counter() - started)))
    writer.close()
    del reader
    return waits


async def _cars(session: aiohttp.ClientSession) -> int:
    async with session.get(f"/v1/zones/{ZONE}/occupancy") as answer:
        answer.raise_for_status()
        return int((await answer.json())["car"])


if __name__ == "__main__":
    typer.run(main)
