"""Another number of partitions: `python -m state migrate` with a new PARTITIONS, when the streams have run empty.

1. The layout says that this was begun. All keys of the partitions that there were are set aside, under the same names
   with `was:` before them: each stays in its slot, and none is taken for one of the new partitions.
2. Totals and dead letters become those of the first partition, marks of windows go to their new owners.
3. What devices were seen in, and the counters, a day at a time: to each partition, and to the first one
   (`state.upgrade.windows`).
4. What was set aside goes; the layout says the new number.

Each of these may be done again. Where devices are comes back with their next positions.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from core.clock import Clock
from core.errors import BadSettingsError
from state.client import Redis
from state.dirty_windows import keys_of as dirty_keys_of
from state.dirty_windows import owner_of
from state.layout import LAYOUT, read_layout
from state.raw_redis import raw_redis
from state.server import masters
from state.slots import tag
from state.totals import added_up, dead_key, totals_key
from state.upgrade.sets import minutes_of, packed_minutes
from state.upgrade.windows import Counted, write_day

WAS = b"was:"
_AT_ONCE = 500
Item = TypeVar("Item")
Wanted = Callable[[bytes], bool]
_EMPTY = (b"raw", b"positions")
_KINDS = {
    *_EMPTY,
    *(b"progress", b"totals", b"dead", b"dirty", b"claimed", b"fence", b"seen", b"count", b"life", b"lives"),
    *(b"newest", b"away", b"presence", b"touched"),
}


@dataclass(slots=True)
class Aside:
    """Keys that were set aside, by kind."""

    names: dict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def of(self, kind: bytes) -> list[bytes]:
        """Those of a kind."""
        return self.names.get(kind, [])

    def by_day(self) -> dict[int, tuple[list[bytes], list[bytes]]]:
        """Names of `seen` and of counters, by day."""
        days: dict[int, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
        for name in self.of(b"seen"):
            days[int(name.split(b":")[3])][0].append(name)
        for name in self.of(b"count"):
            place = name.split(b":")[3]
            # Four hashes of minutes to a day.
            days[int(place[1:]) // 4 if place[:1] == b"m" else int(place[1:])][1].append(name)
        return dict(sorted(days.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition:
    """Brings the data of `was` partitions to `partitions`."""

    client: Redis
    was: int
    partitions: int
    shift_ms: int
    """That of `state.windows.day_shift_ms`."""
    clock: Clock

    async def check(self) -> None:
        """Raises BadSettingsError where messages or positions still wait, UnavailableError."""
        if raw_redis(self.client) is not self.client:
            raise BadSettingsError("RAW_REDIS_URL: with a Redis of its own for `raw`, PARTITIONS stays as it is")
        for partition in range(self.was):
            for kind in _EMPTY:
                name = f"{kind.decode()}:{tag(partition, self.was)}"
                waiting = await self.client.xlen(name)
                if waiting:
                    raise BadSettingsError(
                        f"{name} has {waiting} entries: start the decoders with PARTITIONS={self.was} until they have "
                        "worked them off, without brokers and API"
                    )

    async def run(self) -> None:
        """Do it. Raises BadSettingsError, UnavailableError: then it is to be run again."""
        layout = await read_layout(self.client)
        if layout is None or layout.migrating is None:
            await self.check()
            await self._layout({"migrating": self.was, "partitions": self.partitions})
        aside, written = await cast("Any", self.client.hmget(LAYOUT, "aside", "written"))
        if not aside:
            await self._set_aside()
            await self._layout({"aside": 1})
        found = Aside()
        for name in await self._names(lambda name: name.startswith(WAS)):
            found.names[name.split(b":")[1]].append(name)
        if not written:
            await self._totals(found)
            await self._dead_letters(found)
            await self._marks(found)
            for day, (seen, counts) in found.by_day().items():
                await self._day(day, seen, counts)
            await self._layout({"written": 1})
        await self._forget([name for names in found.names.values() for name in names])
        await cast("Any", self.client.hdel(LAYOUT, "migrating", "aside", "written"))

    async def _layout(self, fields: dict[str, Any]) -> None:
        await cast("Any", self.client).hset(LAYOUT, mapping=fields)

    async def _names(self, wanted: Wanted) -> list[bytes]:
        names: set[bytes] = set()
        for master in await masters(self.client):
            cursor = 0
            while True:
                cursor, some = cast("Any", await master.scan(cursor, count=1000))
                names.update(name for name in some if wanted(name))
                if not cursor:
                    break
        return sorted(names)

    async def _set_aside(self) -> None:
        tags = {tag(partition, self.was).encode() for partition in range(self.was)}

        def ours(name: bytes) -> bool:
            kind, *rest = name.split(b":", 2)
            return kind in _KINDS and bool(rest) and rest[0] in tags

        names = await self._names(ours)
        # What is empty has nothing to bring but its groups.
        await self._forget([name for name in names if name.partition(b":")[0] in _EMPTY])
        for some in _chunks([name for name in names if name.partition(b":")[0] not in _EMPTY]):
            async with self.client.pipeline(transaction=False) as pipeline:
                for name in some:
                    pipeline.rename(name, WAS + name)
                for answer in await pipeline.execute(raise_on_error=False):
                    if isinstance(answer, Exception) and "no such key" not in str(answer):
                        raise answer

    async def _totals(self, found: Aside) -> None:
        totals = added_up(await self._hashes(found.of(b"totals")))
        if totals:
            await cast("Any", self.client).hset(totals_key(tag(0, self.partitions)), mapping=totals)

    async def _dead_letters(self, found: Aside) -> None:
        letters = []
        for name in found.of(b"dead"):
            entries = cast("Any", await self.client.xrange(name))
            letters.append([(_number(entry_id), fields) for entry_id, fields in entries])
        key, last = dead_key(tag(0, self.partitions)), (0, 0)
        await self.client.delete(key)
        for some in _chunks(list(heapq.merge(*letters, key=lambda letter: letter[0]))):
            async with self.client.pipeline(transaction=False) as pipeline:
                for number, fields in some:
                    last = max(number, (last[0], last[1] + 1))
                    pipeline.xadd(key, fields, id=f"{last[0]}-{last[1]}")
                await pipeline.execute()

    async def _marks(self, found: Aside) -> None:
        now = self.clock()
        for name in [*found.of(b"dirty"), *found.of(b"claimed")]:
            members = cast("list[bytes]", await self.client.zrange(name, 0, -1))
            await mark(self.client, members, partitions=self.partitions, due=now)

    async def _day(self, day: int, seen: list[bytes], counts: list[bytes]) -> None:
        first = tag(0, self.partitions)
        counters: dict[str, Counter[str]] = defaultdict(Counter)
        for name, fields in zip(counts, await self._hashes(counts), strict=True):
            end = name.split(b":", 3)[3].decode()
            for field_name, count in fields.items():
                counters[f"count:{first}:{end}"][field_name.decode()] += int(count)
        await self._write(day, [], counters)
        by_device = sorted(seen, key=_device)
        for first_of in range(0, len(by_device), _AT_ONCE):
            last_of = first_of + _AT_ONCE
            some = by_device[first_of:last_of]
            # A device that several partitions have is written once, with all of them.
            some = [name for name in some if first_of == 0 or _device(name) != _device(by_device[first_of - 1])]
            while some and last_of < len(by_device) and _device(by_device[last_of]) == _device(some[-1]):
                some.append(by_device[last_of])
                last_of += 1
            devices: dict[bytes, dict[bytes, bytes]] = {}
            for name, fields in zip(some, await self._hashes(some), strict=True):
                known = devices.setdefault(_device(name), {})
                for place, packed in fields.items():
                    known[place] = _joined(known[place], packed) if place in known and b":" in place else packed
            await self._write(day, devices.items(), {})

    async def _write(
        self, day: int, seen: Iterable[tuple[bytes, dict[bytes, bytes]]], counters: Mapping[str, Mapping[str, int]]
    ) -> None:
        counted = Counted(day, seen, counters)
        await write_day(self.client, counted, partitions=self.partitions, shift_ms=self.shift_ms, now=self.clock())

    async def _hashes(self, names: list[bytes]) -> list[dict[bytes, bytes]]:
        found: list[dict[bytes, bytes]] = []
        for some in _chunks(names):
            async with self.client.pipeline(transaction=False) as pipeline:
                for name in some:
                    pipeline.hgetall(name)
                found += await pipeline.execute()
        return found

    async def _forget(self, names: list[bytes]) -> None:
        for some in _chunks(names):
            async with self.client.pipeline(transaction=False) as pipeline:
                for name in some:
                    pipeline.unlink(name)
                await pipeline.execute()


async def mark(client: Redis, members: Sequence[bytes], *, partitions: int, due: int) -> None:
    """Have windows written from `due` on (ms since the epoch), by the partitions that own them.

    Raises UnavailableError.
    """
    for some in _chunks(members):
        async with client.pipeline(transaction=False) as pipeline:
            for member in some:
                series = ":".join(member.decode(errors="replace").split(":")[2:])
                pipeline.zadd(dirty_keys_of(owner_of(series, partitions), partitions).dirty, {member: due}, nx=True)
            await pipeline.execute()


def _device(name: bytes) -> bytes:
    return name.split(b":", 4)[4]


def _joined(one: bytes, other: bytes) -> bytes:
    return packed_minutes(minutes_of(one) | minutes_of(other))


def _number(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), _AT_ONCE):
        yield items[first : first + _AT_ONCE]
