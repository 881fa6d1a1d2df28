"""How many positions a second the stage archive writes, beside `_bulk_docs` alone against the same server.

python -m bench.archive                         five rounds of 20,000 positions: a table, and bench/results/archive.json
CLOUDANT_URL=... python -m bench.archive        against that server, with the SDK's own variables for the login
python -m bench.archive --profile archive.prof  one round of the stage alone, under cProfile

Each round lets the stage work off entries of a Redis of its own into an empty database, and sends the same documents,
made and encoded beforehand, to another empty one that has the same indexes: in as many requests at a time, of the same
size. Who goes first is drawn by lot from round to round. Without CLOUDANT_URL the server is the double of the tests.
"""

import asyncio
import cProfile
import io
import itertools
import os
import random
import resource
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import typer
import uvloop
from ibmcloudant.cloudant_v1 import CloudantV1

from bench.kinds import MOBILE
from bench.quick import Quick, ResultsFile
from bench.report import Report, rounds_of
from bench.servers import couchdb_double, redis_server
from core.clock import system_clock
from core.messages import Position, encode_positions
from decoder.archive import Archiver
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from documents import to_document
from documents.cloudant import BATCH_DOCUMENTS, PUTS, CloudantStore
from documents.months import month_of
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.dead_letters import DeadLetters
from state.group import Group
from state.raw import ARCHIVE_GROUP, keys_of

TARGET_RATIO = 0.8
UNIT, STAGE, ALONE = "documents/s", "archive, from Redis", "_bulk_docs alone"
ENTRY_POSITIONS = 500
"""Positions in one entry of the stream: what observe makes of a batch under load."""


