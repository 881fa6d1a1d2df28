"""`python -m bench.campus 5000 > campus.geojson`: a made campus with so many zones, to see what breaks with many."""

import json
import math
import sys
from typing import Annotated

import typer

from geofence import load_campus

SHARE = 0.8
"""Of the width and the height of its place in the grid that a zone fills."""
CATEGORIES = ("building", "car_park", "outdoor")


def made_campus(zones: int) -> bytes:
    """GeoJSON of a campus that is the bounding box of the University of Limerick, with `zones` rectangles in a grid.

    They are `zone-0`, `zone-1` and so on, from the south west, row by row.
    """
    west, south, east, north = load_campus(None).boundary.geometry.bounds
    columns = math.ceil(math.sqrt(zones))
    width, height = (east - west) / columns, (north - south) / columns
    features = [_feature("campus", "boundary", None, (west, south, east, north))]
    for number in range(zones):
        row, column = divmod(number, columns)
        left, bottom = west + column * width, south + row * height
        box = (left, bottom, left + SHARE * width, bottom + SHARE * height)
        features.append(_feature(f"zone-{number}", "zone", CATEGORIES[number % len(CATEGORIES)], box))
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _feature(id_: str, role: str, category: str | None, box: tuple[float, float, float, float]) -> dict[str, object]:
    west, south, east, north = (round(degrees, 6) for degrees in box)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties: dict[str, object] = {"name": id_.replace("-", " ").capitalize(), "role": role}
    if category:
        properties["category"] = category
    if category == "car_park":
        properties["capacity"] = 100
    return {
        "type": "Feature",
        "id": id_,
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def main(zones: Annotated[int, typer.Argument(min=1, help="How many zones.")]) -> None:
    """Write the campus to standard output."""
    sys.stdout.buffer.write(made_campus(zones))


if __name__ == "__main__":
    typer.run(main)
