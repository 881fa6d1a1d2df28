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
from core.errors import BadSettingsError, UnavailableError
from documents.months import MONTH, month_end
from documents.store import DocumentStore
from state import restoring
from state.client import Redis
from state.raw_redis import raw_redis
from state.server import masters
from timeseries.store import TimeseriesStore

SETTLED_MS = 8 * DAY_MS
"""A month or day that was over for so long is saved once: devices may send what is a week old (POSITION_MAX_AGE).

Gateways and services may send what is older. Of that the documents tell: their months are counted each time.
"""
MONTH_CHARACTERS = len("2026-11")
"""Of the name of a day."""
BEFORE_ALL = -2 * DAY_MS
"""Windows of a day in 1970 may begin before the epoch."""
LINES = 500
"""Documents or points of one piece that is compressed."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What it takes to save; `whole` saves also what is settled and was saved before.

    Its methods raise UnavailableError, also while a backup is being restored: half of one is never saved as a whole.
    """

    client: Redis
    """Of the system that is saved."""
    catalogue: Catalogue
    shown: Shown
    clock: Clock
    keep_days: int
    whole: bool = False

    async def redis(self) -> Manifest:
        """Save what Redis has, of each master a part."""
        saved = await _Backup.begin(self, What.REDIS)
        raw = raw_redis(self.client)
        roles = [("main", self.client)] if raw is self.client else [("raw", raw), ("main", self.client)]
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
        """Save the position documents, a part for each month."""
        saved = await _Backup.begin(self, What.DOCUMENTS)
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
        """Save the windows and recorded hours, a part for each day (UTC)."""
        saved = await _Backup.begin(self, What.SERIES)
        before = await saved.before()
        documents = await saved.changed_months()
        parts: list[Part] = []
        after = BEFORE_ALL
        self.shown.begin("series: days")
        while (at := await patiently(lambda: store.next_time(after), self.shown.say)) is not None:  # noqa: B023 - called at once
            day = at // DAY_MS
            after = (day + 1) * DAY_MS
            name = day_name(day)
            known = before.get(name)
            # Positions that came later than that changed their month of documents, too; a day of a campus may reach
            # into the next.
            changed_at = max(documents.get(day_name(each)[:MONTH_CHARACTERS], 0) for each in (day, day + 1))
            if known and saved.is_settled(known, after) and changed_at < known.saved_at:
                parts.append(known)
            else:
                parts.append(
                    await saved.part(name, lambda counted, day=day: lines_of_day(store, day, counted))  # type: ignore[misc]
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

    @classmethod
    async def begin(cls, saving: Saving, what: What) -> "_Backup":
        """Unless a backup is being restored."""
        await _refuse_half_a_restore(saving)
        return cls(saving, what)

    async def before(self) -> Mapping[str, Part]:
        """The parts of the newest backup, by name; none where all is to be saved anew."""
        if self._saving.whole:
            return {}
        found = await self._saving.catalogue.newest(self._what)
        return {part.name: part for part in found.parts} if found else {}

    async def changed_months(self) -> Mapping[str, int]:
        """When each month of documents was saved anew the last time, by the newest backup of those."""
        found = await self._saving.catalogue.newest(What.DOCUMENTS)
        return {part.name: part.saved_at for part in found.parts} if found else {}

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
        # Somebody may have begun to restore meanwhile.
        await _refuse_half_a_restore(self._saving)
        manifest = Manifest(
            what=self._what,
            id=self._id,
            begun_at=self._begun_at,
            ended_at=self._saving.clock(),
            parts=tuple(parts),
        )
        await self._saving.catalogue.write(manifest)
        return manifest


async def _refuse_half_a_restore(saving: Saving) -> None:
    found = await patiently(lambda: restoring.marked(saving.client), saving.shown.say)
    if found is not None:
        raise UnavailableError(
            f"the restore of {found.name} has not come to its end: what is there now is no whole to be saved"
        )


async def _keys(server: Redis, counted: Counted, shown: Shown) -> AsyncIterator[bytes]:
    """The snapshot of a server as it comes; it is read meanwhile, for one that cannot be read is none."""
    reader = RdbReader(values=False)
    try:
        async for data in dump(server):
            for _ in reader.feed(data):
                counted.records += 1
                shown.step()
            yield data
        reader.end()
        counted.largest = reader.largest
    except RdbError as error:
        # It would be the same the next time.
        raise BadSettingsError(f"REDIS_URL: what it has cannot be backed up: {error}") from error


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
