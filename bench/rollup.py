"""How many dirty windows a second the roll-up writes, beside what the store takes from whoever only writes.

python -m bench.rollup                        five rounds of 20,000 windows: a table, and bench/results/rollup.json
python -m bench.rollup --age-hours 1000       windows of long ago, so that the stage also reads what is stored
python -m bench.rollup --zones 5000           each window of another zone, as on a large campus
python -m bench.rollup --partitions 3         marks lie anywhere, and are handed to their owners
python -m bench.rollup --rounds 1             a look, of a few seconds
python -m bench.rollup --profile rollup.prof  one round of the stage alone, under cProfile

In each round, in an order that is drawn by lot, the same windows are marked as dirty in a Redis of its own and the
stage rolls them up into an empty SQLite file, and the `write` of another empty file gets the same points, in batches of
the same size. It also tells what
processor time a window costs, which is the same on a machine that does other things, too.
"""

import cProfile
import itertools
import statistics
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, cast
from zoneinfo import ZoneInfo

import typer
import uvloop

from bench.quick import Quick, ResultsFile
from bench.report import Report
from bench.rounds import Entry, Figures, Rounds, compare
from bench.servers import redis_server
from core.clock import system_clock
from core.kinds import DEFAULT_KINDS
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from decoder.settings import DecoderSettings
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.dirty_windows import keys_of, waiting
from state.slots import tag
from state.windows import counter, day_shift_ms
from timeseries import OccupancyPoint, TimeseriesSettings, Width, Window, nominal_ms, open_store

TARGET = 10_000
"""Dirty windows a second, at least."""
UNIT, STAGE, STORE = "windows/s", "rollup stage, Redis beside it", "the store's own write"
ZONES = 30
DEVICES = 3
HOUR_MS = 3_600_000
TIMEZONE = ZoneInfo("Europe/Dublin")


