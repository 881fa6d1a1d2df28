"""The system under the same traffic: decoders that are killed, and what they leave in Redis and the stores."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from redis.asyncio import Redis

import documents
import timeseries
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.settings import DecoderSettings
from documents import Document
from runtime.settings import CommonSettings
from state.client import open_redis
from state.cluster import ClusterClient
from state.dead_letters import DeadLetters, Which
from state.durability import Durability, Writes
from state.server import masters
from state.slots import partition_of
from state.status import read_status
from tests import raw_streams
from tests.conftest import eventually
from tests.oracle.backlog import BACKLOG, holders, is_observed, stages, waiting
from tests.oracle.naive import Content, Truth, Window, load_shapes
from timeseries import Width

KEY = b"o" * 32
CHUNK = 25
"""Messages that arrive at once."""
PATIENCE_SECONDS = 60.0
FOREVER_MS = 2**45
"""A year after 3000."""


class Decoder(Protocol):
    """A decoder that can be killed."""

    def check(self) -> None:
        """Fail if it has ended by itself."""

    async def kill(self) -> None:
        """End it without a warning, whatever it is doing; nothing where it has ended already."""

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""


Start = Callable[[str], Awaitable[Decoder]]
"""Starts a decoder of that DECODER_NAME."""


@dataclass(frozen=True, slots=True)
class Run:
    """How many work, and what happens to them."""

    decoders: int
    partitions: int
    kills: int = 0
    """How many times one of them is killed while messages arrive; another starts at once."""
    outages: int = 0
    """How many times Redis goes away, and comes back, while messages arrive."""
    returns: bool = True
    """Whether that has the same name, and so takes up what was left; if not, the others must claim it."""
    seed: int = 0
    """Decides who is killed, and when."""


async def nothing() -> None:
    """What happens in between by default."""
    await asyncio.sleep(0)


async def no_outage() -> None:
    """For runs without any."""
    raise AssertionError("this Redis cannot be restarted")


async def work(
    run: Run,
    client: Redis,
    messages: Sequence[RawMessage],
    start: Start,
    *,
    wait: Callable[[], Awaitable[object]] = nothing,
    outage: Callable[[], Awaitable[object]] = no_outage,
) -> None:
    """Deliver the messages to decoders, and return when all of them have stopped after the last document.

    Windows may be left to roll up: those which somebody who was killed had claimed. `wait` is awaited in between,
    `outage` beside messages that arrive: it takes Redis away, and returns when it is back.
    """
    names = [f"decoder-{number}" for number in range(run.decoders)]
    decoders = {name: await start(name) for name in names}
    try:
        await _deliver(run, client, messages, decoders, start, wait, outage)
        await asyncio.gather(*(decoder.stop() for decoder in decoders.values()))
    finally:
        await asyncio.gather(*(decoder.kill() for decoder in decoders.values()))


async def _deliver(
    run: Run,
    client: Redis,
    messages: Sequence[RawMessage],
    decoders: dict[str, Decoder],
    start: Start,
    wait: Callable[[], Awaitable[object]],
    outage: Callable[[], Awaitable[object]],
) -> None:
    random = Random(run.seed)  # noqa: S311 - to be repeatable, not secret
    chunks = [messages[first : first + CHUNK] for first in range(0, len(messages), CHUNK)]
    deadly = Counter(random.randrange(len(chunks)) for _ in range(run.kills))
    away = {random.randrange(len(chunks)) for _ in range(run.outages)}
    ever = run.decoders

    async def keeping_up() -> bool:
        for decoder in decoders.values():
            decoder.check()
        return await waiting(client, run.partitions) < BACKLOG

    async def done() -> bool:
        await wait()
        return await keeping_up() and await is_observed(client, run.partitions)

    for number, chunk in enumerate(chunks):
        await asyncio.gather(append(client, chunk, run.partitions), *([outage()] if number in away else []))
        for _ in range(deadly[number]):
            victim = random.choice(await _busy(client, run.partitions, decoders))
            for _ in range(random.randrange(8)):
                await asyncio.sleep(0)  # some way further, where it is a task of this very loop
            await decoders.pop(victim).kill()
            name = victim if run.returns else f"decoder-{ever}"
            decoders[name] = await start(name)
            ever += 1
        await eventually(keeping_up, limit=PATIENCE_SECONDS)
        await wait()
    await eventually(done, limit=PATIENCE_SECONDS)


async def _busy(client: Redis, partitions: int, alive: Iterable[str]) -> list[str]:
    """The names of those that have something in hand; once there is nothing left to do, of all."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_observed(client, partitions):
            busy = {name for stream, group in stages(partitions) for name in await holders(client, stream, group)}
            if found := sorted(busy.intersection(alive)):
                return found
            await asyncio.sleep(0.001)
    return sorted(alive)


