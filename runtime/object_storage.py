"""A bucket or a folder behind one interface (obstore), as backups and the lake have it; and what its errors mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store

from core.errors import BadSettingsError, UnavailableError
from runtime.settings import ObjectStorageSettings

UNFINISHED = re.compile(r"#[0-9]+$", re.ASCII)
"""How obstore calls a file that is not yet an object: it stays where its writer was killed."""
_NOT_FOUND = "status code: 404"
_REFUSED = re.compile("status code: 40[13]")


@dataclass(frozen=True, slots=True)
class Storage:
    """A store that is opened; nothing has been asked of it yet."""

    store: ObjectStore
    name: str
    """How sentences call it."""
    variable: str
    """The setting that names it."""
    folder: Path | None = None
    """Where it is, if it is in a folder."""
    bucket: str = ""
    """Its bucket and prefix, as in `bucket/prefix`, if it is in one."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of obstore as ours.

        FileNotFoundError where there is no such object or bucket, BadSettingsError where the store refuses us,
        UnavailableError for all else.
        """
        try:
            yield
        except (BaseError, OSError) as error:
            said = words(error)
            # Some requests tell of a status by their words alone.
            if isinstance(error, FileNotFoundError | NotFoundError) or _NOT_FOUND in said:
                raise FileNotFoundError(f"{self.name} has no such object or bucket: {said}") from error
            if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REFUSED.search(said):
                raise BadSettingsError(
                    f"{self.variable}: {self.name} refuses S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY: {said}"
                ) from error
            raise UnavailableError(f"{self.name} cannot be used: {said}") from error


def open_storage(url: str, settings: ObjectStorageSettings, *, variable: str, retry_seconds: float) -> Storage:
    """The store at s3://bucket/prefix or file:///a/folder, which is made if it is not there.

    `variable` is the setting that names it, `retry_seconds` is how long one request to a bucket is repeated. Raises
    BadSettingsError for a folder that cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Storage(LocalStore(folder), f"the folder {folder}", variable, folder=folder)
        except (BaseError, OSError) as error:
            raise BadSettingsError(f"{variable}: {folder} cannot be used: {words(error)}") from error
    prefix = parts.path.strip("/")
    store = S3Store(
        str(parts.hostname),
        prefix=prefix or None,
        endpoint=settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com",
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id.get_secret_value(),
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        client_options={"allow_http": settings.s3_endpoint.startswith("http://")},
        retry_config={"max_retries": 10, "retry_timeout": timedelta(seconds=retry_seconds)},
    )
    bucket = f"{parts.hostname}/{prefix}".rstrip("/")
    return Storage(store, f"the bucket {parts.hostname}", variable, bucket=bucket)


def words(error: BaseException) -> str:
    """The first line of what obstore says: a debugging dump of its own follows."""
    return " ".join((str(error).strip() or type(error).__name__).split("\n", 1)[0].split())[:300]