def main(
    *,
    windows: Annotated[int, typer.Option(min=1, max=1_000_000, help="Dirty windows in a round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 5,
    batch: Annotated[int | None, typer.Option(min=1, help="Windows to a batch; unset: the decoder's default.")] = None,
    age_hours: Annotated[int, typer.Option(min=0, help="How long ago the newest window was.")] = 0,
    zones: Annotated[int, typer.Option(min=1, max=8000, help="Zones that the windows are of.")] = ZONES,
    partitions: Annotated[int, typer.Option(min=1, max=256, help="Partitions.")] = 1,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of one round of the stage here.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of turns.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the stage rollup against the store's own write. Needs redis-server."""
    if quick:
        windows, rounds = 500, 1
    batch = batch or DecoderSettings().rollup_batch
    with tempfile.TemporaryDirectory(prefix="bench-rollup-") as folder, redis_server(Path(folder)) as address:
        dirty = windows_of(windows, system_clock() - age_hours * HOUR_MS, zones)
        bench = Bench(Path(folder), address, dirty, batch, partitions)
        if profile:
            profiler = cProfile.Profile()
            uvloop.run(bench.stage(0, profiler))
            profiler.dump_stats(profile)
            return
        files = itertools.count()
        found = compare(
            [
                Entry(name=STAGE, run=lambda: Figures(values={UNIT: uvloop.run(bench.stage(next(files)))})),
                Entry(name=STORE, run=lambda: Figures(values={UNIT: uvloop.run(bench.write(next(files)))})),
            ],
            rounds=rounds,
            seed=seed,
        )
    _report(f"{windows:,} dirty windows, {batch:,} to a batch", found, seed, bench.costs).show(
        quick=quick, results=results
    )


class Bench:
    """The two sides, over the same windows."""

    def __init__(self, folder: Path, address: str, windows: list[Window], batch: int, partitions: int = 1) -> None:
        self._partitions = partitions
        self.costs: list[tuple[float, float]] = []
        """Of each round of the stage: microseconds of processor time a window, of Python and of Redis."""
        self._folder = folder
        self._address = address
        self._windows = windows
        self._batch = batch

    async def stage(self, number: int, profiler: cProfile.Profile | None = None) -> float:
        """Windows a second of the stage, from the first claim to the last settling."""
        async with (
            open_redis(CommonSettings(redis_url=self._address)) as client,
            open_store(TimeseriesSettings(data_dir=self._folder / f"stage-{number}")) as store,
        ):
            await store.setup()
            await mark(client, self._windows, self._partitions)
            rollup = Rollup(
                kinds=DEFAULT_KINDS,
                client=client,
                store=store,
                clock=system_clock,
                metrics=DecoderMetrics(),
                partitions=self._partitions,
                timezone=TIMEZONE,
                every_ms=0,
                batch_size=self._batch,
                dead_letters_max=1000,
            )
            if profiler:
                profiler.enable()
            before = process_time(), await _redis_seconds(client)
            started = perf_counter()
            while await rollup.step():
                pass
            seconds = perf_counter() - started
            if profiler:
                profiler.disable()
            after = process_time(), await _redis_seconds(client)
            if left := await waiting(client, self._partitions):
                raise AssertionError(f"{left} windows are left, of {len(self._windows)}")
        python, redis = (1e6 * (end - begin) / len(self._windows) for begin, end in zip(before, after, strict=True))
        self.costs.append((python, redis))
        return len(self._windows) / seconds

    async def write(self, number: int) -> float:
        """Windows a second of the store alone."""
        points = [OccupancyPoint(window=window, devices=DEVICES) for window in self._windows]
        async with open_store(TimeseriesSettings(data_dir=self._folder / f"write-{number}")) as store:
            await store.setup()
            started = perf_counter()
            for first in range(0, len(points), self._batch):
                await store.write(points[first : first + self._batch])
            return len(points) / (perf_counter() - started)


async def _redis_seconds(client: Redis) -> float:
    """Processor time of Redis."""
    used = cast("dict[str, float]", await client.info("cpu"))
    return used["used_cpu_user"] + used["used_cpu_sys"]


async def mark(client: Redis, windows: list[Window], partitions: int = 1) -> None:
    """Mark windows as dirty, with `DEVICES` devices each, in partitions by turns of a Redis that has nothing else."""
    await client.flushall()
    shift = day_shift_ms(TIMEZONE)
    for first in range(0, len(windows), 1000):
        async with client.pipeline(transaction=False) as pipeline:
            for number, window in enumerate(windows[first : first + 1000]):
                partition = number % partitions
                place = counter(window, tag(partition, partitions), shift)
                pipeline.hset(place.key, place.field, DEVICES)
                pipeline.zadd(keys_of(partition, partitions).dirty, {window.member: 1})
            await pipeline.execute()


def windows_of(count: int, newest: int, zones: int = ZONES) -> list[Window]:
    """As traffic dirties them: in each minute, back from `newest`, all zones and kinds, in all widths."""
    found: dict[Window, None] = {}
    minute = newest - newest % nominal_ms[Width.MINUTE]
    while len(found) < count:
        for width in Width:
            start = minute - minute % nominal_ms[width]
            found |= {
                Window(width, start, f"zone-{zone}", kind): None for zone in range(zones) for kind in DEFAULT_KINDS.ids
            }
        minute -= nominal_ms[Width.MINUTE]
    return list(found)[:count]


def _report(title: str, found: Rounds, seed: int, costs: list[tuple[float, float]]) -> Report:
    python, redis = (statistics.median(each) for each in zip(*costs, strict=True))
    return Report(
        name="rollup",
        title=title,
        repeat="python -m bench.rollup",
        unit=UNIT,
        measured=STAGE,
        peer=STORE,
        found=found,
        seed=seed,
        target=TARGET,
        others={"processor time of Python, µs a window": python, "processor time of Redis, µs a window": redis},
    )


if __name__ == "__main__":
    typer.run(main)
