"""Which positions are asked for, and where an answer goes on."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339
from documents.document import Document, time_of
from documents.tiles import BBox, tiles_of_box, tiles_of_cells

LIMIT_MAX = 1000
"""Documents of one page at the most."""
CURSOR_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionQuery:
    """Positions from `start` on and before `end` for which every condition that is given holds.

    At least one of `zone`, `device`, `bbox` and `cells` is needed: each of them leads to an index. Raises ValueError
    for what cannot be asked.
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
    cells: tuple[str, ...] = ()
    """Geohashes, of 5 characters or more, one of which holds the position: what covers a polygon, say."""
    contains: Callable[[float, float], bool] | None = None
    """The exact answer for a polygon, by longitude and latitude. Beside `cells` or another condition."""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("start is after end")
        if self.start < EARLIEST_MS or self.end > LATEST_MS:
            raise ValueError("start and end lie between the years 1970 and 9999")
        if not (self.zone or self.device or self.bbox or self.cells):
            raise ValueError("a query names a zone, a device, or an area")
        if self.bbox:
            west, south, east, north = self.bbox
            # Also false for what is not a number.
            if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # noqa: PLR2004 - degrees
                raise ValueError("a box is west, south, east, north in degrees, west and south the smaller ones")
        if not (self.device or self.zone):
            _ = self.tiles

    @property
    def tiles(self) -> frozenset[str]:
        """The tiles of the area, none if there is no area. Raises ValueError for one that is too large."""
        of_box = tiles_of_box(self.bbox) if self.bbox else None
        of_cells = tiles_of_cells(self.cells) if self.cells else None
        if of_box is None or of_cells is None:
            return of_box or of_cells or frozenset()
        return of_box & of_cells

    def matches(self, document: Document) -> bool:
        """Whether every condition holds for a document."""
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
            and (not self.cells or properties["cell"].startswith(self.cells))
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
        except (ValueError, binascii.Error, msgspec.DecodeError):
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
