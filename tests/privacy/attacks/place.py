"""The campus that attacks take place on: squares in a row of rows, and two blocks that hold some of them."""

import json
from collections.abc import Sequence

from geofence import Campus, parse_campus

Place = tuple[float, float]
"""Degrees east and north."""
_WEST, _SOUTH = -8.58, 52.67
_EAST_STEP, _NORTH_STEP = 0.0014, 0.0009
"""About 95 m and 100 m."""
_SIDE = 0.6
"""Of a square, as a part of a step: what is left lies in no zone."""
_COLUMNS = 8
ROWS = 3
SMALL = tuple(f"small-{number}" for number in range(_COLUMNS))
"""Zones with hardly anybody in them."""
CROWDED = tuple(f"crowd-{number}" for number in range(2 * _COLUMNS))
BLOCK = "block"
"""A zone that holds the first four small ones, and what is between them."""
HELD_BY_BLOCK = SMALL[:4]
AWAY: Place = (_WEST - 0.05, _SOUTH)
"""Off the campus."""
ELSEWHERE: Place = (_WEST + (_COLUMNS + 0.3) * _EAST_STEP, _SOUTH + _NORTH_STEP)
"""On the campus, and in none of its zones."""


def centre(zone: str) -> Place:
    """The middle of a square."""
    column, row = _at(zone)
    return _WEST + (column + _SIDE / 2) * _EAST_STEP, _SOUTH + (row + _SIDE / 2) * _NORTH_STEP


def the_campus() -> Campus:
    """As its file would say."""
    return parse_campus(json.dumps({"type": "FeatureCollection", "features": _features()}).encode(), "attacks")


def rectangle(columns: tuple[float, float], rows: tuple[float, float]) -> list[Place]:
    """A ring, from steps to the east and north."""
    west, east = (_WEST + column * _EAST_STEP for column in columns)
    south, north = (_SOUTH + row * _NORTH_STEP for row in rows)
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def _features() -> list[dict[str, object]]:
    squares = [
        _feature(zone, rectangle((column, column + _SIDE), (row, row + _SIDE)))
        for zone in (*SMALL, *CROWDED)
        for column, row in [_at(zone)]
    ]
    return [
        _feature("campus", rectangle((-1, _COLUMNS + 1), (-1, ROWS + 1)), role="boundary"),
        *squares,
        _feature(BLOCK, rectangle((-0.2, 3.8), (-0.2, 0.8))),
    ]


def _feature(id_: str, ring: Sequence[Place], **properties: str) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": id_,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": id_, "role": "zone", **properties},
    }


def _at(zone: str) -> tuple[int, int]:
    name, _, number = zone.partition("-")
    index = int(number) + (_COLUMNS if name == "crowd" else 0)
    return index % _COLUMNS, index // _COLUMNS
