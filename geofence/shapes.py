"""A GeoJSON geometry, checked, as a shape that can be calculated with."""

from typing import TypeGuard

import shapely
from shapely import MultiPolygon, Polygon

MAX_LONGITUDE = 180
MAX_LATITUDE = 90
LEAST_POSITIONS = 4
"""A ring has four positions at least, the last of which repeats the first (RFC 7946, 3.1.6)."""

Pair = tuple[float, float]


def polygon_from(geometry: object) -> Polygon | MultiPolygon:
    """The shape of a GeoJSON Polygon or MultiPolygon, holes included; longitude before latitude, altitudes dropped.

    Raises ValueError with a sentence that says what is wrong and what to do: another type of geometry, a coordinate
    that is no finite number or out of range, an empty geometry, a ring that is open, too short, or crosses itself.
    """
    if not isinstance(geometry, dict):
        raise ValueError("it has no geometry: give it a Polygon or a MultiPolygon")  # noqa: TRY004 - it is bad input
    shape: Polygon | MultiPolygon
    match geometry.get("type"), geometry.get("coordinates"):
        case "Polygon", coordinates:
            shape = _polygon(coordinates)
        case "MultiPolygon", list() as members:
            shape = MultiPolygon([_polygon(member) for member in members])
        case "MultiPolygon", _:
            raise ValueError("the coordinates are not a list of polygons")
        case kind, _:
            raise ValueError(f"the geometry is {_shown(kind)}: it must be a Polygon or a MultiPolygon")
    if shape.is_empty:
        raise ValueError("the geometry is empty: give it at least one ring")
    if not shape.is_valid:
        raise ValueError(f"the geometry is not valid: {shapely.is_valid_reason(shape)}. Draw it again there")
    return shape


def _polygon(rings: object) -> Polygon:
    if not isinstance(rings, list):
        raise ValueError("the coordinates are not a list of rings")  # noqa: TRY004 - it is bad input
    if not rings:
        raise ValueError("the geometry is empty: give it at least one ring")
    shell, *holes = [_ring(ring) for ring in rings]
    return Polygon(shell, holes)


def _ring(ring: object) -> list[Pair]:
    if not isinstance(ring, list):
        raise ValueError("a ring is not a list of positions")  # noqa: TRY004 - it is bad input
    positions = [_position(position) for position in ring]
    if not positions:
        raise ValueError("the geometry is empty: a ring has no positions")
    if positions[0] != positions[-1]:
        raise ValueError("a ring is not closed: repeat its first position at the end")
    if len(positions) < LEAST_POSITIONS:
        raise ValueError(
            f"a ring has too few points: {len(positions)}, but it takes {LEAST_POSITIONS} with the last one"
        )
    return positions


def _position(position: object) -> Pair:
    if not isinstance(position, list) or len(position) not in {2, 3} or not all(_is_number(part) for part in position):
        raise ValueError(f"{_shown(position)} is not a position: two numbers, longitude and latitude, or three")
    longitude, latitude, *_ = position
    if _within(longitude, MAX_LONGITUDE) and _within(latitude, MAX_LATITUDE):
        return float(longitude), float(latitude)
    hint = ""
    if _within(longitude, MAX_LATITUDE) and _within(latitude, MAX_LONGITUDE):
        hint = ": latitude and longitude look swapped, longitude comes first"
    raise ValueError(f"{_shown(position)} is out of range{hint or ', or not finite'}")


def _is_number(part: object) -> TypeGuard[float]:
    return isinstance(part, int | float) and not isinstance(part, bool)


def _within(value: float, limit: int) -> bool:
    # False for NaN and infinity, and no error for integers that are too large to be a float.
    return -limit <= value <= limit


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - what fits on a line of a message
