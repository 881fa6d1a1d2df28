"""The files of a lake, in a folder or in a bucket. Each appears whole, or not at all."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError
from obstore.store import S3Store

from core.errors import BadSettingsError, UnavailableError
from lake.settings import LakeSettings
from runtime.object_storage import UNFINISHED, Storage, open_storage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from obstore import ReadableFile

RETRY_SECONDS = 30
"""How long one request to a bucket is repeated: whoever asked tries again later anyway."""

BUFFER = 128 * 1024
"""Bytes that are read at once of a file that is looked into."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there."""

    path: str
    size: int
    """Bytes."""
    changed: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """What a file held when it was read, and the mark by which the store knows that state of it."""

    data: bytes
    tag: str


class Lake:
    """The files of one lake; paths are below it, as `lake.layout` has them.

    Every method blocks, may be called in any thread, and raises UnavailableError where the store cannot be used, also
    where it refuses us: whoever runs for ever goes on once that is put right.
    """

    def __init__(self, storage: Storage) -> None:
        """Nothing is asked of it yet."""
        self._storage = storage
        self._store = storage.store
        self.name = storage.name
        """How sentences call it."""
        self.folder = storage.folder
        """Where it is, if it is in a folder."""

    def put(self, path: str, data: bytes) -> None:
        """Store a file, in the place of one of that name. In a folder it has survived a loss of power by then."""
        with self._errors(missing=True):
            obstore.put(self._store, path, data, use_multipart=False)
            self._sync(path)

    def get(self, path: str) -> bytes:
        """What is in a file. Raises FileNotFoundError."""
        with self._errors():
            return bytes(obstore.get(self._store, path).bytes())

    @contextmanager
    def open(self, path: str) -> Iterator[io.RawIOBase]:
        """A file to be read here and there, for as long as the block lasts. Raises FileNotFoundError."""
        with self._errors():
            yield _File(obstore.open_reader(self._store, path, buffer_size=BUFFER))

    def list(self, prefix: str) -> list[Stored]:
        """All files in a folder and below it, in the order of their paths; none where there is no such folder."""
        with self._errors(missing=True):
            found = [
                Stored(each["path"], each["size"], each["last_modified"])
                for page in obstore.list(self._store, f"{prefix}/")
                for each in page
            ]
        return sorted(found, key=lambda stored: stored.path)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; one that is gone already is none to worry about."""
        for path in paths:
            with self._errors(), suppress(FileNotFoundError, NotFoundError):
                obstore.delete(self._store, path)
                self._sync_folder(path)

    def delete_unfinished(self, prefix: str) -> int:
        """Delete what whoever was killed while storing left below a folder; how many files.

        Who is storing there now is told that the store cannot be used, and does it again. In a bucket that is no
        object, and nothing that is listed.
        """
        if self.folder is None:
            return 0
        with self._errors(missing=True):
            left = [path for path in (self.folder / prefix).rglob("*") if UNFINISHED.search(path.name)]
            for path in left:
                path.unlink(missing_ok=True)
            return len(left)

    def create(self, path: str, data: bytes) -> bool:
        """Store a file if there is none of that name; whether it was so."""
        try:
            with self._errors(missing=True):
                obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except FileExistsError:
            return False
        return True

    def version(self, path: str) -> Version | None:
        """A file and its mark; None where there is no such file."""
        try:
            with self._errors():
                found = obstore.get(self._store, path)
                return Version(bytes(found.bytes()), found.meta["e_tag"] or "")
        except FileNotFoundError:
            return None

    def replace(self, path: str, data: bytes, version: Version) -> bool:
        """Store a file if it is as it was at that version; whether it was so. A folder cannot do that."""
        try:
            with self._errors(missing=True):
                obstore.put(self._store, path, data, mode={"e_tag": version.tag}, use_multipart=False)
        except FileExistsError:
            return False
        return True

    def address(self, path: str) -> str:
        """What others call a file: an absolute path, or s3://bucket/prefix/path."""
        return f"s3://{self._storage.bucket}/{path}" if self.folder is None else str(self.folder / path)

    def path(self, address: str) -> str:
        """The path of an address."""
        return address.removeprefix(self.address("")).lstrip("/")

    def filesystem(self) -> "AbstractFileSystem | None":
        """See `lake.reading.filesystem`."""
        if not isinstance(self._store, S3Store):
            return None
        from obstore.fsspec import FsspecStore  # noqa: PLC0415

        config = self._store.config.copy()
        # Both are in the addresses.
        config.pop("bucket", None)
        return FsspecStore(
            "s3", config=config, client_options=self._store.client_options, retry_config=self._store.retry_config
        )

    def _sync(self, path: str) -> None:
        # Whoever exports acknowledges what it has stored. A file's name lies in its folder, and that folder's in the
        # one above.
        if self.folder is None:
            return
        file = self.folder / path
        for each in [file, *file.parents][: len(Path(path).parts) + 1]:
            _fsync(each)

    def _sync_folder(self, path: str) -> None:
        if self.folder is not None:
            with suppress(FileNotFoundError):
                _fsync((self.folder / path).parent)

    @contextmanager
    def _errors(self, *, missing: bool = False) -> Iterator[None]:
        """`missing`: that something is not there can only mean the bucket, or the folder of the lake."""
        try:
            with self._storage.errors():
                try:
                    yield
                except (AlreadyExistsError, PreconditionError) as error:
                    raise _OtherThereError from error
        except _OtherThereError as error:
            raise FileExistsError(f"{self.name} has another file of that name") from error
        except BadSettingsError as error:
            raise UnavailableError(str(error)) from error
        except FileNotFoundError as error:
            if missing:
                raise UnavailableError(str(error)) from error
            raise


def open_lake(settings: LakeSettings, data_dir: Path, *, retry_seconds: float = RETRY_SECONDS) -> Lake:
    """The lake at LAKE_URL, by default in DATA_DIR; of a bucket nothing is asked yet. Raises BadSettingsError."""
    address = settings.lake_address(data_dir)
    return Lake(open_storage(address, settings, variable="LAKE_URL", retry_seconds=retry_seconds))


class _File(io.RawIOBase):
    """obstore's reader, with all that Python calls a file."""

    def __init__(self, reader: "ReadableFile") -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(self._reader.read(None if size < 0 else size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()


class _OtherThereError(Exception):
    """A condition of a put was not met; an OSError would be taken for one of the store."""


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
