"""The true way of a device through a day: where it is at each moment, in metres, as knots that it moves between."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from simulator.campus.chance import chance, one_of
from simulator.campus.people import Person, Unit
from simulator.campus.places import Places
from simulator.campus.plane import Metres, along, distance
from simulator.campus.roads import Roads, length_of, spot_of, way
from simulator.campus.timetable import Stay

_DRIVING = 7.0
"""Metres a second, 25 km/h: a campus is no motorway."""


@dataclass(slots=True)
class Way:
    """Knots in order of time. Between two a device moves evenly, or stands where both are the same place."""

    at_ms: list[int] = field(default_factory=list)
    """Milliseconds since the epoch, UTC."""
    places: list[Metres] = field(default_factory=list)
    indoors: list[bool] = field(default_factory=list)
    """Of each knot: until the next one."""

    def stand(self, place: Metres, until_ms: int, *, indoors: bool) -> None:
        """Stay in a place from the last knot on."""
        self.indoors[-1] = indoors
        self._knot(max(until_ms, self.at_ms[-1] + 1), place)

    def go(self, places: list[Metres], speed: float) -> None:
        """Move through places, the first of which is where it is; metres a second."""
        for place in places[1:]:
            seconds = distance(self.places[-1], place) / speed
            self._knot(self.at_ms[-1] + max(round(seconds * 1000), 1), place)

    def begin(self, at_ms: int, place: Metres) -> None:
        """The first knot."""
        self._knot(at_ms, place)

    def place_at(self, at_ms: int) -> Metres:
        """Where it is."""
        number = min(max(bisect_right(self.at_ms, at_ms) - 1, 0), len(self.at_ms) - 2)
        start, end = self.at_ms[number], self.at_ms[number + 1]
        share = min(max((at_ms - start) / (end - start), 0.0), 1.0)
        return along(self.places[number], self.places[number + 1], share)

    def legs(self) -> Iterator[tuple[int, int, Metres, Metres, bool]]:
        """Each stretch: from when to when, from where to where, and whether that is indoors."""
        for number, indoors in enumerate(self.indoors[:-1]):
            yield (
                self.at_ms[number],
                self.at_ms[number + 1],
                self.places[number],
                self.places[number + 1],
                indoors,
            )

    def _knot(self, at_ms: int, place: Metres) -> None:
        self.at_ms.append(at_ms)
        self.places.append(place)
        self.indoors.append(False)


@dataclass(frozen=True, slots=True)
class Walker:
    """Makes ways of stays."""

    places: Places
    roads: Roads
    seed: int

    def ways(self, person: Person, stays: list[Stay]) -> list[tuple[Unit, Way]]:
        """The way of each of a person's devices through the stays of one day; none where there are no stays."""
        if not stays:
            return []
        source = chance(self.seed, "way", person.number, stays[0].start_ms)
        first, last = (spot_of(stay.place, stay.spot) for stay in (stays[0], stays[-1]))
        if person.vehicle is None:
            own = _through(stays, [self.roads.way_in(first, source)], person.walking, person.walking, source)
            own.go([last, *reversed(self.roads.way_in(last, source)[:-1])], person.walking)
            return [(unit, own) for unit in person.units]
        parked = self._parked(person, stays[0], source)
        road = self.roads.way_in(parked, source)
        own = _through(stays, [road, way(parked, first, source)], _DRIVING, person.walking, source)
        own.go(way(last, parked, source), person.walking)
        vehicle = Way()
        vehicle.begin(own.at_ms[0], road[0])
        vehicle.go(road, _DRIVING)
        vehicle.stand(parked, own.at_ms[-1], indoors=False)
        for moved in (vehicle, own):
            moved.go(road[::-1], _DRIVING)
        return [(unit, vehicle if unit.vehicle else own) for unit in person.units]

    def _parked(self, person: Person, stay: Stay, source: Random) -> Metres:
        if not person.lots:
            return self.places.door(stay.place.zone, source)
        lot = one_of(source, person.lots, [0.7, 0.2, 0.1][: len(person.lots)])
        return source.choice(lot.spots)


def _through(stays: list[Stay], ways_in: list[list[Metres]], coming: float, walking: float, source: Random) -> Way:
    """Through all stays, to the end of the last one. The first way in is gone at the speed `coming`."""
    speeds = [coming, *(walking for _ in ways_in[1:])]
    seconds = sum(length_of(road) / speed for road, speed in zip(ways_in, speeds, strict=True))
    made = Way()
    made.begin(stays[0].start_ms - round(seconds * 1000), ways_in[0][0])
    for road, speed in zip(ways_in, speeds, strict=True):
        made.go(road, speed)
    for stay, then in pairwise(stays):
        path = way(spot_of(stay.place, stay.spot), spot_of(then.place, then.spot), source)
        made.stand(path[0], then.start_ms - round(length_of(path) / walking * 1000), indoors=stay.place.indoors)
        made.go(path, walking)
    made.stand(made.places[-1], stays[-1].end_ms, indoors=stays[-1].place.indoors)
    return made
