"""`python -m bench.snapshots`: what a snapshot costs the API, by how many zones there are and have changed.

CPU of this process alone, without that of Redis: 20,000 devices are present, and between two snapshots so many come,
each into the next zone. What is asked for with each is shown beside it: the body of GET /v1/occupancy.
"""

import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import typer
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from api.http.metrics import ApiMetrics
from api.live.poller import poll_once
from api.rooms import open_rooms
from api.settings import ApiSettings
from api.zones import FollowedCampus
from bench.campus import made_campus
from bench.kinds import CAR
from bench.machine import machine
from bench.presence import see
from bench.quick import Quick, ResultsFile, keep, place
from bench.servers import redis_server
from core.clock import system_clock
from core.kinds import DEFAULT_KINDS
from geofence import parse_campus
from runtime.devices import DeviceHasher
from state.client import open_redis

ZONES = (22, 500, 5_000)
CHANGES = (0, 100, 1_000)
DEVICES = 20_000


async def _arrive(redis: Redis, zones: list[str], name: str, devices: int) -> None:
    for number in range(devices):
        await see(redis, zones[number % len(zones)], CAR, {f"{name}-{number}": system_clock()})


async def _measure(
    redis: Redis, settings: ApiSettings, zones: int, changes: int, *, devices: int, rounds: int
) -> tuple[float, float]:
    """Milliseconds of CPU of a snapshot, and of the body about all zones; medians."""
    campus = parse_campus(made_campus(zones), "a made campus")
    live = open_rooms(
        settings=settings,
        kinds=DEFAULT_KINDS,
        followed=FollowedCampus(client=redis, file=campus),
        redis=redis,
        watch=cast("Any", None),
        store=cast("Any", None),
        documents=cast("Any", None),
        hasher=DeviceHasher(b"k" * 32),
        metrics=ApiMetrics(),
        clock=system_clock,
    ).live
    ids = [zone.id for zone in campus.zones]
    await redis.flushall()
    await _arrive(redis, ids, "present", devices)
    await poll_once(live)
    snapshots, bodies = [], []
    for number in range(rounds):
        await _arrive(redis, ids, f"round-{number}", changes)
        gc.collect()
        began = time.process_time()
        await poll_once(live)
        polled = time.process_time()
        snapshots.append(1000 * (polled - began))
        if live.change_log.latest:
            _ = live.change_log.latest.everything
        bodies.append(1000 * (time.process_time() - polled))
    return statistics.median(snapshots), statistics.median(bodies)


async def measure(rounds: int, *, most_zones: int = ZONES[-1], devices: int = DEVICES) -> list[dict[str, float]]:
    """A line for each number of zones, up to `most_zones`, and of changes."""
    found = []
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        settings = ApiSettings(redis_url=url, data_dir=Path(folder), presence_ttl=86_400)
        async with open_redis(settings) as redis:
            for zones in (count for count in ZONES if count <= most_zones):
                for changes in CHANGES:
                    snapshot, body = await _measure(redis, settings, zones, changes, devices=devices, rounds=rounds)
                    found.append({"zones": zones, "changes": changes, "snapshot ms": snapshot, "body ms": body})
    return found


def main(*, rounds: int = 15, quick: Quick = False, results: ResultsFile = None) -> None:
    """Print the table, and write bench/results/snapshots.json."""
    found = uvloop.run(measure(2, most_zones=ZONES[0], devices=200) if quick else measure(rounds))
    table = Table("zones", "devices that came", "CPU of a snapshot, ms", "CPU of the body about all, ms")
    for each in found:
        table.add_row(*(f"{value:,.2f}" if value % 1 else f"{value:,.0f}" for value in each.values()))
    Console().print(table)
    Console().print(machine(), highlight=False)
    keep({"rounds": found, "machine": machine()}, place("snapshots", quick=quick, results=results))


if __name__ == "__main__":
    typer.run(main)
