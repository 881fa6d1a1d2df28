"""Where backups are: a bucket or a folder, by one interface (obstore). Objects appear whole, or not at all."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store

from backup.settings import BackupPlaceSettings
from core.errors import BadSettingsError, UnavailableError

PART_BYTES = 8 * 1024 * 1024
"""Of one upload. S3 takes 10,000 of them: 80 GB an object."""
PARTS = 2
"""Uploads under way at the same time; what they hold is in memory."""
READ_BYTES = 1024 * 1024
RETRY_SECONDS = 120
_NOT_FOUND = "status code: 404"
_UNFINISHED = re.compile(r"#[0-9]+$", re.ASCII)
"""How obstore calls a file that is not yet an object."""
_REFUSED = re.compile("status code: 40[13]")


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

    def __init__(self, store: ObjectStore, name: str, *, folder: Path | None = None) -> None:
        """`name` is how sentences call it; `folder` is where it is, if it is in one."""
        self._store = store
        self._folder = folder
        self.name = name

    async def put(self, path: str, data: AsyncIterator[bytes]) -> None:
        """Store an object, a few megabytes of it in memory at a time. Where `data` raises, nothing is stored."""
        with self._errors():
            await obstore.put_async(
                self._store, path, data, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=PARTS
            )

    async def get(self, path: str) -> AsyncIterator[bytes]:
        """An object, piece by piece. Raises FileNotFoundError."""
        with self._errors():
            found = await obstore.get_async(self._store, path)
            async for data in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(data)

    async def objects(self, folder: str) -> AsyncIterator[Stored]:
        """All objects in a folder, in no order."""
        with self._errors():
            async for page in obstore.list(self._store, f"{folder}/"):
                for found in page:
                    yield Stored(found["path"], found["size"], found["last_modified"])

    async def remove(self, path: str) -> None:
        """Remove an object; one that is gone already is none to worry about."""
        with self._errors():
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
        with self._errors():
            return await asyncio.to_thread(_remove_unfinished, self._folder / folder, is_over)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            words = _words(error)
            # Some requests tell of a status by their words alone.
            if isinstance(error, FileNotFoundError | NotFoundError) or _NOT_FOUND in words:
                raise FileNotFoundError(f"{self.name} has no such object or bucket: {words}") from error
            if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REFUSED.search(words):
                raise BadSettingsError(
                    f"BACKUP_URL: {self.name} refuses S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY: {words}"
                ) from error
            raise UnavailableError(f"{self.name} cannot be used: {words}") from error


def open_place(settings: BackupPlaceSettings, *, retry_seconds: float = RETRY_SECONDS) -> Place:
    """The place that BACKUP_URL names; nothing is asked of it yet. Raises BadSettingsError."""
    parts = urlsplit(settings.backup_url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Place(LocalStore(folder), f"the folder {folder}", folder=folder)
        except (BaseError, OSError) as error:
            raise BadSettingsError(f"BACKUP_URL: {folder} cannot be used: {_words(error)}") from error
    store = S3Store(
        str(parts.hostname),
        prefix=parts.path.strip("/") or None,
        endpoint=settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com",
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id.get_secret_value(),
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        client_options={"allow_http": settings.s3_endpoint.startswith("http://")},
        retry_config={"max_retries": 10, "retry_timeout": timedelta(seconds=retry_seconds)},
    )
    return Place(store, f"the bucket {parts.hostname}")


def _remove_unfinished(folder: Path, is_over: Callable[[str], bool]) -> int:
    count = 0
    for backup in folder.iterdir() if folder.is_dir() else ():
        if not (is_over(backup.name) and backup.is_dir()):
            continue
        for path in backup.iterdir():
            if _UNFINISHED.search(path.name):
                path.unlink(missing_ok=True)
                count += 1
        with suppress(OSError):  # something is in it
            backup.rmdir()
    return count


def _words(error: BaseException) -> str:
    """The first line of what obstore says: a debugging dump of its own follows."""
    return " ".join((str(error).strip() or type(error).__name__).split("\n", 1)[0].split())[:300]
