"""What a backup consists of. Its manifest is written last, and sealed as the rest is: no manifest, no backup."""

import re
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from backup.sealing import DamagedError
from core.unreadable import UNREADABLE

FORMAT = 1
PARTS_MAX = 100_000
MANIFEST_BYTES_MAX = 64 * 1024 * 1024
_ID = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}", re.ASCII)
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = r"^[a-z0-9][a-z0-9.-]{0,63}$"
_PATH = r"^(redis|documents|series)/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}/[a-z0-9][a-z0-9.-]{0,63}$"

Count = Annotated[int, msgspec.Meta(ge=0)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]


class What(StrEnum):
    """What is backed up, each by itself."""

    REDIS = "redis"
    DOCUMENTS = "documents"
    SERIES = "series"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object of a backup; an older backup's, where nothing has changed since."""

    name: Annotated[str, msgspec.Meta(pattern=_NAME)]
    """A server of Redis (`main-0`, `raw-0`), a month of documents (`2026-11`), a day of series (`2026-11-30`)."""
    path: Annotated[str, msgspec.Meta(pattern=_PATH)]
    saved_at: Milliseconds
    """When it was begun to be written, milliseconds since the epoch: what was erased later is in it."""
    size: Count
    """Bytes, sealed."""
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """Of what is stored, so that whoever has no key can tell whether it is whole."""
    records: Count
    """Keys, documents, or points and hours."""
    database: Count = 0
    """Of Redis."""
    largest: Count = 0
    """Bytes of the largest value of a key of Redis."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backup of one of `What`."""

    format: int = FORMAT
    what: What
    id: str
    begun_at: Milliseconds
    ended_at: Milliseconds
    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=PARTS_MAX)]

    @property
    def records(self) -> int:
        """Of all parts."""
        return sum(part.records for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes of all parts, also of those that are an older backup's."""
        return sum(part.size for part in self.parts)

    @property
    def oldest_at(self) -> int:
        """Since when an erasure is not in all of its parts, milliseconds since the epoch."""
        return min((part.saved_at for part in self.parts), default=self.begun_at)

    def encode(self) -> bytes:
        """As it is sealed."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, text: bytes, path: str) -> "Manifest":
        """From what was sealed. Raises DamagedError."""
        try:
            found = msgspec.json.decode(text, type=cls)
        except UNREADABLE as error:
            raise DamagedError(f"{path} is no manifest: {error}") from error
        if found.format != FORMAT:
            raise DamagedError(f"{path} is of a later version (format {found.format}): restore with that one")
        return found


def new_id(now: int) -> str:
    """The name of a backup that begins now (milliseconds since the epoch): names sort by time."""
    return f"{datetime.fromtimestamp(now // 1000, tz=UTC).strftime(_STAMP)}-{secrets.token_hex(2)}"


def time_of(backup_id: str) -> int | None:
    """When a backup of that name began, milliseconds since the epoch; None for what is no such name."""
    found = _ID.fullmatch(backup_id)
    if found is None:
        return None
    try:
        moment = datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000
