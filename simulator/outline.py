"""The outline of the campus as a device knows it: rings of degrees, and whether a place is within them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Rings = Sequence[Sequence[Sequence[float]]]
"""Outlines and holes, in any order: longitude, latitude in degrees. A place within an odd number of them is inside."""

EARTH_METRES = 6_371_008.8


def outline_of(zones: Mapping[str, Any]) -> Rings | None:
    """The rings of the campus in what `GET /v1/zones` answers; None where it has none."""
    for zone in zones["features"]:
        if zone["properties"]["role"] == "boundary":
            shape = zone["geometry"]
            parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
            return [ring for part in parts for ring in part]
    return None


def is_inside(rings: Rings, x: float, y: float) -> bool:
    """Whether a place is inside: a ray to the east crosses an odd number of edges. Of places on an edge some are."""
    inside = False
    for ring in rings:
        x1, y1 = ring[-1][0], ring[-1][1]
        for place in ring:
            x2, y2 = place[0], place[1]
            if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                inside = not inside
            x1, y1 = x2, y2
    return inside


def metres_between(x1: float, y1: float, x2: float, y2: float) -> float:
    """Metres between two places of degrees, right to a thousandth for the size of a campus."""
    north = math.radians(y2 - y1)
    east = math.radians(x2 - x1) * math.cos(math.radians(y1))
    return EARTH_METRES * math.sqrt(north * north + east * east)
