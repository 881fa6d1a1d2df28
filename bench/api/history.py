"""One day of one zone at 5m: as it is asked for over HTTP, and as the store is asked itself."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

import uvloop

from bench.api.data import DAY_MS, HISTORY_DAYS, day, zone_ids
from bench.api.load import Job
from bench.api.servers import Served
from bench.kinds import CAR
from core.clock import format_rfc3339, system_clock
from timeseries import TimeseriesSettings, Width, open_store

STORE, STORE_BOTH = "store", "store with extent"
_WARM_UP = 20


def day_start() -> int:
    """When the recorded history begins, milliseconds since the epoch; all of it is over."""
    now = system_clock()
    return now - now % DAY_MS - HISTORY_DAYS * DAY_MS


def history_job(api: Served, start: int, seconds: float) -> Job:
    """One question after the other."""
    begin = start + DAY_MS
    path = f"/v1/zones/{zone_ids()[0]}/occupancy/history?kind=car&window=5m"
    return Job(
        port=api.port,
        pid=api.pid,
        path=f"{path}&start={format_rfc3339(begin)}&end={format_rfc3339(begin + DAY_MS)}",
        connections=1,
        warm_up=0.2,
        seconds=seconds,
    )


def store_seconds(folder: Path, start: int, seconds: float) -> dict[str, float]:
    """Median seconds of one query for the points, and of that beside one for the extent, as an answer needs both."""
    return uvloop.run(_store_seconds(folder, start, seconds))


async def _store_seconds(folder: Path, start: int, seconds: float) -> dict[str, float]:
    zone, begin = zone_ids()[0], start + DAY_MS
    async with open_store(TimeseriesSettings(data_dir=folder)) as store:

        async def points() -> None:
            await day(store, zone, begin)

        async def both() -> None:
            await asyncio.gather(points(), store.extent(zone, CAR, Width.FIVE_MINUTES))

        return {STORE: await _median(points, seconds), STORE_BOTH: await _median(both, seconds)}


async def _median(ask: Callable[[], Awaitable[None]], seconds: float) -> float:
    for _ in range(_WARM_UP):
        await ask()
    found = []
    until = perf_counter() + seconds
    while (began := perf_counter()) < until:
        await ask()
        found.append(perf_counter() - began)
    return statistics.median(found)
