"""How long the jobs take over a lake, and how much memory, as the lake grows.

python -m bench.analytics                          1, 10 and 100 million positions on DuckDB: some minutes, 4 GB of disk
python -m bench.analytics --rows 1e6 --rows 1e7    of these sizes
python -m bench.analytics --engine spark           on Spark (`make spark` installs it, .venv/spark/bin/python runs it)
python -m bench.analytics --job flows              other jobs than visits and flows

The positions are made up: devices that come at any hour of a day, stay in one of twenty zones for a quarter of an hour
at a time, and send every 30 seconds. A week of the first million, four of ten, sixteen of a hundred: what grows is the
range, and how many there are a day. Each job runs in a process of its own, whose highest memory is told.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analytics.calendar import Calendar
from analytics.engines import Engine
from analytics.engines.duck import DuckEngine
from analytics.running import Sources, run_job
from analytics.zones import RELATED
from bench.machine import machine
from bench.quick import Quick, ResultsFile, keep, place
from lake.layout import POSITIONS, hour_prefix, one_part
from lake.parquet import named
from lake.rows import POSITIONS_ORDER
from lake.schema import POSITIONS as POSITIONS_SCHEMA
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import put_table

FIRST = date(2026, 9, 7)
EVERY_MS, HOUR_MS, DAY_MS = 30_000, 3_600_000, 86_400_000
OPEN, SHUT = 7, 21
"""The hours (UTC) that have positions."""
ZONES = 20
WEEKS = {1_000_000: 1, 10_000_000: 4, 100_000_000: 16}
TTL_MS = 300_000
MEMORY, THREADS = "1200MB", 2
LIMIT_MB = 2048
"""What no process may take more of, in megabytes."""
_HASH_DIGITS = 32


def main(
    *,
    rows: Annotated[list[float] | None, typer.Option(help="Positions in the lake; may be repeated.")] = None,
    job: Annotated[list[str] | None, typer.Option(help="Jobs; may be repeated.")] = None,
    engine: Annotated[Literal["duckdb", "spark"], typer.Option(help="What runs them.")] = "duckdb",
    folder: Annotated[Path | None, typer.Option(help="Where the lakes are made; one that is there is used.")] = None,
    memory: Annotated[str, typer.Option(help="What the engine may take, in its own words.")] = MEMORY,
    only: Annotated[str, typer.Option(hidden=True)] = "",
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the jobs over lakes of several sizes."""
    if only:
        measure(Path(only), (job or ["visits"])[0], int((rows or [0])[0]), engine, memory)
        return
    sizes = [20_000] if quick else [int(each) for each in rows or WEEKS]
    with tempfile.TemporaryDirectory(prefix="bench-analytics-") as temporary:
        found: list[dict[str, Any]] = []
        for size in sizes:
            place_of = (folder or Path(temporary)) / f"{size}"
            bytes_of = make(place_of, size)
            for name in job or ["visits", "flows"]:
                told = _apart(place_of, name, size, engine, memory)
                found.append({"rows": size, "days": 7 * weeks(size), "lake_bytes": bytes_of, "job": name, **told})
    keep(
        {"form": "analytics", "machine": machine(), "engine": engine, "memory": memory, "found": found},
        place("analytics" if engine == "duckdb" else "analytics-spark", quick=quick, results=results),
    )
    _show(found)
    if any(each["megabytes"] > LIMIT_MB for each in found):
        raise typer.Exit(1)


def weeks(size: int) -> int:
    """How many weeks a lake of a size has."""
    return WEEKS.get(size, 1)


