"""A position as it is stored: a GeoJSON Feature (RFC 7946)."""

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from core.clock import parse_rfc3339
from core.kinds import KIND_ID, KindId
from core.messages import Position
from documents.tiles import TILE_CHARACTERS

Document = dict[str, Any]
"""A GeoJSON Feature whose member `_id` is its key. Coordinates are longitude, latitude and, if known, altitude."""

Key = Callable[[Position], str]
"""Makes the key of a position's document: `document_id`, or `sample_id`."""

MINUTE_MS = 60_000

_OPTIONAL = ("accuracy", "speed", "heading")
_ID = re.compile(r"[!-.0-~]{1,128}-(\d{15})(?:-[0-9a-f]{8})?", re.ASCII)


def document_id(position: Position) -> str:
    """The key of a position: hashed device and event time, so that a second delivery has the same one.

    Keys of one device sort by event time.
    """
    return f"{position.device}-{position.observed_at:015d}"


def sample_id(position: Position) -> str:
    """The key of a sample: device, minute of the event time, and zones.

    Whoever comes second in the same minute with the same zones has the same key, and is not stored. So how many samples
    there are depends neither on the order nor on the number of deliveries, and every window that a position counts in
    has a sample that counts in it, too.
    """
    zones = zlib.crc32("\0".join(position.zones).encode())
    return f"{position.device}-{position.observed_at // MINUTE_MS * MINUTE_MS:015d}-{zones:08x}"


def time_of(document_id: str) -> int | None:
    """The time in a key, milliseconds since the epoch; of a sample, its minute. None for what is no key."""
    found = _ID.fullmatch(document_id)
    return int(found[1]) if found else None


def to_document(position: Position, *, key: Key = document_id) -> Document:
    """The document of a position.

    Its times are RFC 3339 in UTC, always with three decimals: the order of the text is the order of time.
    """
    coordinates = [position.longitude, position.latitude]
    if position.altitude is not None:
        coordinates.append(position.altitude)
    properties: dict[str, Any] = {
        "kind": position.kind,
        "device": position.device,
        "observed_at": format_time(position.observed_at),
        "received_at": format_time(position.received_at),
        "zones": list(position.zones),
        "cell": position.cell,
        "tile": position.cell[:TILE_CHARACTERS],
    }
    for name in _OPTIONAL:
        value = getattr(position, name)
        if value is not None:
            properties[name] = value
    if position.fence:
        properties["fence"] = position.fence
    if position.implausible:
        properties["implausible"] = True
    if position.inaccurate:
        properties["inaccurate"] = True
    return {
        "_id": key(position),
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": properties,
    }


def from_document(document: Document) -> Position:
    """The position in a document. Raises ValueError for a document that is not one of a position."""
    feature = msgspec.convert(document, _Feature)
    longitude, latitude, *altitude = feature.geometry.coordinates
    properties = feature.properties
    return Position(
        kind=properties.kind,
        device=properties.device,
        observed_at=parse_rfc3339(properties.observed_at),
        received_at=parse_rfc3339(properties.received_at),
        longitude=longitude,
        latitude=latitude,
        zones=properties.zones,
        cell=properties.cell,
        altitude=altitude[0] if altitude else None,
        accuracy=properties.accuracy,
        speed=properties.speed,
        heading=properties.heading,
        fence=properties.fence,
        implausible=properties.implausible,
        inaccurate=properties.inaccurate,
    )


def format_time(milliseconds: int) -> str:
    """RFC 3339 in UTC with three decimals, as documents have it."""
    seconds, rest = divmod(milliseconds, 1000)
    # Half the cost of a document where strftime makes it.
    return f"{datetime.fromtimestamp(seconds, tz=UTC).isoformat()[:19]}.{rest:03d}Z"


class _Point(msgspec.Struct):
    type: Literal["Point"]
    coordinates: Annotated[list[float], msgspec.Meta(min_length=2, max_length=3)]


class _Properties(msgspec.Struct):
    kind: Annotated[KindId, msgspec.Meta(pattern=f"^{KIND_ID}$")]
    device: str
    observed_at: str
    received_at: str
    zones: tuple[str, ...]
    cell: str
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None
    fence: str = ""
    implausible: bool = False
    inaccurate: bool = False


class _Feature(msgspec.Struct):
    type: Literal["Feature"]
    geometry: _Point
    properties: _Properties
