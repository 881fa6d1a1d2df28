"""20,000 devices for two days on a Redis of 150 MB: the days pass in fast motion, Redis is a real one.

python -m bench.state.fast_motion                                     20,000 devices, two days of eight hours each
python -m bench.state.fast_motion --devices 2000 --hours 1 --every 300     a first look

The effects are those of decoders, by a clock that is moved on; only messages, their decoding and the archive are left
out, of which nothing stays in Redis. A second position in the same minute and place changes nothing, so one a minute
stands for any number of them. With --write memory over time
goes to bench/results/fast_motion.json and fast_motion.svg.
"""

import asyncio
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import redis
import typer
from rich.console import Console

from bench.kinds import MOBILE
from bench.machine import machine
from bench.plot import Chart, svg
from bench.quick import Quick, ResultsFile, place
from bench.servers import redis_server
from bench.state.campus import Grid
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from core.windows import Width, Window, window_start
from decoder.batch import Batch
from decoder.effects import Effects
from runtime.devices import KEY_BYTES, DeviceHasher
from runtime.settings import CommonSettings
from state.client import open_redis
from state.windows import WindowCounts

MONDAY = 1_772_409_600_000
"""2026-03-02T00:00:00Z, in milliseconds since the epoch."""
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
DUBLIN = ZoneInfo("Europe/Dublin")
AT_ONCE = 500
LATEST_MINUTES = 180
"""After which nobody comes any more on a day."""
_console = Console(highlight=False)


def main(
    *,
    devices: Annotated[int, typer.Option(min=1, help="How many there are.")] = 20_000,
    days: Annotated[int, typer.Option(min=1, max=30, help="For so many days.")] = 2,
    hours: Annotated[int, typer.Option(min=1, max=24, help="So long on each day.")] = 8,
    every: Annotated[int, typer.Option(min=30, help="Seconds between two positions of a device.")] = 60,
    zones: Annotated[int, typer.Option(min=2, help="Zones, the campus included.")] = 22,
    maxmemory: Annotated[str, typer.Option(help="Of Redis.")] = "150mb",
    write: Annotated[bool, typer.Option(help="Write bench/results/fast_motion.json and .svg.")] = False,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Let days pass, and say what Redis has of them. Ends with 1 where it gets full, or has lost count."""
    if quick:
        devices, days, hours, every = 100, 1, 1, 300
    settings = ("--maxmemory", maxmemory, "--maxmemory-policy", "noeviction")
    with tempfile.TemporaryDirectory(prefix="fast-motion-") as folder, redis_server(Path(folder), *settings) as url:
        day = Days(devices=devices, hours=hours, every=every, zones=zones)
        asyncio.run(_pass(url, day, days, file=place("fast_motion", quick=quick or not write, results=results)))
    _console.print(f"{machine()}, load {os.getloadavg()[0]:.1f}")


class Days:
    """Who is where, and when."""

    def __init__(self, *, devices: int, hours: int, every: int, zones: int) -> None:
        hasher = DeviceHasher(b"k" * KEY_BYTES)
        self.hasher = hasher
        self.names = [hasher.hash(MOBILE, f"device-{number}") for number in range(devices)]
        self.minutes = hours * 60
        self.step = max(1, every // 60)
        self._grid = Grid(zones)
        chance = random.Random(1)  # noqa: S311 - not a secret
        # They come in the morning, not all at once.
        self.comes = [chance.randrange(0, max(1, min(LATEST_MINUTES, 24 * 60 - self.minutes))) for _ in self.names]

    @property
    def all_minutes(self) -> int:
        """Of a day, from the first who comes to the last who leaves."""
        return self.minutes + max(self.comes) + 1

    def positions(self, day: int, minute: int) -> list[Position]:
        """Those of one minute of a day."""
        begin = MONDAY + day * DAY_MS + min(6, 24 - self.minutes // 60) * HOUR_MS
        at = begin + minute * MINUTE_MS
        found = []
        for number, name in enumerate(self.names):
            passed = minute - self.comes[number]
            if 0 <= passed < self.minutes and passed % self.step == 0:
                longitude, latitude = self._grid.place(number, at // MINUTE_MS)
                zone = self._grid.zone(number, at // MINUTE_MS)
                found.append(Position(MOBILE, name, at, at, longitude, latitude, ("campus", zone), ""))
        return found


async def _pass(url: str, passing: Days, days: int, *, file: Path | None) -> None:
    async with open_redis(CommonSettings(redis_url=url)) as client:
        effects = Effects(
            kinds=DEFAULT_KINDS,
            client=client,
            partitions=1,
            zone=DUBLIN,
            away=passing.hasher.away,
            presence_ttl=300,
            rollup_every=10,
            dead_letters_max=1000,
            implausible_speed=1e9,
        )
        begun, sent = time.monotonic(), 0
        memory: list[tuple[float, float]] = []
        with redis.Redis.from_url(url) as watcher:
            for day in range(days):
                for minute in range(passing.all_minutes):
                    positions = passing.positions(day, minute)
                    for first in range(0, len(positions), AT_ONCE):
                        some = positions[first : first + AT_ONCE]
                        await effects.apply(Batch(positions=some), now=some[0].observed_at)
                    sent += len(positions)
                    if minute % 10 == 0:
                        told = watcher.info("memory")
                        memory.append(((day * passing.all_minutes + minute) / 60, told["used_memory"] / 1e6))
                    if minute % 60 == 0:
                        share = told["used_memory"] / told["maxmemory"]
                        _console.print(
                            f"day {day + 1}, {minute // 60} h: {sent:,} positions, "
                            f"{told['used_memory'] / 1e6:,.1f} MB, {share:.0%} of maxmemory"
                        )
            counts = WindowCounts(client=client, partitions=1, timezone=DUBLIN)
            starts = [window_start(Width.DAY, MONDAY + day * DAY_MS + DAY_MS // 2, DUBLIN) for day in range(days)]
            found = await counts.read([Window(Width.DAY, start, "campus", MOBILE) for start in starts])
            used = int(watcher.info("memory")["used_memory"])
        minutes = len(passing.names) * passing.minutes * days
        _console.print(
            f"{len(passing.names):,} devices for {days} days of {passing.minutes // 60} hours: {used / 1e6:,.1f} MB, "
            f"{used / minutes:.2f} bytes a device and minute, in {time.monotonic() - begun:,.0f} s"
        )
        _console.print(f"devices on the campus on each day, as counted: {found}")
        if file:
            _write(
                file,
                memory,
                int(told["maxmemory"]) / 1e6,
                f"{len(passing.names):,} devices, {passing.minutes // 60} hours a day",
            )
        if found != [len(passing.names)] * days:
            raise SystemExit("that is not what there were")


def _write(file: Path, memory: list[tuple[float, float]], most: float, what: str) -> None:
    """Memory of Redis over hours, in MB, beside its maxmemory."""
    told = {"what": what, "machine": machine(), "load": round(os.getloadavg()[0], 1), "maxmemory, MB": most}
    points = [[round(hour, 2), round(used, 2)] for hour, used in memory]
    file.write_text(json.dumps(told | {"hours, MB": points}) + "\n", encoding="utf-8")
    lines = {"used": memory, "maxmemory": [(memory[0][0], most), (memory[-1][0], most)]}
    chart = Chart(f"Memory of Redis: {what}", "hours in which somebody is there", "MB", lines, by_tens=False)
    file.with_suffix(".svg").write_text(svg([chart]), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
