"""Devices that make positions up, each in one of the ways that marks tell apart. They belong to nobody.

As all of a crowd, a spoofer's day is a function of the seed. They are at it from eight to eight.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from core.kinds import Kinds
from core.marks import Mark
from simulator.campus.chance import between, chance
from simulator.campus.gps import Reading, readings
from simulator.campus.people import Person, Unit
from simulator.campus.places import Places
from simulator.campus.plane import Metres, along, distance
from simulator.campus.roads import way
from simulator.campus.walk import Way

BEGINS, ENDS = 8, 20
"""Hours on the wall."""
ACCURACY = 6.0
"""Metres, that they say."""
WALKING = 1.4
FAR_METRES = 250.0
"""What teleports goes so far at the least."""
LOCKSTEP_METRES = 20.0
"""How far those in lockstep are from the one that they follow, at the most."""
LOCKSTEP_SECONDS = 15.0
"""Between two fixes of theirs: far enough apart that every device sends each."""
NOISE_METRES = 4.0
TRIES = 40
"""How many people a replay tries until it finds one who comes."""

WaysOf = Callable[[Person, date], list[tuple[Unit, Way]]]
"""The true way of each of a person's devices on a day."""


@dataclass(frozen=True, slots=True)
class Spoofer:
    """One of them."""

    unit: Unit
    mark: Mark
    """How it makes positions up."""


class Spoofers:
    """So many of them, of each way as many as of the others, or one more."""

    def __init__(
        self,
        count: int,
        *,
        places: Places,
        kinds: Kinds,
        people: list[Person],
        ways: WaysOf,
        zone: ZoneInfo,
        seed: int,
    ) -> None:
        """`people` are those whose tracks are replayed."""
        self._places = places
        self._people = people
        self._ways = ways
        self._zone = zone
        self._seed = seed
        kind = next((each for each in kinds if each.person), next(iter(kinds)))
        self.all: tuple[Spoofer, ...] = tuple(
            Spoofer(Unit(f"{kind.id}-{seed}-s{number:04d}", kind, vehicle=False, skew_ms=0, noise=1.0), mark)
            for number, mark in enumerate(itertools.islice(itertools.cycle(Mark), count))
        )

    def day(self, spoofer: Spoofer, day: date) -> Iterator[Reading]:
        """What a spoofer's receiver would have said on a day, in order."""
        begins, ends = (self._moment(day, hour) for hour in (BEGINS, ENDS))
        source = chance(self._seed, "spoof", spoofer.unit.id, day)
        match spoofer.mark:
            case Mark.TELEPORT:
                return self._teleports(begins, ends, source)
            case Mark.REPLAYED:
                return self._replay(begins, ends, day, source)
            case Mark.LOCKSTEP:
                return self._lockstep(spoofer, begins, ends, day)
            case Mark.FROZEN:
                return self._frozen(begins, ends, source)
            case Mark.PERFECT:
                return self._perfect(begins, ends, source)

    def _teleports(self, begins: int, ends: int, source: Random) -> Iterator[Reading]:
        place, at = self._spot(source), float(begins)
        while at < ends:
            yield _reading(at, _blurred(place, source), source.uniform(0.0, WALKING))
            at += between(source, 5.0, 20.0) * 1000
            for _ in range(TRIES):
                there = self._spot(source)
                if distance(place, there) >= FAR_METRES:
                    break
            place = there

    def _frozen(self, begins: int, ends: int, source: Random) -> Iterator[Reading]:
        place, at = self._spot(source), float(begins)
        while at < ends:
            yield _reading(at, place, between(source, 0.0, 7.0))
            at += (60.0 + source.expovariate(1 / 8)) * 1000

    def _perfect(self, begins: int, ends: int, source: Random) -> Iterator[Reading]:
        return (
            _reading(at, place, WALKING) for at, place in _walked(begins, ends, 5.0, lambda: self._spot(source), source)
        )

    def _lockstep(self, spoofer: Spoofer, begins: int, ends: int, day: date) -> Iterator[Reading]:
        # One way with one noise for all of them, and a place beside it for each.
        shared, own = chance(self._seed, "lockstep", day), chance(self._seed, "beside", spoofer.unit.id)
        beside = between(own, -LOCKSTEP_METRES, LOCKSTEP_METRES), between(own, -LOCKSTEP_METRES, LOCKSTEP_METRES)
        for at, place in _walked(begins, ends, LOCKSTEP_SECONDS, lambda: self._spot(shared), shared):
            east, north = _blurred(place, shared)
            yield _reading(at, (east + beside[0], north + beside[1]), WALKING)

    def _replay(self, begins: int, ends: int, day: date, source: Random) -> Iterator[Reading]:
        later = round(between(source, 120.0, 900.0) * 1000)
        for _ in range(TRIES if self._people else 0):
            person = source.choice(self._people)
            for unit, copied in self._ways(person, day):
                if unit is person.carried:
                    # The very readings of the other device: they follow from the seed.
                    for reading in readings(copied, unit, chance(self._seed, "gps", unit.id, day)):
                        if begins <= reading.at_ms + later < ends:
                            yield reading._replace(at_ms=reading.at_ms + later, signal=True)
                    return

    def _spot(self, source: Random) -> Metres:
        return source.choice(source.choice(self._places.destinations).spots)

    def _moment(self, day: date, hour: int) -> int:
        wall = datetime(day.year, day.month, day.day, tzinfo=self._zone) + timedelta(hours=hour)
        return int(wall.timestamp() * 1000)


def _walked(
    begins: int, ends: int, seconds: float, spot: Callable[[], Metres], source: Random
) -> Iterator[tuple[float, Metres]]:
    """From spot to spot without a rest, by ways with bends, and a look at each so many seconds."""
    at, here = float(begins), spot()
    left = 0.0
    while at < ends:
        path = way(here, spot(), source)
        for start, end in itertools.pairwise(path):
            length = distance(start, end)
            while left < length and at < ends:
                yield at, along(start, end, left / length)
                at += seconds * 1000
                left += seconds * WALKING
            left -= length
        here = path[-1]


def _blurred(place: Metres, source: Random) -> Metres:
    return place[0] + source.gauss(0.0, NOISE_METRES), place[1] + source.gauss(0.0, NOISE_METRES)


def _reading(at: float, place: Metres, speed: float) -> Reading:
    return Reading(int(at), place, ACCURACY, round(speed, 2), None, signal=True)
