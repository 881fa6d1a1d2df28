"""A GeoJSON geometry, checked, as a shape that can be calculated with."""

from typing import TypeGuard

import shapely
from shapely import MultiPolygon, Polygon

from geofence.mistakes import FeatureError, Mistake

MAX_LONGITUDE = 180
MAX_LATITUDE = 90
LEAST_POSITIONS = 4
"""A ring has four positions at least, the last of which repeats the first (RFC 7946, 3.1.6)."""
OUT_OF_RANGE = "coordinates out of range"
"""The kind of mistake that a projection makes as well as a slip."""

Pair = tuple[float, float]


def polygon_from(geometry: object) -> Polygon | MultiPolygon:
    """The shape of a GeoJSON Polygon or MultiPolygon, holes included; longitude before latitude, altitudes dropped.

    Raises FeatureError with the first thing that is wrong: another type of geometry, a coordinate that is no finite
    number or out of range, an empty geometry, a ring that is open, too short, or crosses itself.
    """
    if not isinstance(geometry, dict):
        raise _wrong("no geometry", "geometry", "it has no geometry", "give it a Polygon or a MultiPolygon")
    path = "geometry.coordinates"
    shape: Polygon | MultiPolygon
    match geometry.get("type"), geometry.get("coordinates"):
        case "Polygon", coordinates:
            shape = _polygon(coordinates, path)
        case "MultiPolygon", list() as members:
            shape = MultiPolygon([_polygon(member, f"{path}[{index}]") for index, member in enumerate(members)])
        case "MultiPolygon", _:
            raise _wrong("no coordinates", path, "the coordinates are not a list of polygons", _LIKE_RFC)
        case kind, _:
            raise _wrong(
                "not an area",
                "geometry.type",
                f"the geometry is {_shown(kind)}",
                "it must be a Polygon or a MultiPolygon",
            )
    if shape.is_empty:
        raise _empty(path, "the geometry is empty")
    if not shape.is_valid:
        raise _wrong(
            "not valid", path, f"the geometry is not valid: {shapely.is_valid_reason(shape)}", "draw it again there"
        )
    return shape


_LIKE_RFC = "write them as RFC 7946, 3.1 does"


def _polygon(rings: object, path: str) -> Polygon:
    if not isinstance(rings, list):
        raise _wrong("no coordinates", path, "the coordinates are not a list of rings", _LIKE_RFC)
    if not rings:
        raise _empty(path, "the geometry is empty")
    shell, *holes = [_ring(ring, f"{path}[{index}]") for index, ring in enumerate(rings)]
    return Polygon(shell, holes)


def _ring(ring: object, path: str) -> list[Pair]:
    if not isinstance(ring, list):
        raise _wrong("no coordinates", path, "a ring is not a list of positions", _LIKE_RFC)
    positions = [_position(position, path, index) for index, position in enumerate(ring)]
    if not positions:
        raise _empty(path, "the geometry is empty: a ring has no positions")
    if positions[0] != positions[-1]:
        raise _wrong("open ring", path, "a ring is not closed", "repeat its first position at the end")
    if len(positions) < LEAST_POSITIONS:
        raise _wrong(
            "short ring",
            path,
            f"a ring has too few points: {len(positions)}",
            f"it takes {LEAST_POSITIONS} with the last one, which repeats the first",
        )
    return positions


def _position(position: object, path: str, index: int) -> Pair:
    if not isinstance(position, list) or len(position) not in {2, 3} or not all(_is_number(part) for part in position):
        raise _wrong(
            "not a position",
            f"{path}[{index}]",
            f"{_shown(position)} is not a position",
            "write two numbers, longitude and latitude, or three",
        )
    longitude, latitude, *_ = position
    if _within(longitude, MAX_LONGITUDE) and _within(latitude, MAX_LATITUDE):
        return float(longitude), float(latitude)
    problem = f"{_shown(position)} is out of range, or not finite"
    remedy = "write degrees of WGS 84"
    if _within(longitude, MAX_LATITUDE) and _within(latitude, MAX_LONGITUDE):
        problem = f"{_shown(position)} is out of range"
        remedy = "latitude and longitude look swapped, longitude comes first"
    elif abs(longitude) > 2 * MAX_LONGITUDE and abs(latitude) > MAX_LATITUDE:
        remedy = f"these look like metres of a projection; {remedy}"
    raise _wrong(OUT_OF_RANGE, f"{path}[{index}]", problem, remedy)


def _wrong(kind: str, place: str, problem: str, remedy: str) -> FeatureError:
    return FeatureError(Mistake(kind, problem, remedy, place))


def _empty(path: str, problem: str) -> FeatureError:
    return _wrong("no geometry", path, problem, "give it at least one ring")


def _is_number(part: object) -> TypeGuard[float]:
    return isinstance(part, int | float) and not isinstance(part, bool)


def _within(value: float, limit: int) -> bool:
    # False for NaN and infinity, and no error for integers that are too large to be a float.
    return -limit <= value <= limit


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - what fits on a line of a message