def main(
    *,
    positions: Annotated[int, typer.Option(min=1000, max=1_000_000, help="Positions in a round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 5,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of one round of the stage here.")] = None,
    server_pid: Annotated[
        int | None, typer.Option(help="Process of the server of CLOUDANT_URL, if it is here: its CPU time is measured.")
    ] = None,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the stage archive. Needs redis-server, and Node.js or CLOUDANT_URL."""
    if quick:
        positions, rounds = 1000, 1
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as folder, redis_server(Path(folder)) as address:
        url = os.environ.get("CLOUDANT_URL")
        if url:
            found = uvloop.run(
                _rounds(address, url, count=positions, rounds=rounds, profile=profile, server_pid=server_pid)
            )
        else:
            with couchdb_double() as double:
                os.environ.update(double.environment)
                pid = double.process.pid if double.process else None
                found = uvloop.run(
                    _rounds(address, double.url, count=positions, rounds=rounds, profile=profile, server_pid=pid)
                )
    if profile:
        return
    Report(
        name="archive",
        title=f"{positions:,} positions, {BATCH_DOCUMENTS} to a request, {PUTS} requests at a time",
        repeat="python -m bench.archive",
        unit=UNIT,
        measured=STAGE,
        peer=ALONE,
        found=rounds_of(UNIT, {STAGE: [stage.rate for stage, _ in found], ALONE: [peer.rate for _, peer in found]}),
        target_ratio=TARGET_RATIO,
        others={
            "CPU of this process, archive, µs a document": statistics.median(stage.own for stage, _ in found),
            "CPU of this process, _bulk_docs alone, µs a document": statistics.median(peer.own for _, peer in found),
            "CPU of the server, archive, µs a document": statistics.median(stage.server for stage, _ in found),
            "CPU of the server, _bulk_docs alone, µs a document": statistics.median(peer.server for _, peer in found),
            "peak memory of this process, which also made the positions, MB": _memory_mb(),
        },
    ).show(quick=quick, results=results)


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of a round."""

    rate: float
    """Documents a second."""
    own: float
    """CPU time of this process, in microseconds a document."""
    server: float
    """That of the server; 0 where it is not known."""


class Measuring:
    """Wall clock and CPU time from here on."""

    def __init__(self, server_pid: int | None) -> None:
        self._server_pid = server_pid
        self._started, self._own, self._server = perf_counter(), process_time(), _cpu_seconds(server_pid)

    def ends(self, documents: int) -> Measured:
        """What was used for so many documents."""
        return Measured(
            documents / (perf_counter() - self._started),
            (process_time() - self._own) / documents * 1e6,
            (_cpu_seconds(self._server_pid) - self._server) / documents * 1e6,
        )


def _cpu_seconds(pid: int | None) -> float:
    """What a process of this machine has used so far, proc(5); 0 where there is none."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _rounds(
    address: str, url: str, *, count: int, rounds: int, profile: Path | None, server_pid: int | None
) -> list[tuple[Measured, Measured]]:
    positions = _positions(count)
    bodies = [msgspec.json.encode({"docs": [to_document(each) for each in batch]}) for batch in _batches(positions)]
    if profile:
        profiler = cProfile.Profile()
        await _stage(address, url, positions, None, profiler)
        profiler.dump_stats(profile)
        return []
    # Once for nothing: a server in JavaScript gets faster while it runs.
    await _stage(address, url, positions, None)
    await _alone(url, bodies, None)
    found = []
    # Each goes first as often as the other, in an order that no other rhythm of the machine has.
    stage_first = [bool(number % 2) for number in range(rounds)]
    random.shuffle(stage_first)
    for first in stage_first:
        if first:
            stage = await _stage(address, url, positions, server_pid)
            found.append((stage, await _alone(url, bodies, server_pid)))
        else:
            peer = await _alone(url, bodies, server_pid)
            found.append((await _stage(address, url, positions, server_pid), peer))
    return found


async def _stage(
    address: str,
    url: str,
    positions: list[Position],
    server_pid: int | None,
    profiler: cProfile.Profile | None = None,
) -> Measured:
    """From the first read to the last acknowledgement."""
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(open_redis(CommonSettings(redis_url=address)))
        store = CloudantStore(url=url, database=f"bench-{uuid4()}")
        resources.callback(store.close)
        await store.setup()
        left = await _append(client, positions)
        group = Group(
            client=client,
            stream=keys_of(0, 1).positions,
            group=ARCHIVE_GROUP,
            consumer="bench",
            claim_after_ms=60_000,
        )
        archiver = Archiver(
            dead_letters=DeadLetters(client, partitions=1),
            group=group,
            store=store,
            clock=system_clock,
            metrics=DecoderMetrics(),
            dead_letters_max=1000,
        )
        await group.create()
        batch = DecoderSettings().archive_batch
        if profiler:
            profiler.enable()
        measuring = Measuring(server_pid)
        while left:
            entries = await group.read(batch)
            await archiver(entries)
            left -= len(entries)
        measured = measuring.ends(len(positions))
        if profiler:
            profiler.disable()
        if await store.count() != len(positions):
            raise AssertionError("documents are missing")
        await store.drop_before(system_clock() + 100 * 86_400_000)
    return measured


async def _alone(url: str, bodies: list[bytes], server_pid: int | None) -> Measured:
    """Requests and nothing else."""
    prefix = f"bench-{uuid4()}"
    store = CloudantStore(url=url, database=prefix)
    await store.setup()
    name = f"{prefix}-{month_of(system_clock())}"
    client: Any = CloudantV1.new_instance()
    client.set_service_url(url)

    def post(body: bytes) -> int:
        rows = client.post_bulk_docs(name, io.BytesIO(body)).get_result()
        return sum("error" not in row for row in rows)

    with ThreadPoolExecutor(max_workers=PUTS) as threads:
        measuring = Measuring(server_pid)
        stored = sum(await asyncio.gather(*(asyncio.wrap_future(threads.submit(post, body)) for body in bodies)))
        measured = measuring.ends(stored)
    if stored != await store.count():
        raise AssertionError("documents are missing")
    await store.drop_before(system_clock() + 100 * 86_400_000)
    store.close()
    return measured


async def _append(client: Redis, positions: list[Position]) -> int:
    """How many entries they make."""
    await client.flushall()
    for batch in _batches(positions, ENTRY_POSITIONS):
        await client.xadd(keys_of(0, 1).positions, {"d": encode_positions(batch)})
    return await client.xlen(keys_of(0, 1).positions)


def _batches(positions: list[Position], size: int = BATCH_DOCUMENTS) -> Iterator[list[Position]]:
    rest = iter(positions)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _positions(count: int) -> list[Position]:
    """As observe makes them: many devices, all of them now."""
    now = system_clock()
    return [
        Position(
            kind=MOBILE,
            device=f"{number % 5000:032x}",
            observed_at=now - number // 5000,
            received_at=now,
            longitude=-8.5701,
            latitude=52.6741,
            zones=("main", "library"),
            cell="gc3gsuxx",
            accuracy=4.5,
            speed=1.4,
            fence="0123456789abcdef",
        )
        for number in range(count)
    ]


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
