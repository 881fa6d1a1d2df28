"""Places on the campus, and messages that say so."""

import base64
import json
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from geofence import Campus, Zone

Place = tuple[float, float]
"""Longitude and latitude, degrees."""


def inside(zone: Zone) -> Place:
    """A place in a zone, away from its edges."""
    point = zone.geometry.representative_point()
    return point.x, point.y


def far_apart(campus: Campus) -> tuple[Place, Place]:
    """Places in the two zones that are farthest from one another; twice the same where there is but one."""
    places = [inside(zone) for zone in campus.zones] or [inside(campus.boundary)]
    pairs = combinations(places, 2)
    return max(
        pairs,
        key=lambda pair: (pair[0][0] - pair[1][0]) ** 2 + (pair[0][1] - pair[1][1]) ** 2,
        default=(places[0],) * 2,
    )


def outside(campus: Campus) -> Place:
    """A place that is a campus's width to the west of the campus."""
    west, south, east, _ = campus.boundary.geometry.bounds
    return west - (east - west), south


def feature(device: str | None, place: Place, at_ms: int, **properties: object) -> dict[str, Any]:
    """A position as GeoJSON; `at_ms` is in milliseconds since the epoch."""
    said: dict[str, object] = {"timestamp": f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    if device is not None:
        said["device_id"] = device
    point = {"type": "Point", "coordinates": list(place)}
    return {"type": "Feature", "geometry": point, "properties": {**said, **properties}}


def encoded(document: object) -> bytes:
    """What a device would publish: base64 of JSON."""
    return base64.b64encode(json.dumps(document).encode())
