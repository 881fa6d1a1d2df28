"""GeoJSON text sequences (RFC 8142): one feature after the other, for answers of any size."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from starlette.responses import StreamingResponse
from starlette.types import Send

from documents import DocumentStore, Page, PositionQuery

MEDIA_TYPE = "application/geo+json-seq"
PAGE = 500
"""Documents that one stream has in memory, and writes at a time."""
STALLED_SECONDS = 30.0
"""How long a reader may take for that much; one that is slower is cut off."""
Given = Callable[[Page], Awaitable[list[dict[str, Any]]]]
"""Makes features of the documents of a page."""
_RECORD, _END = b"\x1e", b"\n"

_log = structlog.stdlib.get_logger("positions")


class GeoJsonSequence(StreamingResponse):
    """A sequence whose reader is waited for, but not for ever."""

    media_type = MEDIA_TYPE

    def __init__(self, chunks: AsyncIterator[bytes], *, headers: Mapping[str, str]) -> None:
        super().__init__(chunks, headers={"X-Content-Type-Options": "nosniff", **headers})

    async def stream_response(self, send: Send) -> None:
        """Write all chunks; a failure leaves the answer without its end, so that nobody takes it for whole."""

        async def sending(message: Mapping[str, object]) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(dict(message))

        await super().stream_response(sending)


async def sequence(
    store: DocumentStore, query: PositionQuery, *, first: Page, limit: int | None, given: Given
) -> AsyncIterator[bytes]:
    """What a query finds as records, the newest first, a page in memory at a time; `first` is the first page.

    `given` makes features of a page. `limit` is how many at the most, None for all. Raises UnavailableError where a
    store goes away in the middle.
    """
    page, left = first, limit
    while True:
        if page.documents:
            yield records(await given(page))
        left = None if left is None else left - len(page.documents)
        if page.cursor is None or left == 0:
            return
        page = await store.find(query, limit=page_size(left), cursor=page.cursor)


def page_size(left: int | None) -> int:
    """How many documents to ask for where so many are left to give; None: all."""
    return PAGE if left is None else min(PAGE, left)


def records(features: list[dict[str, Any]]) -> bytes:
    """Features as records: each between a record separator and a line feed (RFC 8142, section 2)."""
    return b"".join(_RECORD + msgspec.json.encode(each) + _END for each in features)
