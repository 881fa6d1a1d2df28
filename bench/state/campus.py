"""A campus of any number of zones: a square in a grid, and where a device of it is at a time."""

import json
import math
from pathlib import Path

WEST, SOUTH, SIZE = -8.60, 52.60, 0.1
"""Degrees."""
_STAY_MINUTES = 40
"""How long a device stays in a zone before it goes to another one."""


class Grid:
    """So many zones, the campus itself included."""

    def __init__(self, zones: int) -> None:
        self.cells = zones - 1
        self._side = math.ceil(math.sqrt(self.cells))

    def write(self, path: Path) -> None:
        """Write the GeoJSON that the services take as CAMPUS_FILE."""
        whole = self._feature("campus", WEST, SOUTH, SIZE, {"name": "Grid", "role": "boundary"})
        width = SIZE / self._side
        zones = [
            self._feature(
                f"zone-{cell}",
                *self._corner(cell),
                width,
                {"name": f"Zone {cell}", "role": "zone", "category": "building"},
            )
            for cell in range(self.cells)
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "name": "grid", "features": [whole, *zones]}), "utf-8")

    def place(self, device: int, minute: int) -> tuple[float, float]:
        """Longitude and latitude of a device in a minute since 1970: in the middle of a zone, for a while."""
        west, south = self._corner(self._cell(device, minute))
        half = SIZE / self._side / 2
        return round(west + half, 7), round(south + half, 7)

    def zone(self, device: int, minute: int) -> str:
        """The id of that zone."""
        return f"zone-{self._cell(device, minute)}"

    def _cell(self, device: int, minute: int) -> int:
        return (device * 7919 + (minute + device) // _STAY_MINUTES * 104_729) % self.cells

    def _corner(self, cell: int) -> tuple[float, float]:
        row, column = divmod(cell, self._side)
        return WEST + column * SIZE / self._side, SOUTH + row * SIZE / self._side

    @staticmethod
    def _feature(name: str, west: float, south: float, width: float, properties: dict[str, str]) -> dict[str, object]:
        east, north = west + width, south + width
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return {
            "type": "Feature",
            "id": name,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": properties,
        }
