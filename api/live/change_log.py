"""What has changed, in the order in which it did: written once, and shared by everybody who follows."""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from api.live import sse
from api.occupancy import Snapshot
from core.clock import format_rfc3339

RING = 10_000
"""Changes that are kept for those who were away for a moment, or are slow; at some 500 bytes each."""
RING_PER_ZONE = 4
"""So often may each zone change, where that is more."""
UNREAD = "The counts cannot be read at present."
"""What those who follow are told when there is no new snapshot."""


@dataclass(frozen=True)
class _Batch:
    """The changes that one snapshot has found."""

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
class ChangeLog:
    """The newest snapshot of all zones, and the numbered changes that led to it.

    One task gives it snapshots (`api.live.poller`); any number of others wait for them, and read. It does no I/O. Its
    numbers are of this process: `run` tells its event ids from those of others.
    """

    elapsed: Callable[[], float] = time.monotonic
    """Seconds since any moment; never goes back."""
    ring: int | None = None
    """Changes that are kept; None: RING, or more where there are many zones."""
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    latest: Snapshot | None = None
    """None before the first."""
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

    def take(self, snapshot: Snapshot) -> None:
        """Take up a new snapshot of all zones, and wake all who wait."""
        before, self.latest = self.latest, snapshot
        said = list(self._said(before, snapshot)) if before else []
        if snapshot.stale and (not self.stale or before is None or before.stale != snapshot.stale):
            said.append((None, "stale", _updated(snapshot, snapshot.stale)))
        elif self.stale and not snapshot.stale:
            said.append((None, "fresh", _updated(snapshot)))
        self.stale = snapshot.stale is not None
        self._add(said)
        self._wake()

    def missed(self, *, stale: bool) -> None:
        """There is no new snapshot, for Redis does not answer; `stale` once that lasts. Wakes all who wait."""
        if stale and not self.stale and self.latest:
            self.stale = True
            self._add([(None, "stale", _updated(self.latest, UNREAD))])
        self._wake()

    def tell(self, event: str, bodies: Mapping[str, bytes]) -> None:
        """Tell of something that no snapshot has, by zone, as JSON on one line; wakes all who wait."""
        self._add([(zone, event, body) for zone, body in bodies.items()])
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
        """No snapshot will follow; who waits is woken, and sees it."""
        self.closed = True
        self._wake()

    async def wait(self) -> None:
        """Until the next snapshot, or the next moment in which there should have been one."""
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
        """The event of all zones as they are, or of these; with the id of the newest change. Not before there is one.

        Where the counts are old, the event that says so follows.
        """
        latest = self.latest
        if latest is None:
            raise RuntimeError("there was no snapshot yet")
        if zones is None:
            # Shared: after a restart of the server all clients come back at once.
            if self._snapshot is None:
                self._snapshot = self._snapshot_of(latest.everything)
            return self._snapshot
        return self._snapshot_of(latest.of(zones))

    def _snapshot_of(self, data: bytes) -> bytes:
        id_ = self.event_id(self.number)
        told = sse.frame("snapshot", data, id_=id_)
        if self.stale and self.latest:
            told += sse.frame("stale", _updated(self.latest, self.latest.stale or UNREAD), id_=id_)
        return told

    def _said(self, before: Snapshot, snapshot: Snapshot) -> Iterator[tuple[str | None, str, bytes]]:
        if before.version != snapshot.version:
            yield None, "zones", b'{"version":"%b"}' % snapshot.version.encode()
        for zone in snapshot.changed_since(before):
            yield zone, "occupancy", snapshot.zone(zone) or b""

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
        ring = self.ring or max(RING, RING_PER_ZONE * len(self.latest.zones) if self.latest else 0)
        while self._kept > ring and len(self._batches) > 1:
            self._kept -= len(self._batches.popleft().frames)

    def _wake(self) -> None:
        self._snapshot = None
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()


def _updated(snapshot: Snapshot, reason: str | None = None) -> bytes:
    at = format_rfc3339(snapshot.told_at)
    return msgspec.json.encode({"last_updated": at, "reason": reason} if reason else {"last_updated": at})
