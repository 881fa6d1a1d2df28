"""How many positions a second the stage archive writes, beside `_bulk_docs` alone against the same server.

python -m bench.archive                         five rounds of 20,000 positions: a table, and bench/results/archive.json
CLOUDANT_URL=... python -m bench.archive        against that server, with the SDK's own variables for the login
python -m bench.archive --profile archive.prof  one round of the stage alone, under cProfile

Each round lets the stage work off entries of a Redis of its own into an empty database, and sends the same documents,
made and encoded beforehand, to another empty one that has the same indexes: in as many requests at a time, of the same
size. Who goes first changes from round to round. Without CLOUDANT_URL the server is the double of the tests.
"""

import asyncio
import cProfile
import io
import itertools
import os
import resource
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import typer
import uvloop
from ibmcloudant.cloudant_v1 import CloudantV1

from bench.report import Report
from bench.servers import couchdb_double, redis_server
from core import streams
from core.clock import system_clock
from core.messages import Kind, Position, encode_positions
from core.redis import Redis, open_redis
from core.settings import CommonSettings
from decoder.archive import Archiver
from decoder.group import Group
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from documents import to_document
from documents.cloudant import BATCH_DOCUMENTS, PUTS, CloudantStore
from documents.months import month_of

TARGET_RATIO = 0.8
ENTRY_POSITIONS = 500
"""Positions in one entry of the stream: what observe makes of a batch under load."""


def main(
    *,
    positions: Annotated[int, typer.Option(min=1000, max=1_000_000, help="Positions in a round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 5,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of one round of the stage here.")] = None,
) -> None:
    """Measure the stage archive. Needs redis-server, and Node.js or CLOUDANT_URL."""
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as folder, redis_server(Path(folder)) as address:
        url = os.environ.get("CLOUDANT_URL")
        if url:
            found = uvloop.run(_rounds(address, url, positions, rounds, profile))
        else:
            with couchdb_double() as double:
                os.environ.update(double.environment)
                found = uvloop.run(_rounds(address, double.url, positions, rounds, profile))
    if profile:
        return
    Report(
        name="archive",
        title=f"{positions:,} positions, {BATCH_DOCUMENTS} to a request, {PUTS} requests at a time",
        unit="documents/s",
        measured="archive, from Redis",
        rates=[stage for stage, _ in found],
        peer="_bulk_docs alone",
        peer_rates=[peer for _, peer in found],
        target_ratio=TARGET_RATIO,
        others={
            "peak memory of this process, which also made the positions, MB": _memory_mb(),
        },
    ).show()


async def _rounds(address: str, url: str, count: int, rounds: int, profile: Path | None) -> list[tuple[float, float]]:
    positions = _positions(count)
    bodies = [msgspec.json.encode({"docs": [to_document(each) for each in batch]}) for batch in _batches(positions)]
    if profile:
        profiler = cProfile.Profile()
        await _stage(address, url, positions, profiler)
        profiler.dump_stats(profile)
        return []
    # Once for nothing: a server in JavaScript gets faster while it runs.
    await _stage(address, url, positions)
    await _alone(url, bodies)
    found = []
    for number in range(rounds):
        if number % 2:
            peer = await _alone(url, bodies)
            found.append((await _stage(address, url, positions), peer))
        else:
            stage = await _stage(address, url, positions)
            found.append((stage, await _alone(url, bodies)))
    return found


async def _stage(address: str, url: str, positions: list[Position], profiler: cProfile.Profile | None = None) -> float:
    """Documents a second, from the first read to the last acknowledgement."""
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(open_redis(CommonSettings(redis_url=address)))
        store = CloudantStore(url=url, database=f"bench-{uuid4()}")
        resources.callback(store.close)
        await store.setup()
        left = await _append(client, positions)
        group = Group(
            client=client,
            stream=streams.positions(0),
            group=streams.ARCHIVE_GROUP,
            consumer="bench",
            claim_after_ms=60_000,
        )
        archiver = Archiver(
            client=client,
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
        started = perf_counter()
        while left:
            entries = await group.read(batch)
            await archiver(entries)
            left -= len(entries)
        seconds = perf_counter() - started
        if profiler:
            profiler.disable()
        if await store.count() != len(positions):
            raise AssertionError("documents are missing")
        await store.drop_before(system_clock() + 100 * 86_400_000)
    return len(positions) / seconds


async def _alone(url: str, bodies: list[bytes]) -> float:
    """Documents a second of requests and nothing else."""
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
        started = perf_counter()
        stored = sum(await asyncio.gather(*(asyncio.wrap_future(threads.submit(post, body)) for body in bodies)))
        seconds = perf_counter() - started
    if stored != await store.count():
        raise AssertionError("documents are missing")
    await store.drop_before(system_clock() + 100 * 86_400_000)
    store.close()
    return stored / seconds


async def _append(client: Redis, positions: list[Position]) -> int:
    """How many entries they make."""
    await client.flushall()
    for batch in _batches(positions, ENTRY_POSITIONS):
        await client.xadd(streams.positions(0), {"d": encode_positions(batch)})
    return await client.xlen(streams.positions(0))


def _batches(positions: list[Position], size: int = BATCH_DOCUMENTS) -> Iterator[list[Position]]:
    rest = iter(positions)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _positions(count: int) -> list[Position]:
    """As observe makes them: many devices, all of them now."""
    now = system_clock()
    return [
        Position(
            kind=Kind.MOBILE,
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
