"""Which zones hold a position."""

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.campus import Campus


class Geofence:
    """Answers for many positions at once where they are. Outlines belong to their zone."""

    def __init__(self, campus: Campus, *, version: str | None = None) -> None:
        """Index the zones, once; the fence never changes afterwards. `version` is the campus's own unless given."""
        self._campus_id = campus.boundary.id
        self.version = version or campus.version
        """Tells this geometry from others."""
        self.zone_ids = tuple(zone.id for zone in campus.everything)
        """The campus, then its zones."""
        self._outline = campus.boundary.geometry
        zones = sorted(campus.zones, key=lambda zone: zone.id)
        self._ids = [zone.id for zone in zones]
        self._shapes = np.array([zone.geometry for zone in zones], dtype=object)
        shapely.prepare(self._outline)
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    @property
    def campus_id(self) -> str:
        """The id of the campus itself."""
        return self._campus_id

    def locate(self, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]) -> list[tuple[str, ...] | None]:
        """For each position the ids of what holds it: the campus, then its zones in alphabetical order.

        Two arrays of the same length, degrees of WGS 84. None stands for a position outside the campus, whatever
        zones reach out to it. A position on an outline is inside: the answer is that of `geometry.covers(point)`.
        """
        found: list[tuple[str, ...] | None] = [None] * len(longitudes)
        # For a point and an area, to intersect is to be covered.
        inside = np.flatnonzero(shapely.intersects_xy(self._outline, longitudes, latitudes))
        on_campus: tuple[str, ...] = (self._campus_id,)
        for index in inside.tolist():
            found[index] = on_campus
        points = shapely.points(longitudes[inside], latitudes[inside])
        near, zone = self._tree.query(points)
        held = shapely.covers(self._shapes[zone], points[near])
        near, zone = near[held], zone[held]
        order = np.lexsort((zone, near))
        for index, number in zip(inside[near[order]].tolist(), zone[order].tolist(), strict=True):
            found[index] = (*(found[index] or ()), self._ids[number])
        return found