def make(folder: Path, size: int) -> int:
    """A lake of so many positions in a folder, unless it is there; its bytes."""
    lake = open_lake(LakeSettings(), folder)
    stored = lake.list(POSITIONS)
    days = [FIRST + timedelta(days=day) for day in range(7 * weeks(size))]
    hours = [(day, hour) for day in days for hour in range(OPEN, SHUT)]
    if len(stored) != len(hours):
        random = np.random.default_rng(1)
        names = _names(random, max(10, size // len(hours) // 40))
        for index, (day, hour) in enumerate(track(hours, f"{size:,} positions", disable=not sys.stderr.isatty())):
            share = size * (index + 1) // len(hours) - size * index // len(hours)
            path = one_part(hour_prefix(day, hour))
            put_table(
                lake, path, _hour(random, names, day, hour, share), schema=named(POSITIONS), sorted_by=POSITIONS_ORDER
            )
        stored = lake.list(POSITIONS)
    return sum(each.size for each in stored)


def _names(random: np.random.Generator, devices: int) -> pa.Array:
    return pa.array(np.sort([random.bytes(_HASH_DIGITS // 2).hex() for _ in range(devices)]))


def _hour(random: np.random.Generator, names: pa.Array, day: date, hour: int, share: int) -> pa.Table:
    """The positions of an hour, by device and time."""
    each = HOUR_MS // EVERY_MS
    present = np.sort(random.choice(len(names), size=min(-(-share // each), len(names)), replace=False))
    device = np.repeat(present, -(-share // len(present)))[:share]
    number = np.arange(share) - np.searchsorted(device, device)
    begin = (day - date(1970, 1, 1)).days * DAY_MS + hour * HOUR_MS
    step = HOUR_MS // max(1, -(-share // len(present)))
    at = begin + number * step + random.integers(0, min(step, 5000), share)
    # A zone of its own for each quarter of an hour, and in some of them none but the campus.
    quarter = (at - begin) // (HOUR_MS // 4)
    zone = (device * 7 + quarter * 13 + random.integers(0, ZONES, len(names))[device]) % (ZONES + 4)
    inside = zone < ZONES
    counts = 1 + inside.astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    flat = np.zeros(offsets[-1], dtype=np.int64)
    flat[offsets[:-1][inside] + 1] = zone[inside] + 1
    zones = pa.array(["campus", *(f"zone-{index:02d}" for index in range(ZONES))]).take(pa.array(flat))
    devices = names.take(pa.array(device))
    times = pa.array(at, pa.timestamp("ms", tz="UTC"))
    wkb = np.zeros(share, dtype=[("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    wkb["order"], wkb["type"] = 1, 1
    wkb["x"], wkb["y"] = random.normal(-8.57, 0.005, share), random.normal(52.673, 0.003, share)
    columns = {
        "_id": pc.binary_join_element_wise(devices, pc.utf8_lpad(pc.cast(pa.array(at), pa.string()), 15, "0"), "-"),
        "kind": pa.array(["car", "mobile"]).take(pa.array(device % 2)),
        "device": devices,
        "observed_at": times,
        "received_at": times,
        "longitude": pa.array(wkb["x"].copy()),
        "latitude": pa.array(wkb["y"].copy()),
        "geometry": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(wkb.dtype.itemsize), share, [None, pa.py_buffer(wkb.tobytes())]
        ).cast(pa.binary()),
        "zones": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), zones).cast(
            POSITIONS_SCHEMA.field("zones").type
        ),
        "cell": pa.repeat("gc3v1x2y", share),
        "accuracy": pa.array(random.gamma(2, 4, share)),
        "implausible": pa.repeat(False, share),  # noqa: FBT003 - a value of a column
        "inaccurate": pa.repeat(False, share),  # noqa: FBT003
    }
    missing = {field.name: pa.nulls(share, field.type) for field in POSITIONS_SCHEMA if field.name not in columns}
    return pa.table([(columns | missing)[field.name] for field in POSITIONS_SCHEMA], schema=POSITIONS_SCHEMA)


def _apart(folder: Path, job: str, size: int, engine: str, memory: str) -> dict[str, float]:
    command = ["-m", "bench.analytics", "--only", str(folder), "--job", job, "--rows", str(size)]
    done = subprocess.run(  # noqa: S603 - this module
        [sys.executable, *command, "--engine", engine, "--memory", memory], check=True, stdout=subprocess.PIPE
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(folder: Path, job: str, size: int, engine: str, memory: str) -> None:
    """Run a job over a lake in this process, and print what it took."""
    lake: Lake = open_lake(LakeSettings(), folder)
    start = (FIRST - date(1970, 1, 1)).days * DAY_MS
    sources = Sources(
        lake=lake,
        related=RELATED.empty_table(),
        zone=ZoneInfo("Europe/Dublin"),
        calendar=Calendar(),
        presence_ttl_ms=TTL_MS,
    )
    opened: Engine
    if engine == "spark":
        from analytics.engines.spark import SparkEngine  # noqa: PLC0415 - only where it is asked for

        opened = SparkEngine(memory=memory.replace("MB", "m"), threads=THREADS)
    else:
        opened = DuckEngine(memory=memory, threads=THREADS, spill=folder / "spill")
    began, used = perf_counter(), process_time()
    rows = run_job(opened, job, start, start + 7 * weeks(size) * DAY_MS, sources)  # type: ignore[arg-type]
    seconds, cpu = perf_counter() - began, process_time() - used
    opened.close()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu + children.ru_utime + children.ru_stime, 1),
        "megabytes": (mine + children.ru_maxrss) // 1024,
        "results": len(rows),
        "load": round(os.getloadavg()[0], 1),
    }
    sys.stdout.write(json.dumps(told) + "\n")


def _show(found: list[dict[str, Any]]) -> None:
    table = Table(*found[0])
    for each in found:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in each.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
