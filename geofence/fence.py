"""Which zones hold a position, and how far it is from their edges."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.campus import Campus

METRES_A_DEGREE = 111_200.0
"""Of latitude, with the mean radius of the earth; of longitude, times the cosine of the latitude."""

MOST_EDGES = 32
"""Of one position: where bays of a car park are zones, hundreds of edges are nearer than a telephone may be wrong."""

Margins = tuple[tuple[str, float], ...]
"""Of zones, in alphabetical order, how far a position is from their edge: 1 is surely inside, -1 surely outside."""


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
        # Metres to the east and to the north: exact enough for edges that are some hundred metres away at the most.
        _, south, _, north = shapely.bounds(self._outline).tolist()
        self._east = METRES_A_DEGREE * math.cos(math.radians((south + north) / 2))
        self._outline_edge = self._edges(np.array([self._outline], dtype=object))[0]
        shapely.prepare(self._outline_edge)
        self._zone_edges = self._edges(self._shapes)
        self._edge_tree = shapely.STRtree(self._zone_edges)
        areas = {zone.id: float(shapely.area(zone.geometry)) for zone in campus.everything}
        self._by_size = {zone_id: (areas[zone_id], zone_id) for zone_id in self.zone_ids}

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

    def margins(
        self,
        longitudes: NDArray[np.float64],
        latitudes: NDArray[np.float64],
        reach: NDArray[np.float64],
        located: Sequence[tuple[str, ...] | None],
    ) -> list[Margins]:
        """For each position how surely it is in which zones; nothing where that is sure of all of them.

        Arrays of the same length: degrees, and metres in which the position may be wrong, 0 where it is exact.
        `located` is what `locate` gives. The answer names the zones whose edge is nearer than that, and those that hold
        the position besides; a margin is the distance to the edge in terms of `reach`, negative outside the zone. On
        the edge it is 0, which is inside. What is outside the campus has no margins: `near_outline` tells of it.

        Of more than `MOST_EDGES` edges only the nearest count, of equally near ones those of the first ids: the
        position is surely on its side of the others.
        """
        found: list[Margins] = [()] * len(longitudes)
        asked = np.flatnonzero((reach > 0) & np.array([zones is not None for zones in located], dtype=bool))
        points = self._points(longitudes[asked], latitudes[asked])
        near, zone = self._edge_tree.query(points, predicate="dwithin", distance=reach[asked])
        if not len(near):
            return found
        shares = shapely.distance(points[near], self._zone_edges[zone]) / reach[asked[near]]
        counted = _nearest(near, zone, shares)
        of_position: dict[int, dict[str, float]] = {}
        for index, number, share in zip(
            asked[near[counted]].tolist(), zone[counted].tolist(), shares[counted].tolist(), strict=True
        ):
            of_position.setdefault(index, {})[self._ids[number]] = share
        for index, edges in of_position.items():
            holding = (located[index] or ())[1:]
            signed = {zone_id: -share for zone_id, share in edges.items()}
            signed |= {zone_id: edges.get(zone_id, 1.0) for zone_id in holding}
            found[index] = tuple(sorted(signed.items()))
        return found

    def near_outline(
        self, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64], metres: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Of each position whether the outline of the campus is nearer than so many metres.

        Three arrays of the same length. What is 0 metres near is not near.
        """
        points = self._points(longitudes, latitudes)
        near: NDArray[np.bool_] = shapely.dwithin(self._outline_edge, points, metres) & (metres > 0)
        return near

    def smallest_first(self, zones: Iterable[str]) -> list[str]:
        """Zones by their area, the smallest first, then by id; ids that this fence does not know are left out.

        Where several hold a position and one is shown, the first of these is *the* zone. Presence and windows count in
        each.
        """
        known = self._by_size
        return sorted((zone for zone in zones if zone in known), key=known.__getitem__)

    def _edges(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """The outlines of areas, holes too, each as one geometry in metres."""
        scale = np.array([self._east, METRES_A_DEGREE])
        edges: NDArray[Any] = shapely.transform(shapely.boundary(shapes), lambda corners: corners * scale)
        return edges

    def _points(self, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]) -> NDArray[Any]:
        points: NDArray[Any] = shapely.points(longitudes * self._east, latitudes * METRES_A_DEGREE)
        return points


def _nearest(positions: NDArray[Any], zones: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[Any]:
    """Which of these edges are near enough to count, and among the nearest of their position."""
    order = np.lexsort((zones, shares, positions))
    order = order[shares[order] < 1]
    sorted_positions = positions[order]
    ranks = np.arange(len(order)) - np.searchsorted(sorted_positions, sorted_positions)
    nearest: NDArray[Any] = order[ranks < MOST_EDGES]
    return nearest
