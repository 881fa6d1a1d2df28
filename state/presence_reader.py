"""Presence of all zones as one process knows it, kept up by reading only what has changed.

A presence set is read again when its partition says that somebody touched it (`touched:{p}` in `state.presence`), and
when time alone changes it, since a device was not seen for too long. Where a partition is not the one that was read
before (another Redis, one that was emptied or has lost its newest changes, or a clock that went back), what is known of
it is forgotten, and all that anybody ever touched there is read.
"""

import asyncio
import heapq
import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from core.kinds import KindId, Kinds
from state import presence
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.presence import NOBODY, SETS_AT_ONCE, Pair, Presence, PresenceOfPartition, added_up, read_partition
from state.slots import guard

ACCESS = {
    Right.READ: [
        access("touched:{p} touched:{p}:at touched:{p}:life", "EVAL"),
        access("touched:{p}", "ZRANGEBYSCORE"),
        access("touched:{p}:at", "GET"),
        access("touched:{p}:life", "GET SET"),
        access("", "INFO"),
    ]
}
PARTITIONS_AT_ONCE = 8
"""Partitions that are read at the same time, each on a connection of its own."""
_EVERYTHING = -1
"""A number before that of every change."""
_QUEUE_SPARE = 1000


class PresenceReader:
    """Who is where, for one API process. Reads one after the other, whoever asks."""

    def __init__(self, client: Redis, kinds: Kinds, *, partitions: int, ttl: int) -> None:
        """`ttl` is PRESENCE_TTL, in seconds."""
        self._client = client
        self._kinds = kinds.ids
        self._ttl = ttl
        self._partitions = [_Partition(hash_tag) for hash_tag in presence.presence_tags(partitions)]
        self._zones: Sequence[str] = ()
        self._pairs: dict[bytes, Pair] = {}
        self._changed: set[str] = set()
        self._present: dict[str, dict[KindId, Presence]] = {}
        self._reading = asyncio.Lock()

    @property
    def present(self) -> Mapping[str, Mapping[KindId, Presence]]:
        """By zone and kind, as it was read last."""
        return self._present

    async def read(self, zones: Sequence[str], *, now: int) -> frozenset[str]:
        """Read presence in `zones` as it is at `now` (ms since the epoch): the ids of those that have changed.

        That is, since the last call that did not raise; at first, all of them. Raises UnavailableError if Redis does
        not answer: then what is known may be of several moments, and the next call sets it right.
        """
        async with self._reading:
            self._follow(zones)
            for start in range(0, len(self._partitions), PARTITIONS_AT_ONCE):
                try:
                    async with asyncio.TaskGroup() as group:
                        for partition in self._partitions[start : start + PARTITIONS_AT_ONCE]:
                            group.create_task(self._read_partition(partition, now))
                except BaseExceptionGroup as errors:
                    raise errors.exceptions[0] from None
            changed, self._changed = frozenset(self._changed), set()
            return changed

    def _follow(self, zones: Sequence[str]) -> None:
        """Take up the zones of another campus."""
        if zones is self._zones or zones == self._zones:
            return
        wanted = set(zones)
        new = [zone for zone in zones if zone not in self._present]
        self._present = {zone: self._present.get(zone) or dict.fromkeys(self._kinds, NOBODY) for zone in zones}
        self._pairs = {f"{zone}:{kind}".encode(): (zone, kind) for zone in zones for kind in self._kinds}
        self._zones = zones
        self._changed = (self._changed & wanted).union(new)
        for partition in self._partitions:
            partition.keep_only(wanted)
            # Nobody noted which of these were touched before.
            partition.to_read.update(
                (zone, kind) for zone in new for kind in self._kinds if partition.seen != _EVERYTHING
            )

    async def _read_partition(self, partition: "_Partition", now: int) -> None:
        for touched in await self._touched(partition, now):
            # Others are of zones that are not there any more.
            if (pair := self._pairs.get(touched)) is not None:
                partition.to_read.add(pair)
        partition.take_due(now)
        while partition.to_read:
            some = [pair for pair, _ in zip(partition.to_read, range(SETS_AT_ONCE), strict=False)]
            found = await read_partition(self._client, partition.hash_tag, some, now=now, ttl=self._ttl)
            for pair, part in zip(some, found, strict=True):
                partition.note(pair, part)
                self._add_up(pair)

    async def _touched(self, partition: "_Partition", now: int) -> list[bytes]:
        """The names of what has changed in a partition since it was asked last; of all where it is another one."""
        server, at, touched = await self._changes(partition, partition.seen)
        if server != partition.server or at < partition.seen or now < partition.now:
            server, at, touched = await self._changes(partition, _EVERYTHING)
            partition.to_read.update(partition.known)
        partition.server, partition.seen, partition.now = server, at, now
        return touched

    async def _changes(self, partition: "_Partition", since: int) -> tuple[bytes, int, list[bytes]]:
        tag = partition.hash_tag
        keys = [guard(tag), presence.touched_key(tag), presence.touched_at_key(tag), presence.life_key(tag)]
        script = self._client.register_script(lua("presence_changes"))
        server, at, touched = cast("list[bytes]", await script(keys=keys, args=[since, secrets.token_hex(8)]))
        return server, int(at), cast("list[bytes]", touched)

    def _add_up(self, pair: Pair) -> None:
        zone, kind = pair
        found = added_up(part for each in self._partitions if (part := each.known.get(pair)) is not None)
        if found != self._present[zone][kind]:
            self._present[zone][kind] = found
            self._changed.add(zone)


@dataclass(slots=True)
class _Partition:
    """What is known of one partition."""

    hash_tag: str
    server: bytes = b""
    """Which life of which server it was read from."""
    seen: int = _EVERYTHING
    """The number of the newest change whose presence sets are known, or `to_read`."""
    now: int = 0
    known: dict[Pair, PresenceOfPartition] = field(default_factory=dict)
    """Presence sets with anybody in them."""
    to_read: set[Pair] = field(default_factory=set)
    """What is to be read, until it is: so that nothing is forgotten where Redis is away in between."""
    _queue: list[tuple[int, Pair]] = field(default_factory=list)
    """A heap: when time alone may change a presence set. With entries that are not in `_queued` any more."""
    _queued: dict[Pair, int] = field(default_factory=dict)

    def keep_only(self, zones: Container[str]) -> None:
        """Forget all other zones."""
        self.known = {pair: part for pair, part in self.known.items() if pair[0] in zones}
        self.to_read = {pair for pair in self.to_read if pair[0] in zones}
        self._queued = {pair: due for pair, due in self._queued.items() if pair[0] in zones}
        self._shorten()

    def take_due(self, now: int) -> None:
        """What time has changed is to be read."""
        while self._queue and self._queue[0][0] <= now:
            due, pair = heapq.heappop(self._queue)
            if self._queued.get(pair) == due:
                del self._queued[pair]
                self.to_read.add(pair)

    def note(self, pair: Pair, part: PresenceOfPartition) -> None:
        """Take up what was read."""
        self.to_read.discard(pair)
        if part.devices:
            self.known[pair] = part
        else:
            self.known.pop(pair, None)
        due = part.changes_at
        # An entry that is too early costs one more reading, and is replaced then.
        if due is not None and due < self._queued.get(pair, due + 1):
            self._queued[pair] = due
            heapq.heappush(self._queue, (due, pair))
            if len(self._queue) > 2 * len(self._queued) + _QUEUE_SPARE:
                self._shorten()

    def _shorten(self) -> None:
        self._queue = sorted((due, pair) for pair, due in self._queued.items())