async def append(client: Redis, messages: Sequence[RawMessage], partitions: int) -> None:
    """Add messages to the streams, as brokers do; all of them again if Redis did not answer, as publishers do."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await _append(client, messages, partitions)
            except UnavailableError:
                await asyncio.sleep(0.02)
            else:
                return


async def _append(client: Redis, messages: Sequence[RawMessage], partitions: int) -> None:
    # Of a cluster masters may be killed: what was accepted has to be where the next one has it.
    replicated = isinstance(client, ClusterClient)
    writes = Writes(client, durability=Durability.REPLICATED if replicated else Durability.ACCEPTED)
    parts: dict[int, list[RawMessage]] = {}
    for message in messages:
        # Who has no name may come through any broker's connection the next time.
        sender = message.user or str(zlib.crc32(message.payload))
        parts.setdefault(partition_of(sender, partitions), []).append(message)
    for partition, part in parts.items():
        await raw_streams.append(client, *part, partition=partition, partitions=partitions, writes=writes)


@dataclass(frozen=True, slots=True)
class Found:
    """What the system came to."""

    documents: dict[str, Content]
    windows: dict[Window, int]
    totals: dict[str, int]
    letters: dict[str, int]
    """Dead letters that are kept, by reason."""


async def read(client: Redis, settings: DecoderSettings) -> Found:
    """All that is in Redis and in the stores."""
    async with documents.open_store(settings) as archive, timeseries.open_store(settings) as series:
        found = {document["_id"]: _content(document) async for document in archive.scan()}
        windows = {
            (width.value, point.window.start, zone, str(kind)): point.devices
            for zone in load_shapes()
            for kind in DEFAULT_KINDS.ids
            for width in Width
            for point in await series.history(zone=zone, kind=kind, width=width, start=0, end=FOREVER_MS)
            # A window in which nothing was seen may be there or not.
            if point.devices
        }
    letters = Counter[str]()
    async for _, letter in DeadLetters(client, partitions=settings.partitions).newest(Which()):
        letters[f"dead:{letter.reason}"] += 1
    return Found(found, windows, (await read_status(client, settings.partitions)).totals, dict(letters))


def _content(document: Document) -> Content:
    properties = document["properties"]
    return Content(
        properties["kind"],
        properties["device"],
        tuple(document["geometry"]["coordinates"]),
        tuple(properties["zones"]),
        properties["observed_at"],
        properties["received_at"],
        properties.get("accuracy"),
        properties.get("speed"),
        properties.get("heading"),
        properties.get("inaccurate", False),
    )


def differences(found: Found, truth: Truth, *, exact_totals: bool) -> list[str]:
    """What is wrong, a sentence each; nothing where all is well.

    Without `exact_totals` they may be too high: what was appended without an answer was appended again.
    """
    expected = {window: len(devices) for window, devices in truth.windows.items()}
    wrong = [f"no document {name}" for name in truth.documents.keys() - found.documents.keys()]
    wrong += [f"a document of nothing: {name}" for name in found.documents.keys() - truth.documents.keys()]
    wrong += [
        f"document {name} says {content}, not one of {truth.documents[name]}"
        for name, content in found.documents.items()
        if name in truth.documents and content not in truth.documents[name]
    ]
    wrong += [
        f"window {window} has {found.windows.get(window, 0)} devices, not {expected.get(window, 0)}"
        for window in expected.keys() | found.windows.keys()
        if found.windows.get(window, 0) != expected.get(window, 0)
    ]
    totals = Counter({**truth.totals, "accepted": truth.totals["messages"], "finished": truth.totals["messages"]})
    # Entries that were taken apart are no fault.
    for counts in ({**found.totals, "split": 0}, {**totals, **found.letters}):
        for name in totals.keys() | counts.keys():
            is_right = counts.get(name, 0) == totals[name]
            if not is_right and (exact_totals or counts.get(name, 0) < totals[name] or not totals[name]):
                wrong.append(f"{name} is {counts.get(name, 0)}, not {totals[name]}")
    return wrong


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """A client of a Redis, or of a cluster, that is emptied."""
    async with open_redis(CommonSettings(redis_url=url)) as client:
        for master in await masters(client):
            await master.flushall()
        yield client
