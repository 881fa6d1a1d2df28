"""A position as it is stored: a GeoJSON Feature (RFC 7946)."""

from typing import Annotated, Any, Literal

import msgspec

from core.clock import format_rfc3339, parse_rfc3339
from core.messages import Kind, Position

Document = dict[str, Any]
"""A GeoJSON Feature whose member `_id` is its key. Coordinates are longitude, latitude and, if known, altitude."""

_OPTIONAL = ("accuracy", "speed", "heading")


def document_id(position: Position) -> str:
    """The key of a position: hashed device and event time, so that a second delivery has the same one.

    Keys of one device sort by event time.
    """
    return f"{position.device}-{position.observed_at:015d}"


def to_document(position: Position) -> Document:
    """The document of a position.

    Its times are RFC 3339 in UTC, always with three decimals: the order of the text is the order of time.
    """
    coordinates = [position.longitude, position.latitude]
    if position.altitude is not None:
        coordinates.append(position.altitude)
    properties: dict[str, Any] = {
        "kind": position.kind.value,
        "device": position.device,
        "observed_at": _format_time(position.observed_at),
        "received_at": _format_time(position.received_at),
        "zones": list(position.zones),
        "cell": position.cell,
    }
    for name in _OPTIONAL:
        value = getattr(position, name)
        if value is not None:
            properties[name] = value
    return {
        "_id": document_id(position),
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
    )


def _format_time(milliseconds: int) -> str:
    rest = milliseconds % 1000
    return f"{format_rfc3339(milliseconds - rest).removesuffix('Z')}.{rest:03d}Z"


class _Point(msgspec.Struct):
    type: Literal["Point"]
    coordinates: Annotated[list[float], msgspec.Meta(min_length=2, max_length=3)]


class _Properties(msgspec.Struct):
    kind: Kind
    device: str
    observed_at: str
    received_at: str
    zones: tuple[str, ...]
    cell: str
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


class _Feature(msgspec.Struct):
    type: Literal["Feature"]
    geometry: _Point
    properties: _Properties
