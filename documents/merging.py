"""Documents from several sources as one answer, the newest first, with little of it in memory."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

from documents.document import Document
from documents.query import Mark, Page, PositionQuery

Source = AsyncIterator[Document]
"""Documents, the newest first."""
Fetch = Callable[[Mark, int], Awaitable[list[Document]]]
"""The next documents below a mark, the newest first: fewer than asked for only if there are no more."""
Field = Literal["zone", "device", "tile"]
"""What documents are indexed by, each together with the event time."""

LOOKED_AT_MAX = 10_000
"""Documents that one page looks at, at the most, however few of them match."""
FETCH_MIN = 50
"""Documents to one question at the least: tiles share what a page needs, but not down to single ones."""


async def fetched(fetch: Fetch, below: Mark, count: int) -> Source:
    """All that a fetch gives, `count` of it in memory at a time."""
    while found := await fetch(below, count):
        for document in found:
            yield document
        if len(found) < count:
            return
        below = Mark.of(found[-1])


def candidates(query: PositionQuery, count: int, source: Callable[[Field, str, int], Source]) -> Source:
    """What the best index for a query leads to; `source` opens one entry of an index, so many documents at a time."""
    if query.device:
        return source("device", query.device, count)
    if query.zone and not (query.bbox or query.cells):
        return source("zone", query.zone, count)
    tiles = sorted(query.tiles)
    share = max(count // max(len(tiles), 1), FETCH_MIN)
    return merged([source("tile", tile, share) for tile in tiles])


async def merged(sources: Sequence[Source]) -> Source:
    """Several sources as one."""
    heads: list[tuple[int, tuple[int, ...], int, Document]] = []

    async def advance(number: int) -> None:
        document = await anext(sources[number], None)
        if document is not None:
            mark = Mark.of(document)
            # A heap gives the smallest: so times are negative, and ids with their characters turned over.
            heapq.heappush(heads, (-mark.observed_at, _turned(mark.id), number, document))

    await asyncio.gather(*map(advance, range(len(sources))))
    while heads:
        _, _, number, document = heapq.heappop(heads)
        yield document
        await advance(number)


async def chained(sources: Sequence[Source]) -> Source:
    """Sources one after the other."""
    for source in sources:
        async for document in source:
            yield document


async def read_page(source: Source, query: PositionQuery, limit: int) -> Page:
    """The first `limit` of the documents that match, and where to go on."""
    found: list[Document] = []
    looked_at = 0
    async for document in source:
        if query.matches(document):
            if len(found) == limit:
                return Page(found, Mark.of(found[-1]).encode())
            found.append(document)
        looked_at += 1
        if looked_at == LOOKED_AT_MAX:
            return Page(found, Mark.of(document).encode())
    return Page(found, None)


def _turned(text: str) -> tuple[int, ...]:
    # Of two texts of which one begins with the other, the longer one comes first.
    return (*(-ord(character) for character in text), 1)
