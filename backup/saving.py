"""Saving: Redis first, then documents, then series.

The order matters. What a decoder has acknowledged at the moment of Redis's snapshot had its effects before
(law 3, effects first), so it is in the stores that are read afterwards; what was not acknowledged is in the snapshot,
and is done again after a restore, which does no harm (law 2, any order). So is it between a Redis of `raw` and the
other.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import msgspec

from backup.catalogue import DAY_MS, Catalogue, Counted
from backup.manifest import Manifest, Part, What, new_id
from backup.progress import Shown
from backup.rdb import RdbError, RdbReader
from backup.redis_dump import dump
from backup.series import day_name, lines_of_day
from backup.waiting import patiently
from core.clock import Clock
from core.errors import UnavailableError
from documents.months import MONTH, month_end
from documents.store import DocumentStore
from state.client import Redis
from state.raw_redis import raw_redis
from state.server import masters
from timeseries.store import TimeseriesStore

SETTLED_MS = 8 * DAY_MS
"""A month or day that was over for so long is saved once: devices may send what is a week old (POSITION_MAX_AGE)."""
BEFORE_ALL = -2 * DAY_MS
"""Windows of a day in 1970 may begin before the epoch."""
LINES = 500
"""Documents or points of one piece that is compressed."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What it takes to save; `whole` saves also what is settled and was saved before."""

    catalogue: Catalogue
    shown: Shown
    clock: Clock
    keep_days: int
    whole: bool = False

    async def redis(self, client: Redis) -> Manifest:
        """Save what Redis has, of each master a part. Raises UnavailableError."""
        saved = _Backup(self, What.REDIS)
        raw = raw_redis(client)
        roles = [("main", client)] if raw is client else [("raw", raw), ("main", client)]
        parts = []
        for role, redis in roles:
            for number, server in enumerate(await masters(redis)):
                name = f"{role}-{number}"
                self.shown.begin(f"Redis, {name}: keys")
                part = await saved.part(name, lambda counted, server=server: _keys(server, counted, self.shown))  # type: ignore[misc]
                database = int(server.connection_pool.connection_kwargs.get("db") or 0)
                parts.append(msgspec.structs.replace(part, database=database))
        return await saved.end(parts)

    async def documents(self, store: DocumentStore) -> Manifest:
        """Save the position documents, a part for each month. Raises UnavailableError."""
        saved = _Backup(self, What.DOCUMENTS)
        before = await saved.before()
        months = await patiently(store.months, self.shown.say)
        parts = []
        for month, count in sorted(months.items()):
            known = before.get(month)
            # What was erased, or came late, changes how many there are.
            if (
                known
                and known.records == count
                and MONTH.fullmatch(month)
                and saved.is_settled(known, month_end(month))
            ):
                parts.append(known)
                continue
            self.shown.begin(f"documents of {month}", count)
            parts.append(
                await saved.part(month, lambda counted, month=month: _documents(store, month, counted, self.shown))  # type: ignore[misc]
            )
        return await saved.end(parts)

    async def series(self, store: TimeseriesStore) -> Manifest:
        """Save the windows and recorded hours, a part for each day (UTC). Raises UnavailableError."""
        saved = _Backup(self, What.SERIES)
        before = await saved.before()
        parts: list[Part] = []
        after = BEFORE_ALL
        self.shown.begin("series: days")
        while (at := await patiently(lambda: store.next_time(after), self.shown.say)) is not None:  # noqa: B023 - called at once
            day = at // DAY_MS
            after = (day + 1) * DAY_MS
            known = before.get(day_name(day))
            if known and saved.is_settled(known, after):
                parts.append(known)
            else:
                parts.append(
                    await saved.part(day_name(day), lambda counted, day=day: lines_of_day(store, day, counted))  # type: ignore[misc]
                )
            self.shown.step()
        return await saved.end(parts)


class _Backup:
    """One backup while it is made."""

    def __init__(self, saving: Saving, what: What) -> None:
        self._saving = saving
        self._what = what
        self._begun_at = saving.clock()
        self._id = new_id(self._begun_at)

    async def before(self) -> Mapping[str, Part]:
        """The parts of the newest backup, by name; none where all is to be saved anew."""
        if self._saving.whole:
            return {}
        found = await self._saving.catalogue.newest(self._what)
        return {part.name: part for part in found.parts} if found else {}

    def is_settled(self, part: Part, over_at: int) -> bool:
        """Whether a part of something that was over then is still good; each is written anew now and then."""
        fresh = self._begun_at - part.saved_at < self._saving.keep_days * DAY_MS
        return fresh and over_at + SETTLED_MS < part.saved_at

    async def part(self, name: str, data: Callable[[Counted], AsyncIterator[bytes]]) -> Part:
        """Write a part; from its beginning again where something is away for a moment."""

        async def write() -> Part:
            counted = Counted()
            return await self._saving.catalogue.write_part(
                self._what, self._id, name, data(counted), counted, now=self._saving.clock()
            )

        return await patiently(write, self._saving.shown.say)

    async def end(self, parts: list[Part]) -> Manifest:
        """Write the manifest: from now on it is a backup."""
        manifest = Manifest(
            what=self._what,
            id=self._id,
            begun_at=self._begun_at,
            ended_at=self._saving.clock(),
            parts=tuple(parts),
        )
        await self._saving.catalogue.write(manifest)
        return manifest


async def _keys(server: Redis, counted: Counted, shown: Shown) -> AsyncIterator[bytes]:
    """The snapshot of a server as it comes; it is read meanwhile, for one that cannot be read is none."""
    reader = RdbReader()
    try:
        async for data in dump(server):
            for _ in reader.feed(data):
                counted.records += 1
                shown.step()
            yield data
        counted.records += sum(1 for _ in reader.end())
    except RdbError as error:
        raise UnavailableError(f"what Redis has cannot be backed up: {error}") from error


async def _documents(store: DocumentStore, month: str, counted: Counted, shown: Shown) -> AsyncIterator[bytes]:
    lines: list[bytes] = []
    async for document in store.of_month(month):
        lines.append(msgspec.json.encode(document) + b"\n")
        if len(lines) == LINES:
            counted.records += len(lines)
            shown.step(len(lines))
            yield b"".join(lines)
            lines.clear()
    counted.records += len(lines)
    yield b"".join(lines)
