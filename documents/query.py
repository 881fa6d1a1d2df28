"""Which positions are asked for, and where an answer goes on."""

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339
from core.unreadable import UNREADABLE
from documents.document import Document, time_of
from documents.tiles import BBox, tiles_of_box

LIMIT_MAX = 1000
"""Documents of one page at the most."""
CURSOR_MAX_CHARACTERS = 500
NAME_MAX_BYTES = 500
_HASH = re.compile(r"[0-9A-Za-z_]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionQuery:
    """Positions from `start` on and before `end` for which every condition that is given holds.

    At least one of `zone`, `device` and `bbox` is needed: each of them leads to an index. Raises ValueError for what
    cannot be asked.
    """

    start: int
    """Event time, milliseconds since the epoch; the first that is asked for."""
    end: int
    """The first that is not."""
    zone: str | None = None
    device: str | None = None
    """The device's hash, as documents have it."""
    bbox: BBox | None = None
    """West, south, east, north in degrees; the edges belong to it. It may not cross the 180th meridian."""
    contains: Callable[[float, float], bool] | None = None
    """Whether a polygon holds a place, by longitude and latitude; beside `bbox`, the box around the polygon."""
    keeps: Callable[[Document], Awaitable[bool]] | None = None
    """Whether a document is wanted for what somebody else knows of it; asked last, where all else holds."""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("start is after end")
        if self.start < EARLIEST_MS or self.end > LATEST_MS:
            raise ValueError("start and end lie between the years 1970 and 9999")
        if self.zone is None and self.device is None and self.bbox is None:
            raise ValueError("a query names a zone, a device, or an area")
        for name in (self.zone, self.device):
            # What is no text in UTF-8 is a ValueError, too.
            if name is not None and not 1 <= len(name.encode()) <= NAME_MAX_BYTES:
                raise ValueError(f"a zone or a device has a name of 1 to {NAME_MAX_BYTES} bytes")
        if self.bbox:
            west, south, east, north = self.bbox
            # Also false for what is not a number.
            if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # noqa: PLR2004 - degrees
                raise ValueError("a box is west, south, east, north in degrees, west and south the smaller ones")
            if self.zone is None and self.device is None:
                tiles_of_box(self.bbox)

    def matches(self, document: Document) -> bool:
        """Whether every condition holds for a document, but for `keeps`."""
        properties = document["properties"]
        longitude, latitude = document["geometry"]["coordinates"][:2]
        if self.bbox:
            west, south, east, north = self.bbox
            if not (west <= longitude <= east and south <= latitude <= north):
                return False
        return (
            self.start <= parse_rfc3339(properties["observed_at"]) < self.end
            and (self.device is None or properties["device"] == self.device)
            and (self.zone is None or self.zone in properties["zones"])
            and (self.contains is None or self.contains(longitude, latitude))
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an answer, the newest first."""

    documents: list[Document]
    """As many as were asked for at the most. Fewer, even none, do not mean that there are no more: `cursor` does."""
    cursor: str | None
    """Where to go on; None if this was the last page."""


class Mark(NamedTuple):
    """A place in the order of all documents: by event time, and at the same instant by id."""

    observed_at: int
    id: str

    @classmethod
    def of(cls, document: Document) -> "Mark":
        """Where a document stands."""
        return cls(parse_rfc3339(document["properties"]["observed_at"]), document["_id"])

    def encode(self) -> str:
        """The mark as an opaque cursor, which may stand in an address."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, cursor: str) -> "Mark":
        """The mark in a cursor. Raises ValueError for what `encode` did not make.

        It gives no right to anything: a cursor that somebody made up leads to a place that they could have asked for.
        """
        padded = cursor[:CURSOR_MAX_CHARACTERS] + "=" * (-len(cursor) % 4)
        try:
            mark = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=cls)
        except UNREADABLE:
            raise ValueError("not a cursor that an earlier page gave") from None
        if not EARLIEST_MS <= mark.observed_at <= LATEST_MS or time_of(mark.id) is None or mark.encode() != cursor:
            raise ValueError("not a cursor that an earlier page gave")
        return mark


def first_mark(query: PositionQuery) -> Mark:
    """The mark before the newest document that a query can find."""
    return Mark(query.end, "")


def checked_limit(limit: int) -> int:
    """The limit. Raises ValueError for one that no page may have."""
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is 1 to {LIMIT_MAX}")
    return limit


def checked_device(device: str) -> str:
    """The hash of a device. Raises ValueError for what cannot be one: a range of keys is made of it."""
    if not _HASH.fullmatch(device):
        raise ValueError("not the hash of a device")
    return device


def checked_count(limit: int) -> int:
    """How many to erase. Raises ValueError for less than one."""
    if limit < 1:
        raise ValueError(f"at least one document is erased, not {limit}")
    return limit
