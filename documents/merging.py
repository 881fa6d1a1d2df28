"""Documents from several sources as one answer, the newest first, with little of it in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

from documents.document import Document
from documents.query import LIMIT_MAX, Mark, Page, PositionQuery
from documents.tiles import tiles_of_box

Source = AsyncIterator[Document]
"""Documents, the newest first; where it says so, the oldest."""
Fetch = Callable[[Mark, int], Awaitable[list[Document]]]
"""The next documents below a mark, the newest first: fewer than asked for only if there are no more."""
Field = Literal["zone", "device", "tile"]
"""What documents are indexed by, each together with the event time."""

LOOKED_AT_MAX = 10_000
"""Documents that one page looks at, at the most, however few of them match."""
FETCH_MIN = 50
"""Documents to one question at the least: tiles share what a page needs, but not down to single ones."""


async def fetched(fetch: Fetch, below: Mark, count: int) -> Source:
    """All that a fetch gives, `count` of it in memory at first, then more: what matches may be far between."""
    while found := await fetch(below, count):
        for document in found:
            yield document
        if len(found) < count:
            return
        below = Mark.of(found[-1])
        count = max(count, min(2 * count, LIMIT_MAX))


def candidates(query: PositionQuery, count: int, source: Callable[[Field, str, int], Source]) -> Source:
    """What the best index for a query leads to; `source` opens one entry of an index, so many documents at a time.

    A campus has a few tiles and many zones, so an area comes last.
    """
    if query.device is not None:
        return source("device", query.device, count)
    if query.zone is not None:
        return source("zone", query.zone, count)
    tiles = sorted(tiles_of_box(query.bbox)) if query.bbox else []
    share = max(count // max(len(tiles), 1), FETCH_MIN)
    return merged([source("tile", tile, share) for tile in tiles])


async def merged(sources: Sequence[Source], *, newest_first: bool = True) -> Source:
    """Several sources as one, each of which gives the newest first, or the oldest."""
    first = max if newest_first else min
    heads: dict[int, tuple[Mark, Document]] = {}

    async def advance(number: int) -> None:
        heads.pop(number, None)
        document = await anext(sources[number], None)
        if document is not None:
            heads[number] = Mark.of(document), document

    await asyncio.gather(*map(advance, range(len(sources))))
    while heads:
        following = first(heads, key=lambda number: heads[number][0])
        yield heads[following][1]
        await advance(following)


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
        if query.matches(document) and (query.keeps is None or await query.keeps(document)):
            if len(found) == limit:
                return Page(found, Mark.of(found[-1]).encode())
            found.append(document)
        looked_at += 1
        if looked_at == LOOKED_AT_MAX:
            return Page(found, Mark.of(document).encode())
    return Page(found, None)
