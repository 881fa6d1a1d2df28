"""What one pipeline does in one round: how much it takes, how soon a document is there, what it loses."""

import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.pipelines.load import Load
from bench.pipelines.parts import Part
from bench.pipelines.pipeline import CONSUMER, Pipeline, Place
from core.clock import system_clock
from tests.couchdb.double import CouchDouble

STORED_SECONDS = 90.0
"""What is not stored after so long a silence is lost; decoders of ours claim what one that died left after 60 s."""
DRAINED_SECONDS = 4.0
"""After so long a silence nothing more of a rate comes that was too high."""
GROWS_SECONDS = 0.75
"""The messages of so long may wait at the end of a step; more: the backlog grows."""
STEP = 1.3
FIRST_STEP = 2.0
"""Until a first rate was too high, from which on it goes down by `STEP`."""
LEAST_RATE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    first_rate: float = 200.0
    seconds: float = 3.0
    """Of each rate."""
    steps: int = 12
    probes: int = 15
    calm_rate: float = 50.0
    """Messages/s while documents are waited for, and while things are killed."""
    away: float = 10.0
    """Seconds without the consumer."""
    store_away: float = 60.0


@dataclass(slots=True, kw_only=True)
class Round:
    """What one round found."""

    most: float = 0.0
    """Messages/s that it kept up with."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds for a million messages at that rate, by role; the store's by itself."""
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes in memory after that, by role."""
    visible: float = 0.0
    """Median of ms from a PUBLISH until its document is in the store, at the calm rate."""
    visible_p95: float = 0.0
    lost_consumer: int = 0
    """Acknowledged positions that never became documents, after the consumer was killed, and started again."""
    lost_store: int = 0
    """The same after the store had not answered for a minute: stopped, as a machine is that swaps."""
    sent_consumer: int = 0
    """Positions that were acknowledged in the first of these trials."""
    sent_store: int = 0


@dataclass(slots=True)
class Up:
    """A pipeline that runs, and has stored a first position."""

    pipeline: Pipeline
    place: Place
    parts: Sequence[Part]
    client: httpx.AsyncClient
    load: Load
    base: int = 0

    async def stored(self) -> int:
        """Documents of positions so far."""
        return await self.pipeline.stored(self.client, self.place) - self.base

    async def until_stored(self, count: int, seconds: float) -> int:
        """Wait for so many documents, as long as any come within `seconds`; how many there are then."""
        found, until = await self.stored(), time.monotonic() + seconds
        while found < count and time.monotonic() < until:
            await asyncio.sleep(0.1)
            if (now := await self.stored()) > found:
                found, until = now, time.monotonic() + seconds
        return found

    def cpu(self) -> dict[str, float]:
        """Seconds so far, by role."""
        found: dict[str, float] = {}
        for part in self.parts:
            found[part.role] = found.get(part.role, 0.0) + part.cpu()
        return found

    def part(self, role: str) -> Part:
        """The one of this role."""
        return next(part for part in self.parts if part.role == role)


async def speed(pipeline: Pipeline, sizes: Sizes, last: float | None = None) -> Round:
    """How soon a document is there, and how much it takes; `last` is the rate that an earlier round found."""
    found = Round()
    async with _up(pipeline) as up:
        await _visible(up, sizes, found)
        await _most(up, sizes, found, last)
    return found


async def losses(pipeline: Pipeline, sizes: Sizes) -> Round:
    """What is lost without the consumer, and without the store; each with a pipeline of its own, fresh."""
    found = Round()
    async with _up(pipeline) as up:
        await _without_consumer(up, sizes, found)
    if pipeline.has_store_apart:
        async with _up(pipeline) as up:
            await _without_store(up, sizes, found)
    return found


_STARTING = threading.Lock()


@asynccontextmanager
async def _up(pipeline: Pipeline) -> AsyncIterator[Up]:
    with tempfile.TemporaryDirectory(prefix="bench-pipe-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Mosquitto reads its settings as a user of its own.
        os.chmod(name, 0o755)  # noqa: PTH101, S103 - at once, and nothing in it is secret
        with CouchDouble() as couchdb, ExitStack() as until_up:
            # Where several start at the same time, each finds its ports before the next one looks.
            until_up.enter_context(_STARTING)
            place = Place(folder=folder, couchdb=couchdb)
            parts = pipeline.parts(place)
            try:
                for part in parts:
                    part.start()
                async with (
                    httpx.AsyncClient(timeout=30) as client,
                    Load(pipeline.port, pipeline.topic, system_clock() - 3_600_000) as load,
                ):
                    up = Up(pipeline, place, parts, client, load)
                    await _first(up)
                    until_up.close()
                    yield up
            finally:
                pipeline.close()
                for part in reversed(parts):
                    part.kill()


async def _first(up: Up) -> None:
    """Send until a position is stored: then all have subscribed, and databases and their designs are there."""
    before = await _count(up)
    until = time.monotonic() + STORED_SECONDS
    while await _count(up) == before:
        if time.monotonic() > until:
            raise RuntimeError(f"{up.pipeline.name}: nothing is stored: {up.part(CONSUMER).told()}")
        up.load.send()
        await asyncio.sleep(0.5)
    # Whatever was sent meanwhile may still come; after a while of silence nothing more does.
    quiet = 0
    last = await _count(up)
    while quiet < 10:  # noqa: PLR2004 - a second
        await asyncio.sleep(0.1)
        now = await _count(up)
        quiet, last = (quiet + 1, last) if now == last else (0, now)
    up.base = last
    await up.load.restart(system_clock() - 1_800_000)


async def _count(up: Up) -> int:
    try:
        return await up.pipeline.stored(up.client, up.place)
    except (httpx.HTTPError, OSError):
        return 0


async def _visible(up: Up, sizes: Sizes, found: Round) -> None:
    waits = []
    for _ in range(sizes.probes):
        started, count = time.perf_counter(), up.load.sent + 1
        up.load.send()
        async with asyncio.timeout(STORED_SECONDS):
            while await up.stored() < count:
                pass
        waits.append((time.perf_counter() - started) * 1000)
    found.visible = statistics.median(waits)
    found.visible_p95 = statistics.quantiles(waits, n=20)[18]


async def _most(up: Up, sizes: Sizes, found: Round, last: float | None) -> None:
    first, factor = (last, STEP) if last else (sizes.first_rate, FIRST_STEP)
    await highest(lambda rate: _keeps_up(up, rate, sizes, found), first, factor, sizes.steps)


async def highest(keeps_up: Callable[[float], Awaitable[bool]], first: float, factor: float, steps: int) -> None:
    """Ask for rates up from `first` until one is too high, then down by `STEP` until one is kept up with."""
    rate, best = first, 0.0
    while steps and await keeps_up(rate):
        best, rate, steps = rate, rate * factor, steps - 1
    rate /= STEP
    # Down to what it has kept up with already, or to nothing.
    while steps and rate > max(LEAST_RATE, best * (STEP + 1) / 2) and not await keeps_up(rate):
        rate, steps = rate / STEP, steps - 1


async def _keeps_up(up: Up, rate: float, sizes: Sizes, found: Round) -> bool:
    before, sent = up.cpu(), up.load.sent
    await up.load.run(rate, sizes.seconds)
    waiting = up.load.sent - await up.stored()
    count = up.load.sent - sent
    memory = {role: sum(part.memory() for part in up.parts if part.role == role) for role in before}
    # Where brokers drop what waits too long for a subscriber, that never comes, and is not waited for again.
    up.base -= up.load.sent - await up.until_stored(up.load.sent, DRAINED_SECONDS)
    if waiting > rate * GROWS_SECONDS:
        return False
    found.most, found.memory = rate, memory
    found.cpu = {role: (now - before[role]) / count * 1e6 for role, now in up.cpu().items()}
    return True


async def _without_consumer(up: Up, sizes: Sizes, found: Round) -> None:
    consumer = up.part(CONSUMER)
    await up.load.run(sizes.calm_rate, sizes.away / 2)
    # Nobody else may find its ports free meanwhile.
    with _STARTING:
        consumer.kill()
        await up.load.run(sizes.calm_rate, sizes.away)
        consumer.start()
        await up.load.run(sizes.calm_rate, sizes.away / 2)
    found.lost_consumer = await _lost(up)
    found.sent_consumer = up.load.acknowledged


async def _without_store(up: Up, sizes: Sizes, found: Round) -> None:
    await up.load.run(sizes.calm_rate, sizes.away / 2)
    up.pipeline.stop_store(up.place)
    await up.load.run(sizes.calm_rate, sizes.store_away)
    up.pipeline.start_store(up.place)
    await up.load.run(sizes.calm_rate, sizes.away / 2)
    found.lost_store = await _lost(up)
    found.sent_store = up.load.acknowledged


async def _lost(up: Up) -> int:
    await up.load.settled()
    return up.load.acknowledged - await up.until_stored(up.load.acknowledged, STORED_SECONDS)
