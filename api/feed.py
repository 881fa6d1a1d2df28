"""What has changed, in the order in which it did: written once, and shared by everybody who follows."""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from api import sse
from core.clock import format_rfc3339

RING = 10_000
"""Changes that are kept for those who were away for a moment, or are slow; at some 500 bytes each."""
UNREAD = "The counts cannot be read at present."
"""What those who follow are told when there is no new look."""


@dataclass(frozen=True, slots=True)
class Body:
    """What GET answers about one zone."""

    json: bytes
    content: Hashable
    """What it says, without what changes with time alone: a body with the same content is no change."""


@dataclass(frozen=True, slots=True)
class Look:
    """All zones, as they were at one moment."""

    at: int
    """When, milliseconds since the epoch."""
    version: str
    """Of the campus."""
    everything: bytes
    """What GET /v1/occupancy answers."""
    zones: Mapping[str, Body]
    """By id of the zone, in the order of /v1/zones."""
    of: Callable[[Container[str]], bytes]
    """What GET /v1/occupancy would answer if these zones were all."""
    stale: str | None = None
    """Why its counts cannot be those of now; None where nothing is known against them."""


@dataclass(frozen=True)
class _Batch:
    """The changes that one look has found."""

    first: int
    frames: tuple[tuple[str | None, bytes], ...]
    """Server-sent events, each with its zone; None where it is about all."""

    @property
    def last(self) -> int:
        return self.first + len(self.frames) - 1

    @cached_property
    def together(self) -> bytes:
        """Made once for all who want all of it, which is nearly everybody."""
        return b"".join(frame for _, frame in self.frames)

    def after(self, number: int, zones: frozenset[str] | None) -> bytes:
        if zones is None and number < self.first:
            return self.together
        return b"".join(
            frame
            for at, (zone, frame) in enumerate(self.frames, self.first)
            if at > number and (zones is None or zone is None or zone in zones)
        )


@dataclass(slots=True, kw_only=True)
class OccupancyFeed:
    """The newest look at all zones, and the numbered changes that led to it.

    One task gives it looks (`api.watch`); any number of others wait for them, and read. It does no I/O. Its numbers
    are of this process: `run` tells its event ids from those of others.
    """

    elapsed: Callable[[], float] = time.monotonic
    """Seconds since any moment; never goes back."""
    ring: int = RING
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    latest: Look | None = None
    """None before the first look."""
    number: int = 0
    """Of the newest change."""
    stale: bool = False
    """Whether those who follow have been told that the counts are old."""
    closed: bool = False
    readers: int = 0
    """Streams that are open."""
    readers_at: Counter[str] = field(default_factory=Counter)
    """How many of them each address has."""
    _batches: deque[_Batch] = field(default_factory=deque)
    _kept: int = 0
    _snapshot: bytes | None = None
    _tick: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, look: Look) -> None:
        """Take up a new look at all zones, and wake all who wait."""
        before, self.latest = self.latest, look
        frames = list(self._said(before, look)) if before else []
        if look.stale and (not self.stale or before is None or before.stale != look.stale):
            frames.append((None, "stale", _updated(look, look.stale)))
        elif self.stale and not look.stale:
            frames.append((None, "fresh", _updated(look)))
        self.stale = look.stale is not None
        self._add(frames)
        self._wake()

    def missed(self, *, stale: bool) -> None:
        """There is no new look, for Redis does not answer; `stale` once that lasts. Wakes all who wait."""
        if stale and not self.stale and self.latest:
            self.stale = True
            self._add([(None, "stale", _updated(self.latest, UNREAD))])
        self._wake()

    def join(self, address: str) -> None:
        """One stream more."""
        self.readers += 1
        self.readers_at[address] += 1

    def leave(self, address: str) -> None:
        """One stream less."""
        self.readers -= 1
        self.readers_at[address] -= 1
        if not self.readers_at[address]:
            del self.readers_at[address]

    def close(self) -> None:
        """No look will follow; who waits is woken, and sees it."""
        self.closed = True
        self._wake()

    async def wait(self) -> None:
        """Until the next look, or the next moment in which there should have been one."""
        if not self.closed:
            await self._tick.wait()

    def event_id(self, number: int) -> str:
        """The id of a change, as clients are told it."""
        return f"{self.run}-{number}"

    def number_of(self, event_id: str) -> int | None:
        """The number of a change by its id; None for an id that this process has not given."""
        run, _, digits = event_id.partition("-")
        known = run == self.run and digits.isascii() and digits.isdigit() and len(digits) <= len(str(self.number))
        number = int(digits) if known else -1
        return number if 0 <= number <= self.number else None

    def since(self, number: int, zones: frozenset[str] | None = None) -> bytes | None:
        """The events after this one, of these zones or of all; None where some of them are not kept any more."""
        if number >= self.number:
            return b""
        if not self._batches or number < self._batches[0].first - 1:
            return None
        parts: list[bytes] = []
        for batch in reversed(self._batches):
            if batch.last <= number:
                break
            parts.append(batch.after(number, zones))
        return b"".join(reversed(parts)) if len(parts) > 1 else parts[0]

    def snapshot(self, zones: frozenset[str] | None = None) -> bytes:
        """The event of all zones as they are, or of these; with the id of the newest change. Not before a first look.

        Where the counts are old, the event that says so follows.
        """
        look = self.latest
        if look is None:
            raise RuntimeError("there was no look yet")
        if zones is None:
            # Shared: after a restart of the server all clients come back at once.
            if self._snapshot is None:
                self._snapshot = self._snapshot_of(look.everything)
            return self._snapshot
        return self._snapshot_of(look.of(zones))

    def _snapshot_of(self, data: bytes) -> bytes:
        id_ = self.event_id(self.number)
        told = sse.frame("snapshot", data, id_=id_)
        if self.stale and self.latest:
            told += sse.frame("stale", _updated(self.latest, self.latest.stale or UNREAD), id_=id_)
        return told

    def _said(self, before: Look, look: Look) -> Iterator[tuple[str | None, str, bytes]]:
        if before.version != look.version:
            yield None, "zones", b'{"version":"%b"}' % look.version.encode()
        for zone, body in look.zones.items():
            old = before.zones.get(zone)
            if old is None or old.content != body.content:
                yield zone, "occupancy", body.json

    def _add(self, said: list[tuple[str | None, str, bytes]]) -> None:
        if not said:
            return
        first = self.number + 1
        frames = tuple(
            (zone, sse.frame(event, data, id_=self.event_id(number)))
            for number, (zone, event, data) in enumerate(said, first)
        )
        self._batches.append(_Batch(first, frames))
        self.number += len(frames)
        self._kept += len(frames)
        # The newest batch stays, however large: everybody still has to read it.
        while self._kept > self.ring and len(self._batches) > 1:
            self._kept -= len(self._batches.popleft().frames)

    def _wake(self) -> None:
        self._snapshot = None
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()


def _updated(look: Look, reason: str | None = None) -> bytes:
    at = format_rfc3339(look.at)
    return msgspec.json.encode({"last_updated": at, "reason": reason} if reason else {"last_updated": at})
