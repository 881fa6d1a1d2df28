"""One stream of server-sent events: what a client has missed, then each change as it comes, until somebody ends it.

Nothing is queued for a client. It has a place in the change log, and what it is sent are bytes that all share. A client
that does not read is cut off once it has not taken what was sent for `SEND_SECONDS`, and one that reads too slowly once
its place is not kept any more.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.addresses import address_of
from api.http.head_middleware import HEAD
from api.http.metrics import ApiMetrics
from api.http.problems import ProblemError
from api.http.server import connection_of
from api.live import sse
from api.live.change_log import ChangeLog
from core.errors import UnavailableError

RETRY_MS = 2000
"""How long a client waits before it comes back."""
RETRY_AFTER_SECONDS = 5
SEND_SECONDS = 10.0
"""How long a client may take to read what was sent, before it is cut off."""
ALLOWED_SECONDS = 1.0
"""How often it is asked whether the client may still read."""
BUFFER_BYTES = 16 * 1024
"""What may wait in this process for one client, beyond one look; and the system is asked to hold no more than
`SOCKET_BYTES`, where it would let megabytes wait by itself."""
SOCKET_BYTES = 64 * 1024
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx, if one stands before us: pass on each event at once
    "X-Content-Type-Options": "nosniff",
}

_log = structlog.stdlib.get_logger("api")


def too_many_streams(most: int) -> ProblemError:
    """503 for a stream more than EVENTS_MAX_STREAMS."""
    return ProblemError(
        status=503,
        title="Too many streams",
        detail=f"This server has {most:,} event streams open, as many as it may. "
        f"Try again in {RETRY_AFTER_SECONDS} s, or ask GET /v1/occupancy from time to time.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def too_many_of_one_address(most: int) -> ProblemError:
    """429 for a stream more than one address may have."""
    return ProblemError(
        status=429,
        type_="/docs#too-many",
        title="Too many streams",
        detail=f"Your address has {most:,} event streams open, as many as one may: close some, or share one. "
        "One stream can follow all zones.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


class EventStream(Response):
    """The answer of GET /v1/events."""

    media_type = sse.MEDIA_TYPE

    def __init__(
        self,
        changes: ChangeLog,
        metrics: ApiMetrics,
        *,
        zones: frozenset[str] | None,
        last_event_id: str | None,
        heartbeat: float,
        most: int,
        share: float = 1.0,
        allowed: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Follow `zones`, or all where that is None, from `last_event_id` on if what came after is still kept.

        `heartbeat` is in seconds. One address may have `share` of the `most` streams. `allowed` raises a
        `Problem` once the client may not read any more.
        """
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._changes = changes
        self._metrics = metrics
        self._zones = zones
        self._last_event_id = last_event_id
        self._heartbeat = heartbeat
        self._most = most
        self._most_of_address = max(1, int(most * share))
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream until its client goes, or is cut off, or the server stops."""
        changes, address = self._changes, address_of(scope)
        if (refusal := self._refusal(address)) is not None:
            self._metrics.streams_refused.inc()
            await refusal.answer(scope["path"])(scope, receive, send)
            return
        changes.join(address)
        self._metrics.streams.set(changes.readers)
        gone = asyncio.create_task(_client_has_left(receive), name="client gone")
        try:
            await self._serve(scope, send, gone)
        except TimeoutError:
            await self._cut_off(scope, gone)
        finally:
            gone.cancel()
            changes.leave(address)
            self._metrics.streams.set(changes.readers)

    def _refusal(self, address: str) -> ProblemError | None:
        if self._changes.readers >= self._most:
            return too_many_streams(self._most)
        if self._changes.readers_at[address] >= self._most_of_address:
            return too_many_of_one_address(self._most_of_address)
        return None

    async def _serve(self, scope: Scope, send: Send, gone: asyncio.Task[None]) -> None:
        _hold_little(scope)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if HEAD not in scope.get("extensions", {}):
            await self._follow(send, gone)
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})

    async def _follow(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Send until the client has gone or may not read any more, or the log is closed. TimeoutError: it is slow."""
        changes = self._changes
        place, data = self._begin()
        sent = asked = changes.elapsed()
        while not gone.done():
            now = changes.elapsed()
            if not data and now - sent >= self._heartbeat:
                data = sse.HEARTBEAT
            if data:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                sent = now
            if self._allowed and now - asked >= ALLOWED_SECONDS:
                asked = now
                if not await _still(self._allowed):
                    return
            if changes.closed:
                return
            if changes.number == place:
                await changes.wait()
            # The place is read with the bytes: between the two nobody else runs.
            more, place = changes.since(place, self._zones), changes.number
            if more is None:
                raise TimeoutError
            data = more

    def _begin(self) -> tuple[int, bytes]:
        changes = self._changes
        number = changes.number_of(self._last_event_id) if self._last_event_id else None
        missed = changes.since(number, self._zones) if number is not None else None
        if missed is not None:
            return changes.number, sse.retry(RETRY_MS) + missed
        return changes.number, sse.retry(RETRY_MS) + changes.snapshot(self._zones)

    async def _cut_off(self, scope: Scope, gone: asyncio.Task[None]) -> None:
        self._metrics.streams_cut_off.inc()
        _log.info("a reader of events was too slow, and is cut off", open_streams=self._changes.readers)
        if connection := connection_of(scope):
            connection.abort()
            # So that the server knows of it before this answer ends.
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await gone


async def _client_has_left(receive: Receive) -> None:
    """Return once the client has gone, or has sent what nobody reads from it."""
    with suppress(ProblemError):
        while (await receive())["type"] != "http.disconnect":
            pass


async def _still(allowed: Callable[[], Awaitable[object]]) -> bool:
    """Whether the client may still read; if nobody knows, as Redis is away, it is asked again."""
    try:
        await allowed()
    except ProblemError:
        return False
    except UnavailableError:
        pass
    return True


def _hold_little(scope: Scope) -> None:
    if (connection := connection_of(scope)) is None:
        return
    connection.set_write_buffer_limits(high=BUFFER_BYTES)
    if (opened := connection.get_extra_info("socket")) is not None:
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
