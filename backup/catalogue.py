"""The backups in a place: written part by part, found again, checked, and removed when they are old.

{what}/{id}/{part}      sealed parts; also what later backups refer to
{what}/{id}/manifest    sealed last
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from backup.manifest import MANIFEST_BYTES_MAX, Manifest, Part, What, time_of
from backup.place import Place
from backup.sealing import DamagedError, seal, unseal

MANIFEST = "manifest"
_NAMES = 3
"""In the path of an object."""
DAY_MS = 86_400_000
UNFINISHED_MS = DAY_MS
"""A part that no manifest names may be of a backup that is being made, so long after that was begun."""


@dataclass(slots=True)
class Counted:
    """How many records have passed; whoever makes them counts."""

    records: int = 0
    largest: int = 0
    """Bytes of the largest value of a key of Redis."""


@dataclass(slots=True)
class Tidied:
    """What became of old backups."""

    removed: int = 0
    objects: int = 0
    unreadable: int = 0
    """Backups that are kept and cannot be read with this BACKUP_KEY: what they may refer to is kept, too."""


class Catalogue:
    """The backups below BACKUP_URL, opened with BACKUP_KEY. Its methods raise what those of `Place` raise."""

    def __init__(self, place: Place, key: bytes) -> None:
        self.place = place
        self._key = key

    async def ids(self, what: What) -> list[str]:
        """The names of the backups that are complete, the newest first."""
        found = [stored.path.split("/") async for stored in self.place.objects(what)]
        return sorted((path[1] for path in found if _is_manifest(path)), reverse=True)

    async def read(self, what: What, backup_id: str) -> Manifest:
        """The manifest of a backup. Raises DamagedError, and FileNotFoundError where there is none."""
        path = f"{what}/{backup_id}/{MANIFEST}"
        text = bytearray()
        async for piece in unseal(self.place.get(path), self._key, path):
            text += piece
            if len(text) > MANIFEST_BYTES_MAX:
                raise DamagedError(f"{path} is too long for a manifest")
        found = Manifest.decode(bytes(text), path)
        if found.what != what or found.id != backup_id:
            raise DamagedError(f"{path} is that of another backup")
        return found

    async def newest(self, what: What, *, until: int | None = None) -> Manifest | None:
        """The newest backup that can be read and was begun at `until` (ms since the epoch) or before; None: none."""
        for backup_id in await self.ids(what):
            if until is not None and (time_of(backup_id) or 0) > until:
                continue
            try:
                return await self.read(what, backup_id)
            except DamagedError:
                continue
        return None

    async def write(self, manifest: Manifest) -> None:
        """Make a backup of parts that are there."""
        path = f"{manifest.what}/{manifest.id}/{MANIFEST}"
        await self.place.put(path, seal(_once(manifest.encode()), self._key, path))

    async def write_part(
        self, what: What, backup_id: str, name: str, data: AsyncIterator[bytes], counted: Counted, *, now: int
    ) -> Part:
        """Seal and store a part. Where `data` raises, nothing is stored."""
        path = f"{what}/{backup_id}/{name}"
        digest, size = hashlib.sha256(), 0

        async def sealed() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in seal(data, self._key, path):
                digest.update(piece)
                size += len(piece)
                yield piece

        await self.place.put(path, sealed())
        return Part(
            name=name,
            path=path,
            saved_at=now,
            size=size,
            sha256=digest.hexdigest(),
            records=counted.records,
            largest=counted.largest,
        )

    async def open_part(self, part: Part) -> AsyncIterator[bytes]:
        """The text of a part, piece by piece. Raises DamagedError."""
        try:
            async for piece in unseal(self.place.get(part.path), self._key, part.path):
                yield piece
        except FileNotFoundError as error:
            raise DamagedError(f"{part.path} is missing") from error

    async def check(self, part: Part) -> AsyncIterator[int]:
        """Look whether a part is what its manifest says: bytes as they are read. Raises DamagedError at the end."""
        digest, size = hashlib.sha256(), 0
        try:
            async for data in self.place.get(part.path):
                digest.update(data)
                size += len(data)
                yield len(data)
        except FileNotFoundError as error:
            raise DamagedError(f"{part.path} is missing") from error
        if size != part.size or digest.hexdigest() != part.sha256:
            raise DamagedError(
                f"{part.path} is not what was saved: {size:,} bytes of {part.size:,}, or others than those"
            )

    async def tidy(self, what: What, *, now: int, keep_days: int) -> Tidied:
        """Remove backups that are older than that many days, but for the newest that can be read, and lost parts."""
        done = Tidied()
        keep_ms = keep_days * DAY_MS
        objects = {stored.path: stored.path.split("/") async for stored in self.place.objects(what)}
        used: set[str] = set()
        newest = False
        for path in sorted((path for path, names in objects.items() if _is_manifest(names)), reverse=True):
            backup_id = objects[path][1]
            is_old = now - (time_of(backup_id) or 0) > keep_ms
            try:
                manifest = await self.read(what, backup_id)
            except DamagedError:
                done.unreadable += not is_old
                manifest = None
            if is_old and (newest or manifest is None):
                # Its manifest goes first: what is half removed is no backup.
                await self.place.remove(path)
                done.removed += 1
            elif manifest is not None:
                newest = True
                used |= {path, *(part.path for part in manifest.parts)}

        def is_over(backup_id: str) -> bool:
            begun_at = time_of(backup_id)
            return begun_at is not None and now - begun_at > UNFINISHED_MS

        # No part is referred to for longer than `keep_ms`, by no backup that is older than that.
        patience = 2 * keep_ms if done.unreadable else UNFINISHED_MS
        for path, names in objects.items():
            begun_at = time_of(names[1]) if len(names) == _NAMES else None
            if path not in used and not _is_manifest(names) and begun_at is not None and now - begun_at > patience:
                await self.place.remove(path)
                done.objects += 1
        done.objects += await self.place.remove_unfinished(what, is_over)
        return done


def _is_manifest(names: list[str]) -> bool:
    return len(names) == _NAMES and names[2] == MANIFEST and time_of(names[1]) is not None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
