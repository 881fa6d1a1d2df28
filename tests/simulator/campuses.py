"""Campuses that tests write themselves, and crowds on them."""

import json
from datetime import date
from zoneinfo import ZoneInfo

from core.kinds import DEFAULT_KINDS, Kinds
from geofence import Campus, parse_campus
from simulator.campus.calendar import Calendar
from simulator.campus.crowd import Crowd

TUESDAY = 1_795_478_400_000
"""2026-11-24T00:00:00Z, a midnight in Dublin, on a day in term."""
DAY = 86_400_000
HOUR = 3_600_000
IN_TERM = Calendar(
    terms=((date(2026, 9, 7), date(2026, 12, 18)),),
    holidays=frozenset({date(2026, 10, 26)}),
    open_days=frozenset({date(2026, 10, 17)}),
)
Square = tuple[str, str | None, float, float, float]
"""Id, category, metres east and north of the middle, and the length of a side."""
BUILDINGS: tuple[Square, ...] = (
    ("aula", "building", -150, 100, 60),
    ("books", "building", 120, 140, 50),
    ("chem", "building", 40, -120, 40),
)
LOTS: tuple[Square, ...] = (("east", "car_park", 230, -60, 70), ("west", "car_park", -230, -160, 80))


def campus(*squares: Square, longitude: float = 9.0, latitude: float = 0.0, side: float = 640) -> Campus:
    """A campus of squares, the whole of it being one too; at the equator a degree is as long in both directions."""
    features = [_square(longitude, latitude, ("campus", None, 0, 0, side), "boundary")]
    features += [_square(longitude, latitude, square, "zone") for square in squares]
    return parse_campus(json.dumps({"type": "FeatureCollection", "features": features}).encode(), "squares.geojson")


def crowd(on: Campus | None = None, *, devices: int = 60, seed: int = 7, kinds: Kinds = DEFAULT_KINDS) -> Crowd:
    return Crowd(
        campus=on or campus(*BUILDINGS, *LOTS),
        kinds=kinds,
        devices=devices,
        seed=seed,
        calendar=IN_TERM,
        zone=ZoneInfo("Europe/Dublin"),
    )


def _square(longitude: float, latitude: float, square: Square, role: str) -> dict[str, object]:
    zone_id, category, east, north, side = square
    west, south = longitude + (east - side / 2) / 111_195, latitude + (north - side / 2) / 111_195
    e, n = west + side / 111_195, south + side / 111_195
    properties: dict[str, object] = {"role": role, "name": zone_id}
    if category is not None:
        properties["category"] = category
    return {
        "type": "Feature",
        "id": zone_id,
        "geometry": {"type": "Polygon", "coordinates": [[[west, south], [e, south], [e, n], [west, n], [west, south]]]},
        "properties": properties,
    }
