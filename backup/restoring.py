"""Restoring: everything is checked before anything is written, and nothing works on it before it is complete.

While it goes on, Redis is marked (`state.restoring`), so that services refuse to start. The mark goes last. Whatever
ends a restore before, the same command does it again from the beginning, over what it has written.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from backup.catalogue import Catalogue
from backup.erasures import Erasures
from backup.manifest import Manifest, Part, What
from backup.progress import Shown
from backup.rdb import RdbError, RdbReader
from backup.sealing import DamagedError
from backup.series import LINE_BYTES_MAX, parsed
from backup.waiting import patiently
from core.clock import Clock
from core.errors import BadSettingsError
from core.messages import Position
from documents.document import from_document
from documents.store import DocumentStore, RejectedDocumentError
from state import restoring
from state.client import Redis
from state.raw_redis import raw_redis
from timeseries.coverage import Coverage
from timeseries.store import OccupancyPoint, TimeseriesStore

KEYS = 200
KEY_BYTES = 4 * 1024 * 1024
"""Of one round trip to Redis; a key that is larger goes alone."""
ROOM_BYTES = 1024
"""What DUMP has besides a value, and more."""
DOCUMENTS = 500
POINTS = 5000
DOCUMENT_BYTES_MAX = 1024 * 1024
Chosen = Mapping[What, Manifest]


@dataclass(slots=True)
class Restored:
    """What became of a restore."""

    records: dict[What, int] = field(default_factory=dict)
    lapsed: int = 0
    """Keys of Redis whose time was over."""
    erased: int = 0
    """Documents of devices that were erased since: left out, or removed."""
    refused: int = 0
    """Documents that are no positions, or that the store does not take."""
    expired: int = 0
    """Points that are older than the store keeps any."""


async def choose(catalogue: Catalogue, wanted: Sequence[What], *, until: int | None) -> dict[What, Manifest]:
    """The newest backups that belong together, of those that were begun until then.

    Redis's is one that was begun before the others: what its snapshot does not have is in them (`backup.saving`).
    Raises FileNotFoundError where there is none.
    """
    found: dict[What, Manifest] = {}
    for what in (What.DOCUMENTS, What.SERIES, What.REDIS):
        if what not in wanted:
            continue
        limit = until
        if what is What.REDIS and found:
            limit = min(manifest.begun_at for manifest in found.values())
        manifest = await catalogue.newest(what, until=limit)
        if manifest is None:
            raise FileNotFoundError(await _none(catalogue, what, found))
        found[what] = manifest
    return {what: found[what] for what in What if what in found}


async def _none(catalogue: Catalogue, what: What, found: Chosen) -> str:
    there = len(await catalogue.ids(what))
    if not there:
        return f"there is no backup of {what} in {catalogue.place.name}"
    when = ", begun before those of the others," if what is What.REDIS and found else ""
    return (
        f"none of {there} backups of {what} in {catalogue.place.name} is old enough{when} and can be opened with this"
        " BACKUP_KEY"
    )


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """What it takes to restore; `over` restores to where something is."""

    catalogue: Catalogue
    shown: Shown
    clock: Clock
    erasures: Erasures
    over: bool = False

    async def check(self, chosen: Chosen) -> None:
        """Look whether each part is whole, before anything is written. Raises DamagedError."""
        for what, manifest in chosen.items():
            self.shown.begin(f"checking {what}", manifest.size)
            for part in manifest.parts:
                async for size in self.catalogue.check(part):
                    self.shown.step(size)

    async def open(self, chosen: Chosen) -> None:
        """Open each part, and read all that is in it. Raises DamagedError."""
        for what, manifest in chosen.items():
            self.shown.begin(f"opening {what}", manifest.records)
            for part in manifest.parts:
                count = await self._count(what, part)
                if count != part.records:
                    raise DamagedError(f"{part.path} has {count:,} records, and its manifest says {part.records:,}")
                self.shown.step(count)

    async def _count(self, what: What, part: Part) -> int:
        if what is What.REDIS:
            reader, count = RdbReader(values=False), 0
            try:
                async for data in self.catalogue.open_part(part):
                    count += sum(1 for _ in reader.feed(data))
                reader.end()
            except RdbError as error:
                raise DamagedError(f"{part.path}: {error}") from error
            return count
        most = LINE_BYTES_MAX if what is What.SERIES else DOCUMENT_BYTES_MAX
        count = 0
        async for line in _lines(self.catalogue.open_part(part), part.path, most):
            if what is What.SERIES:
                parsed(line, part.path)
            count += 1
        return count

    async def run(
        self,
        chosen: Chosen,
        *,
        redis: Redis,
        documents: DocumentStore | None,
        series: TimeseriesStore | None,
        partitions: int,
    ) -> Restored:
        """Restore what was chosen and checked, and repeat the erasures.

        Raises what the stores raise, and DamagedError.
        """
        done = Restored()
        await self._begin(chosen, redis, series)
        if documents is not None and What.DOCUMENTS in chosen:
            await patiently(documents.setup, self.shown.say)
            await self._documents(chosen[What.DOCUMENTS], documents, done)
        if series is not None and What.SERIES in chosen:
            await patiently(series.setup, self.shown.say)
            await self._series(chosen[What.SERIES], series, done)
        if What.REDIS in chosen:
            await self._redis(chosen[What.REDIS], redis, done)
        done.erased += await self.erasures.repeat(
            documents, redis, partitions=await restoring.partitions(redis) or partitions, now=self.clock()
        )
        await restoring.finish(redis)
        return done

    async def _begin(self, chosen: Chosen, redis: Redis, series: TimeseriesStore | None) -> None:
        name = " ".join(f"{what}/{manifest.id}" for what, manifest in chosen.items())
        before = await restoring.marked(redis)
        again = before is not None and before.name == name
        if before is not None and What.REDIS not in chosen and _names_redis(before.name):
            # Its mark goes when a restore ends: services would start on half a Redis.
            raise BadSettingsError(
                f"the restore of {before.name} was begun and has not come to its end, and Redis may have a part of it:"
                " do that again (--at), or begin another of Redis, too, with --over"
            )
        if before is not None and not again and not self.over:
            raise BadSettingsError(
                f"the restore of {before.name} was begun and has not come to its end: do that again (--at), or begin"
                " another with --over"
            )
        if not again and not self.over and series is not None and await _has_some(series, self.shown):
            raise BadSettingsError(
                "the time-series store is not empty: points of the backup would take the place of newer ones. Restore"
                " to an empty one, or say --over"
            )
        if What.REDIS in chosen:
            await self._check_redis(chosen[What.REDIS], redis)
        if What.REDIS in chosen and not (again and before is not None and before.emptied):
            # Besides the mark of this one, where it was begun.
            if await restoring.keys_there(redis) > again and not self.over:
                raise BadSettingsError(
                    "REDIS_URL: Redis is not empty: restore to an empty one, or say --over, which removes what it has"
                )
            await restoring.empty(redis, name)
            await restoring.refuse_others(redis)
        await restoring.mark(redis, name)

    async def _check_redis(self, manifest: Manifest, redis: Redis) -> None:
        """Look whether this Redis can take all that there is. Raises BadSettingsError."""
        if (raw_redis(redis) is not redis) != any(part.name.startswith("raw") for part in manifest.parts):
            raise BadSettingsError(
                "RAW_REDIS_URL: set it where the system that was saved had it, and there alone; it may lead to an empty"
                " Redis of any kind"
            )
        needed = max((part.largest for part in manifest.parts), default=0) + ROOM_BYTES
        if needed > (most := await restoring.takes_at_once(redis)):
            raise BadSettingsError(
                f"REDIS_URL: this Redis takes {most:,} bytes at once, and a key of the backup has more: CONFIG SET"
                f" proto-max-bulk-len {needed}"
            )

    async def _redis(self, manifest: Manifest, redis: Redis, done: Restored) -> None:
        raw = raw_redis(redis)
        count = 0
        for part in manifest.parts:
            self.shown.begin(f"Redis, {part.name}: keys", part.records)
            target = raw if part.name.startswith("raw") else redis
            async for keys in self._keys(part, done):
                count += len(keys)
                self.shown.step(len(keys))
                await patiently(lambda: restoring.put(target, keys), self.shown.say)  # noqa: B023 - called at once
                keys.clear()  # the next may be as large
        done.records[What.REDIS] = count

    async def _keys(self, part: Part, done: Restored) -> AsyncIterator[list[restoring.Dumped]]:
        """The keys of a part whose time is not over, some at a time; none behind a large one."""
        reader, now = RdbReader(values=True), self.clock()
        batch: list[restoring.Dumped] = []
        size = 0
        try:
            async for data in self.catalogue.open_part(part):
                for key in reader.feed(data):
                    if key.database == part.database and (key.expires_at is None or key.expires_at > now):
                        batch.append((key.name, key.expires_at or 0, key.dumped))
                        size += key.size
                    else:
                        done.lapsed += key.database == part.database
                    del key
                    if len(batch) >= KEYS or size >= KEY_BYTES:
                        yield batch
                        batch, size = [], 0
            reader.end()
        except RdbError as error:
            raise DamagedError(f"{part.path}: {error}") from error
        yield batch

    async def _documents(self, manifest: Manifest, store: DocumentStore, done: Restored) -> None:
        count = 0
        self.shown.begin("documents", manifest.records)
        for part in manifest.parts:
            ids: dict[int, str] = {}
            batch: list[Position] = []
            async for line in _lines(self.catalogue.open_part(part), part.path, DOCUMENT_BYTES_MAX):
                self.shown.step()
                position, document_id = _position(line)
                if position is None:
                    done.refused += 1
                elif self.erasures.covers(position.device):
                    done.erased += 1
                else:
                    # Two positions may be equal and have keys of two kinds: so by which object it is.
                    ids[id(position)] = document_id
                    batch.append(position)
                if len(batch) == DOCUMENTS:
                    count += await self._put(store, batch, ids, done)
            count += await self._put(store, batch, ids, done)
        done.records[What.DOCUMENTS] = count

    async def _put(self, store: DocumentStore, batch: list[Position], ids: dict[int, str], done: Restored) -> int:
        async def put() -> None:
            await store.put(batch, key=lambda position: ids[id(position)])

        count = len(batch)
        try:
            await patiently(put, self.shown.say)
        except RejectedDocumentError as error:
            done.refused += len(error.reasons)
            count -= len(error.reasons)
        batch.clear()
        ids.clear()
        return count

    async def _series(self, manifest: Manifest, store: TimeseriesStore, done: Restored) -> None:
        count = 0
        self.shown.begin("series", manifest.records)
        for part in manifest.parts:
            points: list[OccupancyPoint] = []
            hours: list[Coverage] = []

            async def write(points: list[OccupancyPoint] = points, hours: list[Coverage] = hours) -> int:
                """How many of them are there now."""
                written = await store.write(points)
                written.check()
                await store.write_coverage(hours)
                done.expired += written.expired
                done.refused += len(written.refused)
                return len(points) + len(hours) - written.expired - len(written.refused)

            async for line in _lines(self.catalogue.open_part(part), part.path, LINE_BYTES_MAX):
                record = parsed(line, part.path)
                if isinstance(record, Coverage):
                    hours.append(record)
                else:
                    points.append(record)
                if len(points) + len(hours) == POINTS:
                    count += await patiently(write, self.shown.say)
                    self.shown.step(POINTS)
                    points.clear()
                    hours.clear()
            count += await patiently(write, self.shown.say)
            self.shown.step(len(points) + len(hours))
        done.records[What.SERIES] = count


def _names_redis(mark: str) -> bool:
    return any(name.startswith(f"{What.REDIS}/") for name in mark.split())


async def _has_some(series: TimeseriesStore, shown: Shown) -> bool:
    async def look() -> bool:
        await series.setup()
        return await series.next_time(-(2**62)) is not None

    return await patiently(look, shown.say)


def _position(line: bytes) -> tuple[Position | None, str]:
    try:
        document = msgspec.json.decode(line)
        return from_document(document), str(document["_id"])
    except (ValueError, KeyError, TypeError):
        return None, ""


async def _lines(pieces: AsyncIterator[bytes], path: str, most: int) -> AsyncIterator[bytes]:
    """The lines of a text, without their ends. Raises DamagedError for one of more bytes than that."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > most:
            raise DamagedError(f"{path} has a line of more than {most:,} bytes")
    if rest:
        raise DamagedError(f"{path} ends within a line")
