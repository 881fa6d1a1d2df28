"""The system under the same traffic: decoders that are killed, and what they leave in Redis and the stores."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, cast

from redis.asyncio import Redis

import documents
import timeseries
from core import streams
from core.messages import DeadLetter, Kind, RawMessage
from core.status import read_status
from decoder.settings import DecoderSettings
from documents import Document
from tests.conftest import WAIT_SECONDS, eventually
from tests.oracle.naive import Content, Truth, Window, load_shapes
from timeseries import Width

KEY = b"o" * 32
CHUNK = 25
"""Messages that arrive at once."""
BACKLOG = 500
"""Messages that may wait for a decoder before more arrive, so that there is always work and never all of it."""
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
    returns: bool = True
    """Whether that has the same name, and so takes up what was left; if not, the others must claim it."""
    seed: int = 0
    """Decides who is killed, and when."""


async def work(
    run: Run,
    client: Redis,
    messages: Sequence[RawMessage],
    start: Start,
    *,
    wait: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0),
) -> None:
    """Deliver the messages to decoders, and return when all of them have stopped after the last document.

    Windows may be left to roll up: those which somebody who was killed had claimed. `wait` is awaited in between.
    """
    names = [f"decoder-{number}" for number in range(run.decoders)]
    decoders = {name: await start(name) for name in names}
    try:
        await _deliver(run, client, messages, decoders, start, wait)
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
) -> None:
    random = Random(run.seed)  # noqa: S311 - to be repeatable, not secret
    chunks = [messages[first : first + CHUNK] for first in range(0, len(messages), CHUNK)]
    deadly = Counter(random.randrange(len(chunks)) for _ in range(run.kills))
    ever = run.decoders

    async def keeping_up() -> bool:
        for decoder in decoders.values():
            decoder.check()
        return await waiting(client, run.partitions) < BACKLOG

    async def done() -> bool:
        await wait()
        return await keeping_up() and await is_observed(client, run.partitions)

    for number, chunk in enumerate(chunks):
        await append(client, chunk, run.partitions)
        for _ in range(deadly[number]):
            victim = random.choice(await _busy(client, run.partitions, decoders))
            for _ in range(random.randrange(8)):
                await asyncio.sleep(0)  # some way further, where it is a task of this very loop
            await decoders.pop(victim).kill()
            name = victim if run.returns else f"decoder-{ever}"
            decoders[name] = await start(name)
            ever += 1
        await eventually(keeping_up)
        await wait()
    await eventually(done, limit=60)


async def _busy(client: Redis, partitions: int, alive: Iterable[str]) -> list[str]:
    """The names of those that have something in hand; once there is nothing left to do, of all."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await is_observed(client, partitions):
            holders = {name for stream, group in _groups(partitions) for name in await _holders(client, stream, group)}
            if found := sorted(holders.intersection(alive)):
                return found
    return sorted(alive)


async def _holders(client: Redis, stream: str, group: str) -> list[str]:
    if not await _last_delivered(client, stream, group):
        return []
    pending = cast("Any", await client.xpending(stream, group))
    return [consumer["name"].decode() for consumer in pending["consumers"]]


async def append(client: Redis, messages: Sequence[RawMessage], partitions: int) -> None:
    """Add messages to the streams, as brokers do."""
    async with client.pipeline(transaction=False) as pipeline:
        for message in messages:
            # Who has no name may come through any broker's connection the next time.
            sender = message.user or str(zlib.crc32(message.payload))
            pipeline.xadd(streams.raw(streams.partition_of(sender, partitions)), cast("Any", message.encode()))
        await pipeline.execute()


async def waiting(client: Redis, partitions: int) -> int:
    """Messages that nobody has read yet; beyond BACKLOG in a partition it does not count on."""
    return sum(
        [await _undelivered(client, streams.raw(partition), streams.OBSERVE_GROUP) for partition in range(partitions)]
    )


async def is_observed(client: Redis, partitions: int) -> bool:
    """Whether each message has had its effects, and each position its document."""
    for stream, group in _groups(partitions):
        if await _undelivered(client, stream, group) or await _holders(client, stream, group):
            return False
    return True


def _groups(partitions: int) -> list[tuple[str, str]]:
    """Stream and group: first of the messages, then of the positions that come of them."""
    stages = (streams.raw, streams.OBSERVE_GROUP), (streams.positions, streams.ARCHIVE_GROUP)
    return [(stream(partition), group) for stream, group in stages for partition in range(partitions)]


async def _undelivered(client: Redis, stream: str, group: str) -> int:
    last = await _last_delivered(client, stream, group)
    return len(await client.xrange(stream, min=f"({last}", count=BACKLOG) or []) if last else 1


async def _last_delivered(client: Redis, stream: str, group: str) -> str | None:
    """None before there is such a group."""
    groups = cast("Any", await client.xinfo_groups(stream)) if await client.exists(stream) else []
    return next((found["last-delivered-id"].decode() for found in groups if found["name"] == group.encode()), None)


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
            (width.value, point.window.start, zone, kind.value): point.devices
            for zone in load_shapes()
            for kind in Kind
            for width in Width
            for point in await series.history(zone=zone, kind=kind, width=width, start=0, end=FOREVER_MS)
            # A window in which nothing was seen may be there or not.
            if point.devices
        }
    letters = Counter[str]()
    for _, fields in cast("Any", await client.xrange(streams.DEAD)):
        letters[f"dead:{DeadLetter.decode(fields).reason}"] += 1
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
    )


def differences(found: Found, truth: Truth, *, exact_totals: bool) -> list[str]:
    """What is wrong, a sentence each; nothing where all is well.

    Without `exact_totals` they may be too high: two decoders may have had the same batch (core/streams.py).
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
    for counts in (found.totals, {**truth.totals, **found.letters}):
        for name in truth.totals.keys() | counts.keys():
            is_right = counts.get(name, 0) == truth.totals[name]
            if not is_right and (exact_totals or counts.get(name, 0) < truth.totals[name] or not truth.totals[name]):
                wrong.append(f"{name} is {counts.get(name, 0)}, not {truth.totals[name]}")
    return wrong


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """A client of a Redis that is emptied."""
    async with Redis.from_url(url) as client:
        await client.flushall()
        yield client
