"""Where people go on a campus, and where vehicles stand: from its file and the table of kinds alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

import shapely
from shapely.geometry.base import BaseGeometry

from core.kinds import Kind, Kinds
from geofence import Campus, Zone
from simulator.campus.chance import chance
from simulator.campus.plane import Metres, Plane, distance

SPOTS = 40
"""Rooms of a building, spaces of a car park: places that are told apart."""
_ROUNDS = 20
_FEW = 0.1
"""Who goes to a zone outdoors, beside a building of the same size."""
_MOST_METRES = 100.0
"""Of a side: a larger zone does not draw more people."""
_DOOR_METRES = 10.0
_INDOORS = frozenset({"building", None})
"""Categories with a roof; what has none is taken for a building."""


@dataclass(frozen=True, slots=True)
class Place:
    """A zone that people go to, or where vehicles stand; the campus itself where it has no zones."""

    zone: str
    spots: tuple[Metres, ...]
    """At least one, each on the campus."""
    indoors: bool
    weight: float
    """How likely it is somebody's."""

    @property
    def middle(self) -> Metres:
        """The mean of its spots."""
        return (
            sum(east for east, _ in self.spots) / len(self.spots),
            sum(north for _, north in self.spots) / len(self.spots),
        )


class Places:
    """The places of one campus. They follow from its file and the seed."""

    def __init__(self, campus: Campus, kinds: Kinds, seed: int) -> None:
        """Choose spots in each zone, once."""
        middle = campus.boundary.geometry.representative_point()
        self.plane = Plane(middle.x, middle.y)
        self.outline: BaseGeometry = self.plane.projected(campus.boundary.geometry)
        self._seed = seed
        taken = frozenset[str]().union(*(kind.capacity_of for kind in kinds))
        zones = [zone for zone in campus.zones if zone.category not in taken] or [campus.boundary]
        self.destinations: tuple[Place, ...] = tuple(map(self._place, zones))
        """Where people go, in the order of the file."""
        self.by_zone: Mapping[str, Place] = {place.zone: place for place in self.destinations}
        self._shapes = {zone.id: self.plane.projected(zone.geometry) for zone in zones}
        self._lots = {
            kind.id: tuple(self._place(zone) for zone in campus.zones if zone.category in kind.capacity_of)
            for kind in kinds
        }

    def lots(self, kind: Kind) -> tuple[Place, ...]:
        """Where vehicles of a kind have their zones; none where they stand at doors."""
        return self._lots[kind.id]

    @cached_property
    def all_lots(self) -> tuple[Place, ...]:
        """The zones of all vehicles, each once."""
        return tuple({lot.zone: lot for lots in self._lots.values() for lot in lots}.values())

    @cached_property
    def social(self) -> tuple[Place, ...]:
        """Where one eats: some of the destinations with a roof, which a file does not tell from others."""
        roofed = [place for place in self.destinations if place.indoors] or list(self.destinations)
        return tuple(chance(self._seed, "social").sample(roofed, min(2, len(roofed))))

    def door(self, zone: str, source: Random) -> Metres:
        """A place in the open beside a destination, on the campus if there is any."""
        ring = self._shapes[zone].convex_hull.buffer(_DOOR_METRES).exterior
        for _ in range(_ROUNDS):
            point = ring.interpolate(source.random(), normalized=True)
            if self.outline.covers(point):
                return point.x, point.y
        return source.choice(self.by_zone[zone].spots)

    def nearest(self, places: tuple[Place, ...], to: Metres) -> list[Place]:
        """Places by their distance, the nearest first."""
        return sorted(places, key=lambda place: distance(place.middle, to))

    def _place(self, zone: Zone) -> Place:
        shape = self.plane.projected(zone.geometry)
        on_campus = shape if zone.role == "boundary" else shape.intersection(self.outline)
        indoors = zone.role == "zone" and zone.category in _INDOORS
        side = min(math.sqrt(on_campus.area), _MOST_METRES)
        return Place(
            zone=zone.id,
            spots=tuple(_spots(on_campus, chance(self._seed, "spots", zone.id))),
            indoors=indoors,
            weight=max(side, 1.0) * (1.0 if indoors else _FEW),
        )


def _spots(shape: BaseGeometry, source: Random) -> list[Metres]:
    west, south, east, north = shape.bounds
    found: list[Metres] = []
    for _ in range(_ROUNDS):
        tried = [
            (west + (east - west) * source.random(), south + (north - south) * source.random()) for _ in range(SPOTS)
        ]
        inside = shapely.contains_xy(shape, tried)
        found += [place for place, held in zip(tried, inside, strict=True) if held]
        if len(found) >= SPOTS:
            break
    # A zone that is thin and slanting fills nearly nothing of its bounds.
    middle = shape.representative_point()
    return found[:SPOTS] or [(middle.x, middle.y)]
