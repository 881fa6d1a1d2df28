"""Where backups are: a bucket or a folder, by one interface (obstore). Objects appear whole, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import NotFoundError

from backup.settings import BackupPlaceSettings
from runtime.object_storage import UNFINISHED, Storage, open_storage

PART_BYTES = 8 * 1024 * 1024
"""Of one upload. S3 takes 10,000 of them: 80 GB an object."""
PARTS = 2
"""Uploads under way at the same time; what they hold is in memory."""
READ_BYTES = 1024 * 1024
RETRY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is there."""

    path: str
    size: int
    """Bytes."""
    changed: datetime


class Place:
    """The objects below BACKUP_URL.

    Every method raises UnavailableError where the place does not answer, BadSettingsError where it refuses us.
    """

    def __init__(self, storage: Storage) -> None:
        """Nothing is asked of it yet."""
        self._storage = storage
        self._store = storage.store
        self._folder = storage.folder
        self.name = storage.name

    async def put(self, path: str, data: AsyncIterator[bytes]) -> None:
        """Store an object, a few megabytes of it in memory at a time. Where `data` raises, nothing is stored."""
        with self._storage.errors():
            await obstore.put_async(
                self._store, path, data, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=PARTS
            )

    async def get(self, path: str) -> AsyncIterator[bytes]:
        """An object, piece by piece. Raises FileNotFoundError."""
        with self._storage.errors():
            found = await obstore.get_async(self._store, path)
            async for data in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(data)

    async def objects(self, folder: str) -> AsyncIterator[Stored]:
        """All objects in a folder, in no order."""
        with self._storage.errors():
            async for page in obstore.list(self._store, f"{folder}/"):
                for found in page:
                    yield Stored(found["path"], found["size"], found["last_modified"])

    async def remove(self, path: str) -> None:
        """Remove an object; one that is gone already is none to worry about."""
        with self._storage.errors():
            try:
                await obstore.delete_async(self._store, path)
            except (FileNotFoundError, NotFoundError):
                return

    async def remove_unfinished(self, folder: str, is_over: Callable[[str], bool]) -> int:
        """Remove what whoever was killed while storing has left in folders of these names; how many files.

        In a bucket that is no object, and nothing that is listed: a rule of the bucket removes it.
        """
        if self._folder is None:
            return 0
        with self._storage.errors():
            return await asyncio.to_thread(_remove_unfinished, self._folder / folder, is_over)


def open_place(settings: BackupPlaceSettings, *, retry_seconds: float = RETRY_SECONDS) -> Place:
    """The place that BACKUP_URL names; nothing is asked of it yet. Raises BadSettingsError."""
    return Place(open_storage(settings.backup_url, settings, variable="BACKUP_URL", retry_seconds=retry_seconds))


def _remove_unfinished(folder: Path, is_over: Callable[[str], bool]) -> int:
    count = 0
    for backup in folder.iterdir() if folder.is_dir() else ():
        if not (is_over(backup.name) and backup.is_dir()):
            continue
        for path in backup.iterdir():
            if UNFINISHED.search(path.name):
                path.unlink(missing_ok=True)
                count += 1
        with suppress(OSError):  # something is in it
            backup.rmdir()
    return count
