"""Whether zones tell of places alone that are so small, or so often held, that counts of them tell of single people.

Two zones that differ by a strip tell what is in the strip; a zone that reaches out of the campus counts in what is left
of it; each further zone that holds a place tells once more who is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians

import shapely
from shapely.geometry.base import BaseGeometry

from geofence.campus import Campus
from geofence.fence import METRES_A_DEGREE

DRAWN_M2 = 1.0
"""What outlines share, or do not share, since they were drawn by hand."""


@dataclass(frozen=True, slots=True)
class Finest:
    """How finely zones may cut up a campus."""

    area: float
    """Square metres that a zone has at the least, and that two of them differ by."""
    depth: int
    """How many zones may hold one place, beside the campus."""


def too_fine(campus: Campus, zone: str, finest: Finest) -> Iterator[str]:
    """What one zone of a campus tells too finely, or the campus itself by its outline: each as a sentence."""
    shapes = _in_metres(campus)
    boundary = campus.boundary.id
    for name in shapes if zone == boundary else [zone]:
        if shapes[name].area < finest.area:
            yield (
                f"{name!r} has {shapes[name].area:,.0f} m² on the campus, and needs {finest.area:,.0f}"
                " (PRIVACY_ZONE_AREA)"
            )
    for name, other in shapes.items():
        if name == zone or not other.intersects(shapes[zone]):
            continue
        apart = shapes[zone].symmetric_difference(other).area
        if apart < finest.area:
            yield (
                f"{zone!r} and {name!r} differ by {apart:,.0f} m², and who is there alone could be computed from both:"
                f" they need {finest.area:,.0f} m² (PRIVACY_ZONE_AREA)"
            )
    if zone != boundary and (deepest := _deepest(shapes, zone, boundary, finest.depth)):
        named = ", ".join(map(repr, deepest))
        yield f"{zone!r} and {named} hold one place, and at most {finest.depth} may (PRIVACY_ZONE_DEPTH)"


def share_a_place(one: BaseGeometry, other: BaseGeometry) -> bool:
    """Whether two outlines, in degrees, have more in common than what comes of drawing."""
    _, south, _, north = one.bounds
    east = METRES_A_DEGREE * cos(radians((south + north) / 2))
    return bool(one.intersection(other).area * east * METRES_A_DEGREE >= DRAWN_M2)


def _in_metres(campus: Campus) -> dict[str, BaseGeometry]:
    """What counts in each zone: its part on the campus."""
    outline = campus.boundary.geometry
    _, south, _, north = outline.bounds
    scale = METRES_A_DEGREE * cos(radians((south + north) / 2)), METRES_A_DEGREE
    return {
        zone.id: shapely.transform(_areas(outline.intersection(zone.geometry)), lambda corners: corners * scale)
        for zone in campus.everything
    }


def _areas(shape: BaseGeometry) -> BaseGeometry:
    """The shape without the lines and points where it only touches another."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)


def _deepest(shapes: dict[str, BaseGeometry], zone: str, boundary: str, depth: int) -> list[str]:
    """The other zones that hold a place of this one, where they are too many; else none."""
    here = shapes[zone]
    others = {
        name: shape
        for name, shape in shapes.items()
        if name not in {zone, boundary} and shape.intersection(here).area >= DRAWN_M2
    }
    if len(others) < depth:
        return []
    # The outlines cut the place into faces: each lies wholly in a zone, or out of it.
    lines = shapely.union_all([shape.boundary for shape in (here, *others.values())])
    too_deep = 0.0
    found: list[str] = []
    for face in shapely.get_parts(shapely.polygonize([lines])):
        inside = face.representative_point()
        if not here.covers(inside):
            continue
        holding = [name for name, shape in others.items() if shape.covers(inside)]
        if len(holding) >= depth:
            too_deep += face.area
            found = max(found, holding, key=len)
    return sorted(found) if too_deep >= DRAWN_M2 else []
