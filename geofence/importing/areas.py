"""Areas as files have them: open rings, crossings, altitudes, and longitudes that jump from 180 to -180."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from geofence.importing.found import Area, printable

GRID = 1e-7
"""Degrees: positions are rounded to a centimetre."""
METRES_A_DEGREE = 111_200.0
_EARTH = 360.0
_HALF = 180.0
_LEAST = 3
"""Positions of a ring, without the last one that repeats the first."""

Project = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Pairs in the file's coordinates to longitude and latitude."""


class NoAreaError(ValueError):
    """A geometry that holds no area; the message is its kind, such as `Point`."""


def area_from(geometry: object, project: Project) -> tuple[Area, bool]:
    """The area of a GeoJSON geometry, and whether it had to be mended; of a collection, that of all its areas.

    Raises NoAreaError.
    """
    rings = list(_polygons(geometry))
    if not rings:
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind in {"Polygon", "MultiPolygon"}:
            raise NoAreaError(f"{kind} without coordinates")
        raise NoAreaError(printable(kind)[:40] if isinstance(kind, str) else "without a geometry")
    shapes = []
    for shell, *holes in rings:
        try:
            shapes.append(Polygon(_unwrapped(project(shell)), [_unwrapped(project(hole)) for hole in holes]))
        except (ValueError, shapely.errors.GEOSException) as error:
            raise NoAreaError("without an area") from error
    return joined(shapes)


def joined(shapes: Iterable[Polygon]) -> tuple[Area, bool]:
    """One area of several, on a grid and valid, and whether it had to be mended. Raises NoAreaError."""
    parts = [shapely.force_2d(shape) for shape in shapes]
    first = float(parts[0].exterior.coords[0][0]) if parts and not parts[0].is_empty else 0.0
    whole: Any = MultiPolygon([near(part, first) for part in parts])
    mended = not whole.is_valid
    if mended:
        whole = shapely.make_valid(whole, method="structure", keep_collapsed=False)
    whole = shapely.set_precision(whole, GRID)
    found = [part for part in shapely.get_parts(whole, return_index=False).tolist() if part.geom_type == "Polygon"]
    found = [part for part in found if not part.is_empty and part.area > 0]
    if not found:
        raise NoAreaError("without an area")
    area = found[0] if len(found) == 1 else MultiPolygon(found)
    if not area.is_valid:
        area = shapely.make_valid(area, method="structure", keep_collapsed=False)
    if area.geom_type not in {"Polygon", "MultiPolygon"} or area.is_empty:
        raise NoAreaError("without an area")
    return area, mended


def near(shape: Area, longitude: float) -> Area:
    """The same shape, on that side of 180 degrees on which a longitude is."""
    west, _, east, _ = shape.bounds
    turns = round((longitude - (west + east) / 2) / _EARTH)
    return shape if not turns else shapely.transform(shape, lambda pairs: pairs + np.array([turns * _EARTH, 0.0]))


def split(area: Area) -> Area:
    """The same area with longitudes from -180 to 180: in parts where it crosses that line (RFC 7946, 3.1.9)."""
    west, _, east, _ = area.bounds
    if west >= -_HALF and east <= _HALF:
        return area
    parts: list[Polygon] = []
    first, last = int(np.floor((west + _HALF) / _EARTH)), int(np.floor((east + _HALF) / _EARTH))
    for turn in range(first, last + 1):
        window = shapely.box(turn * _EARTH - _HALF, -90, turn * _EARTH + _HALF, 90)
        cut = shapely.transform(
            shapely.intersection(area, window), lambda pairs, turn=turn: pairs - np.array([turn * _EARTH, 0.0])
        )
        parts += [part for part in shapely.get_parts(cut).tolist() if part.geom_type == "Polygon" and part.area > 0]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def square_metres(area: Area) -> float:
    """How large an area is, within some percent; degrees of longitude are as long as at its middle."""
    _, south, _, north = area.bounds
    return float(area.area) * METRES_A_DEGREE**2 * float(np.cos(np.radians((south + north) / 2)))


def hull(areas: Iterable[Area], margin: float) -> Area:
    """What holds all areas, with a margin in metres around it."""
    whole = shapely.convex_hull(shapely.multipoints(shapely.get_coordinates(list(areas))))
    _, south, _, north = whole.bounds
    narrow = max(float(np.cos(np.radians((south + north) / 2))), 0.01)
    scale = np.array([METRES_A_DEGREE * narrow, METRES_A_DEGREE])
    metres = shapely.transform(whole, lambda pairs: pairs * scale)
    around = shapely.buffer(metres, margin, quad_segs=2)
    return shapely.set_precision(shapely.transform(around, lambda pairs: pairs / scale), GRID)


def _polygons(geometry: object) -> Iterator[list[NDArray[np.float64]]]:
    if not isinstance(geometry, dict):
        return
    waiting: list[object] = [geometry]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, dict):
            continue
        coordinates = one.get("coordinates")
        match one.get("type"):
            case "Polygon":
                polygons = [coordinates]
            case "MultiPolygon" if isinstance(coordinates, list):
                polygons = coordinates
            case "GeometryCollection" if isinstance(one.get("geometries"), list):
                waiting += one["geometries"]
                continue
            case _:
                continue
        for polygon in polygons:
            if not isinstance(polygon, list):
                continue
            # Some people write a ring where a list of rings belongs.
            rings = [_ring(polygon)] if _is_ring(polygon) else [_ring(ring) for ring in polygon]
            if rings and rings[0] is not None:
                yield [ring for ring in rings if ring is not None]


def _is_ring(polygon: list[object]) -> bool:
    first = polygon[0] if polygon else None
    return isinstance(first, list) and len(first) > 1 and all(_finite(part) for part in first[:2])


def _ring(ring: object) -> NDArray[np.float64] | None:
    """The positions of a ring, closed; None where there are too few."""
    if not isinstance(ring, list):
        return None
    pairs = [
        (float(position[0]), float(position[1]))
        for position in ring
        if isinstance(position, list) and len(position) > 1 and all(_finite(part) for part in position[:2])
    ]
    if pairs and pairs[0] == pairs[-1]:
        pairs.pop()
    return np.array([*pairs, pairs[0]]) if len(pairs) >= _LEAST else None


def _finite(part: object) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool) and abs(part) < 1e12  # noqa: PLR2004 - metres


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same ring, without the jump of nearly a turn that it makes where it crosses 180 degrees."""
    longitudes = np.unwrap(ring[:, 0], period=_EARTH)
    if abs(longitudes[0] - longitudes[-1]) > GRID:
        raise ValueError("it goes around the earth")
    longitudes[-1] = longitudes[0]
    return np.column_stack([longitudes, ring[:, 1]])
