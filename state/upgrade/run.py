"""`python -m state migrate`: the steps, each of which may be done again, in the order in which they are done.

1. The layout says that a migration was begun: no service starts from then on.
2. What the brokers share, users, keys, campus, coverage: renamed, or copied from another Redis.
3. The streams of the partitions, dead letters and totals.
4. Windows, a day at a time, the oldest first; the sets of a day go once the day is written.
5. Marks of windows that are yet to be written.
6. Options of subscriptions, which were numbers (`state.upgrade.options`).
7. What lives for minutes is forgotten; the layout says that all is done.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from core.clock import Clock
from core.errors import BadSettingsError
from core.windows import Window
from state.campus import CAMPUS as CAMPUS_KEY
from state.campus import CHANGES
from state.client import Redis
from state.layout import LAYOUT, VERSION, is_of_the_version_before, read_layout
from state.raw_redis import raw_redis
from state.slots import tag
from state.totals import ACCEPTED, dead_key, totals_key
from state.upgrade.move import Mover
from state.upgrade.options import unpack_options
from state.upgrade.partitions import mark
from state.upgrade.survey import Survey, new_streams, survey
from state.upgrade.windows import day_of_sets, write_day

Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and of how much."""
BEATS_APART_SECONDS = 2.5
"""Broker nodes say once a second that they live."""
_DAY = "day:"
"""How the fields of the layout begin that say that a day is written."""
_MARKS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Brings the data of the version before to a Redis: its own, or another."""

    source: Redis
    target: Redis
    """The same client, where it stays in that Redis."""
    partitions: int
    shift_ms: int
    """That of `state.windows.day_shift_ms`."""
    clock: Clock

    @property
    def _first_tag(self) -> str:
        return tag(0, self.partitions)

    async def look(self) -> Survey:
        """What there is to do. Raises BadSettingsError where it must not be done, UnavailableError."""
        layout = await read_layout(self.target)
        found = await survey(self.source, shift_ms=self.shift_ms)
        for kind in (b"raw:", b"positions:"):
            await self._check_streams([name for name in found.streams if name.startswith(kind)])
        if self.source is not self.target and layout is None and await is_of_the_version_before(self.target):
            raise BadSettingsError(
                "REDIS_URL: that Redis has data of the version before, too; --from is for an empty one"
            )
        return found

    async def _check_streams(self, names: list[bytes]) -> None:
        left = [name for name in names if name not in new_streams(names, self.partitions)]
        for name in left:
            waiting = await self.source.xlen(name)
            if waiting:
                raise BadSettingsError(
                    f"{name.decode()} has {waiting} entries, and PARTITIONS={self.partitions} has no place for it: "
                    "migrate with the PARTITIONS that there were"
                )

    async def check_stopped(self) -> None:
        """Raises BadSettingsError where a broker node or API of the version before still runs; takes some seconds."""
        before = await self._signs_of_life()
        await asyncio.sleep(BEATS_APART_SECONDS)
        if (after := await self._signs_of_life()) and after != before:
            raise BadSettingsError("services of the version before are running: stop all of them first")

    async def _signs_of_life(self) -> list[Any]:
        async with self.source.pipeline(transaction=False) as pipeline:
            pipeline.hgetall("nodes")
            pipeline.pttl("mirror")
            nodes, lease = await pipeline.execute()
        # A lease that runs out says nothing, one that is renewed does.
        return [sorted(nodes.items()), max(0, lease) // 10_000] if nodes or lease > 0 else []

    async def run(self, found: Survey, progress: Progress) -> None:
        """Do it. Raises BadSettingsError, UnavailableError: then it is to be run again."""
        mover = Mover(self.source, self.target)
        await self._layout({"version": VERSION, "partitions": self.partitions, "migrating": 0})
        for first in range(0, len(found.renamed), _MARKS_AT_ONCE):
            progress("keys", first, len(found.renamed))
            some = found.renamed[first : first + _MARKS_AT_ONCE]
            await mover.move({old.name: old.new for old in some})
        progress("keys", len(found.renamed), len(found.renamed))
        await self._campus(mover)
        await self._streams(mover, found)
        await self._windows(mover, found, progress)
        await self._marks(mover)
        await unpack_options(self.target)
        await mover.forget(found.nothing)
        await self._end()

    async def _layout(self, fields: dict[str, Any]) -> None:
        await cast("Any", self.target).hset(LAYOUT, mapping=fields)

    async def _campus(self, mover: Mover) -> None:
        await mover.move({b"campus": CAMPUS_KEY.encode(), b"campus:changes": CHANGES.encode()})
        if await cast("Any", self.target.hexists(CAMPUS_KEY, "version")):
            await cast("Any", self.target.hsetnx(CAMPUS_KEY, "number", 1))
        changes = cast("Any", await self.target.xrange(CHANGES))
        if not any(b"number" not in fields for _, fields in changes):
            return
        # Once, in their order, with what this version says of them besides.
        async with self.target.pipeline(transaction=True) as pipeline:
            pipeline.delete(CHANGES)
            for entry_id, fields in changes:
                pipeline.xadd(CHANGES, {b"number": b"1", b"zones": fields.get(b"zone", b""), **fields}, id=entry_id)
            await pipeline.execute()

    async def _streams(self, mover: Mover, found: Survey) -> None:
        first, raw = self._first_tag, raw_redis(self.target)
        if raw is not self.target:
            # Copied, also from the Redis of everything else: there it goes then.
            mover = Mover(self.source, raw)
        once = {b"dead": dead_key(first).encode(), b"totals": totals_key(first).encode()}
        await mover.move(once)
        for kind in (b"raw:", b"positions:"):
            there = [name for name in found.streams if name.startswith(kind)]
            names = new_streams(there, self.partitions)
            await mover.move(names)
            await mover.forget([name for name in there if name not in names])
            if raw is not self.target and self.source is self.target:
                await Mover(self.source, self.source).forget([*names, *once])
            if kind == b"positions:":
                continue
            for partition in range(self.partitions):
                own = tag(partition, self.partitions)
                # What waits is what was accepted and is not finished; what was finished then is in no count.
                waiting = await raw.xlen(f"raw:{own}")
                await cast("Any", raw.hset(totals_key(own), ACCEPTED, str(waiting)))

    async def _windows(self, mover: Mover, found: Survey, progress: Progress) -> None:
        done = 0
        for day, windows in found.days.items():
            progress("windows", done, found.windows)
            written = await cast("Any", self.target.hexists(LAYOUT, f"{_DAY}{day}"))
            if not written:
                await self._day(day, windows)
                await self._layout({f"{_DAY}{day}": 1})
            await mover.forget([f"window:{window.member}".encode() for window in windows])
            done += len(windows)
        progress("windows", done, found.windows)

    async def _day(self, day: int, windows: list[Window]) -> None:
        counted = await day_of_sets(self.source, day, windows, first_tag=self._first_tag, shift_ms=self.shift_ms)
        await write_day(self.target, counted, partitions=self.partitions, shift_ms=self.shift_ms, now=self.clock())

    async def _marks(self, mover: Mover) -> None:
        marks = cast("list[bytes]", await self.source.zrange("windows:dirty", 0, -1))
        await mark(self.target, marks, partitions=self.partitions, due=self.clock())
        await mover.forget([b"windows:dirty"])

    async def _end(self) -> None:
        fields = cast("list[bytes]", await cast("Any", self.target.hkeys(LAYOUT)))
        days = [name for name in fields if name.startswith(_DAY.encode())]
        await cast("Any", self.target.hdel(LAYOUT, "migrating", *days))
