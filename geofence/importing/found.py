"""What a file has, before anybody knows what of it is a campus."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from shapely import MultiPolygon, Polygon

MAX_FILE_BYTES = 64_000_000
"""Of one file, and of what is packed in it: memory is bounded by it, at some 2 GB."""
MAX_OSM_TEXT_BYTES = 32_000_000
"""Of OpenStreetMap as XML or JSON, which takes 24 times as much memory while it is put together."""
MAX_FOUND = 200_000
"""Things in one file, areas or not."""

Area: TypeAlias = Polygon | MultiPolygon


class CannotImportError(ValueError):
    """A file of which no campus can be made; the message says why, and what to do."""


class UnknownCrsError(CannotImportError):
    """A file whose coordinates are no degrees, and that does not say what they are."""


def printable(text: str) -> str:
    """A text of a file on one line, without what would move a terminal's cursor."""
    return " ".join("".join(part if part.isprintable() else " " for part in text).split())


@dataclass(frozen=True, slots=True)
class Raw:
    """One thing as its file has it."""

    geometry: object
    """A GeoJSON geometry, or what stands in its place."""
    tags: Mapping[str, object]
    """Names and values, nested ones flattened; names as the file has them."""
    own_id: str | None = None
    """The id that the file gives it, whatever it looks like."""
    osm: str | None = None
    """What it is in OpenStreetMap, such as `way/1002`."""
    layer: str = ""
    """What the file calls the layer that it is in."""
    crs: str | None = None
    """The reference system of the coordinates; None: the file does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One thing in a file: an area, or what is none."""

    file: str
    """The file's name, without folders."""
    number: int
    """Which one it is in its file, from 1."""
    raw: Raw
    area: Area | None
    """Degrees of WGS 84, valid; longitudes go on beyond 180 where it crosses that line. None: it is no area."""
    kind: str = ""
    """Of what is no area, what it is, such as `Point`."""
    mended: bool = False
    """Whether its outline crossed itself, or the like."""

    @property
    def called(self) -> str:
        """How a sentence calls it."""
        name = next((value for key, value in self.raw.tags.items() if key.lower() == "name" and value), None)
        known = printable(self.raw.osm or self.raw.own_id or f"number {self.number} of {self.file}")[:60]
        return f"{str(name)[:60]!r} ({known})" if name else known


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a file has and the campus has not."""

    why: str
    """The same words for all that is left out for the same reason."""
    called: str
