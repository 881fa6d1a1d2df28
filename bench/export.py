"""How many positions a second become files of the lake, beside pyarrow with the same rows alone.

python -m bench.export    ten rounds of 100,000 positions: a table, and bench/results/export.json

Each turn takes the same positions. Ours are entries of the stream as the stage observe writes them: they are decoded,
get their ids, are sorted by device and time, each once, and become Parquet files of an hour, which have reached the
disk. pyarrow alone has the positions as Python objects already, makes the same columns of them, without an order, and
writes one file as it would by itself, but for zstd. The stage observe, with a Redis beside it, is what an exporter has
to keep up with; both have one core.
"""

import os
import random
import resource
import shutil
import tempfile
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from struct import Struct
from time import perf_counter, process_time
from typing import Annotated, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import uvloop
from rich.console import Console

from bench.cpu import MILLION
from bench.observe import observed
from bench.quick import Quick, ResultsFile, place
from bench.results_file import ALL_CPU, Aim, Compared, results_of, write
from bench.rounds import Entry, Figures, compare
from bench.section import section
from bench.servers import redis_server
from bench.traffic import raw_messages
from core.clock import system_clock
from core.kinds import KindId
from core.messages import Position, decode_positions, encode_positions
from decoder.settings import DecoderSettings
from documents import document_id
from lake.rows import Row
from lake.schema import POSITIONS
from lake.settings import LakeSettings
from lake.store import open_lake
from lake.writing import write_positions

UNIT, SIZE, LAKE, ALONE, OBSERVE = (
    "positions/s",
    "bytes a position",
    "the lake",
    "pyarrow alone",
    "observe, Redis beside it",
)
TARGET_RATIO, TARGET_OF_OBSERVE = 0.5, 1.0
Each = TypeVar("Each")
GATHERED = 50_000
"""LAKE_POSITIONS."""
OF_AN_ENTRY = 100
DEVICES = 2000
FIRST_MS = 1_795_442_400_000
SPREAD_MS = 2 * 3_600_000
"""Over two hours: a file for each of them, of what is gathered."""


def main(
    *,
    positions: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Positions in a turn.")] = 100_000,
    messages: Annotated[int, typer.Option(min=1000, max=2_000_000, help="Messages in a turn of observe.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the positions, and of the order of turns.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the export to the lake. Needs redis-server, for the stage observe."""
    if quick:
        positions, messages, rounds = 2000, 1000, 1
    some = made_up(positions, seed)
    entries = [encode_positions(list(each)) for each in _pieces(some, OF_AN_ENTRY)]
    traffic = raw_messages(messages, system_clock())
    settings = DecoderSettings()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    with tempfile.TemporaryDirectory(prefix="bench-export-") as folder, redis_server(Path(folder)) as address:
        if len(cores) > 1:
            os.sched_setaffinity(0, cores[:1])
        found_in = Path(folder) / "turn"
        turns = [
            Entry(name=LAKE, run=lambda: _turn(found_in, positions, lambda: to_lake(entries, found_in))),
            Entry(
                name=ALONE,
                version=pa.__version__,
                run=lambda: _turn(found_in, positions, lambda: alone(some, found_in)),
            ),
            Entry(name=OBSERVE, run=lambda: _of_observe(uvloop.run(observed(address, traffic, settings)))),
        ]
        # The first turn would have the libraries' own start in it.
        _turn(found_in, positions, lambda: to_lake(entries[:1], found_in))
        found = compare(turns, rounds=rounds, seed=seed)
    written = results_of(
        found,
        turns,
        name="export",
        title=f"{positions:,} positions of {DEVICES:,} devices to Parquet, {GATHERED:,} gathered at a time",
        repeat="python -m bench.export",
        compared=[Compared(UNIT), Compared(ALL_CPU, "less"), Compared(SIZE, "less")],
        seed=seed,
        aims=[
            Aim(text=f"{TARGET_RATIO} of {ALONE}", figure=UNIT, over=ALONE, least=TARGET_RATIO),
            Aim(text="as many as observe", figure=UNIT, over=OBSERVE, least=TARGET_OF_OBSERVE),
        ],
        notes=[
            "pyarrow alone has Python objects, and neither decodes nor sorts nor waits for the disk.",
            f"Peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB.",
        ],
    )
    Console(highlight=False, soft_wrap=True, markup=False).print(section(written))
    if file := place("export", quick=quick, results=results):
        write(written, file)


def made_up(count: int, seed: int) -> list[Position]:
    """Positions of devices on a campus, in the order in which they come, some of which say how accurate they are."""
    drawn = random.Random(seed)  # noqa: S311 - positions, and no secret
    devices = [f"{drawn.getrandbits(128):032x}" for _ in range(DEVICES)]
    zones = [("campus",), ("campus", "glucksman-library"), ("campus", "car-park-p1")]
    kinds = [KindId("car"), KindId("mobile")]
    times = sorted(FIRST_MS + drawn.randrange(SPREAD_MS) for _ in range(count))
    return [
        Position(
            kind=drawn.choice(kinds),
            device=drawn.choice(devices),
            observed_at=at,
            received_at=at + drawn.randrange(2000),
            longitude=round(-8.58 + drawn.random() * 0.02, 6),
            latitude=round(52.67 + drawn.random() * 0.01, 6),
            zones=drawn.choice(zones),
            cell="gc3v" + drawn.choice("bcdefg") + drawn.choice("bcdefg") + "x2",
            accuracy=round(drawn.random() * 30, 1),
            fence="0f1e2d3c4b5a6978",
        )
        for at in times
    ]


def to_lake(entries: list[bytes], folder: Path) -> None:
    """As an exporter does it."""
    lake = open_lake(LakeSettings(), folder)
    for some in _pieces(entries, GATHERED // OF_AN_ENTRY):
        rows: list[Row] = [
            (document_id(position), position) for each in some for position in decode_positions({b"d": each})
        ]
        write_positions(lake, rows)


def alone(positions: list[Position], folder: Path) -> None:
    """The same columns, by pyarrow and nothing else."""
    wkb = Struct("<BIdd").pack
    for number, some in enumerate(_pieces(positions, GATHERED)):
        names = Position.__struct_fields__
        columns = dict(zip(names, zip(*map(msgspec.structs.astuple, some), strict=True), strict=True))
        columns["_id"] = tuple(map(document_id, some))
        columns["geometry"] = tuple(map(wkb, repeat(1), repeat(1), columns["longitude"], columns["latitude"]))
        table = pa.table([pa.array(columns[field.name], field.type) for field in POSITIONS], schema=POSITIONS)
        pq.write_table(table, folder / f"{number}.parquet", compression="zstd")


def _turn(folder: Path, positions: int, work: Callable[[], None]) -> Figures:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started, busy = perf_counter(), process_time()
    work()
    seconds, busy = perf_counter() - started, process_time() - busy
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    return Figures(
        values={UNIT: positions / seconds, SIZE: size / positions}, cpu={"Python": busy / positions * MILLION}
    )


def _of_observe(figures: Figures) -> Figures:
    # A message has one position.
    return Figures(values={UNIT: figures.values["messages/s"]}, cpu=figures.cpu)


def _pieces(each: list[Each], size: int) -> list[list[Each]]:
    return [each[first : first + size] for first in range(0, len(each), size)]


if __name__ == "__main__":
    typer.run(main)
