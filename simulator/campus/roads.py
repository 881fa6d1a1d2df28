"""How one comes to a campus, and across it: ways with bends. What roads there really are, no campus file says."""

from random import Random

from shapely.geometry import LineString, Point
from shapely.ops import nearest_points

from simulator.campus.chance import chance
from simulator.campus.places import Place, Places
from simulator.campus.plane import Metres, along, distance

OUTSIDE_METRES = 300.0
"""How far outside of the outline ways begin and end."""
_DIRECTIONS = 16
_GATES_WITHOUT_LOTS = 3
_STRAIGHT_METRES = 40.0
"""A shorter way has no bends."""
_BEND = 0.12
"""How far a bend is off the straight line, beside its length, at the most."""
_NEAR_METRES = 30.0


class Roads:
    """Gates where a campus is entered, and ways from place to place."""

    def __init__(self, places: Places, seed: int) -> None:
        """Find the gates: where the outline is nearest to where vehicles stand, or anywhere if they stand nowhere."""
        edge = places.outline.boundary
        source = chance(seed, "gates")
        found = [nearest_points(edge, Point(lot.middle))[0] for lot in places.all_lots] or [
            edge.interpolate(source.random(), normalized=True) for _ in range(_GATES_WITHOUT_LOTS)
        ]
        gates: list[tuple[Metres, Metres]] = []
        for point in found:
            gate = (point.x, point.y)
            if all(distance(gate, other) > _NEAR_METRES for other, _ in gates):
                gates.append((gate, _away_from(places, gate)))
        self._gates = tuple(gates)

    def way_in(self, to: Metres, source: Random) -> list[Metres]:
        """From outside to a place, by the gate that is nearest to it; now and then by another."""
        by_distance = sorted(self._gates, key=lambda gate: distance(gate[0], to))
        gate, outside = by_distance[0] if source.random() < 0.8 else source.choice(by_distance)  # noqa: PLR2004
        return [outside, *way(gate, to, source)]


def way(start: Metres, end: Metres, source: Random) -> list[Metres]:
    """From one place to another, with two bends if it is long enough."""
    length = distance(start, end)
    if length < _STRAIGHT_METRES:
        return [start, end]
    across = ((end[1] - start[1]) / length, (start[0] - end[0]) / length)
    bends: list[Metres] = []
    for share in (1 / 3, 2 / 3):
        off = length * _BEND * (2 * source.random() - 1)
        east, north = along(start, end, share)
        bends.append((east + across[0] * off, north + across[1] * off))
    return [start, *bends, end]


def length_of(places: list[Metres]) -> float:
    """Metres along a way."""
    return sum(map(distance, places, places[1:]))


def spot_of(place: Place, number: int) -> Metres:
    """One of the spots of a place."""
    return place.spots[number % len(place.spots)]


def _away_from(places: Places, gate: Metres) -> Metres:
    """A place outside from which the gate is reached with as little of the campus in between as can be."""
    ring = Point(gate).buffer(OUTSIDE_METRES, quad_segs=_DIRECTIONS // 4).exterior.coords[:-1]
    _, outside = min(
        (LineString([gate, end]).intersection(places.outline).length, (float(end[0]), float(end[1]))) for end in ring
    )
    return outside
