"""Devices of which the truth is known: where they are, and what a receiver that is not exact reports of it.

Noise is what phones mean by accuracy: the radius in metres that holds 68 % of the reported places. It is normal, and
the same to each side, so that one axis has the noise divided by 1.51.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from geofence import Geofence
from simulator.fix import Fix

METRES_A_DEGREE = 111_200.0
"""Of latitude, with the mean radius of the earth; of longitude, times the cosine of the latitude."""
_RADIUS_OF_AN_AXIS = math.sqrt(-2 * math.log(1 - 0.68))
"""Two normal axes have 68 % of their places within so many standard deviations of one axis."""

Place = tuple[float, float]
"""Longitude and latitude, degrees of WGS 84."""


@dataclass(frozen=True, slots=True)
class TrueFix:
    """What a device reports, and what is true."""

    fix: Fix
    """As the receiver has it: with noise, and with the noise as its accuracy."""
    place: Place
    """Where the device is."""


def standing(
    place: Place,
    *,
    start_ms: int,
    seconds: float,
    noise: float,
    seed: int,
    every: float = 10.0,
    correlation: float = 0.0,
) -> list[TrueFix]:
    """A device that does not move, with a fix each `every` seconds, the last one `seconds` after the first at most.

    `start_ms` is the time of the first one, milliseconds since the epoch. `noise` is in metres: 68 % of the fixes are
    within it. `correlation`, from 0 to less than 1, is how much of its error a fix keeps of the one before. The same
    seed gives the same fixes.
    """
    count = math.floor(seconds / every) + 1
    return list(_reported([place] * count, start_ms, every, noise, seed, correlation))


def walking(
    path: Sequence[Place],
    *,
    start_ms: int,
    speed: float,
    every: float,
    noise: float,
    seed: int,
    correlation: float = 0.0,
) -> list[TrueFix]:
    """A device that walks along a path of two places or more, and reports once more where the path ends.

    `speed` is in metres a second; the others are as `standing` has them.
    """
    return list(_reported(_along(path, speed * every), start_ms, every, noise, seed, correlation))


def true_zones(fence: Geofence, fixes: Sequence[TrueFix]) -> list[tuple[str, ...] | None]:
    """The zones in which the device is at each fix, the campus first; None where it is outside."""
    places = np.array([each.place for each in fixes], dtype=np.float64).reshape(-1, 2)
    return fence.locate(places[:, 0], places[:, 1])


def moved(place: Place, east: float, north: float) -> Place:
    """The place so many metres to the east and to the north of another one, within some kilometres."""
    longitude, latitude = place
    return longitude + east / _metres_a_degree_east(latitude), latitude + north / METRES_A_DEGREE


def metres_between(here: Place, there: Place) -> tuple[float, float]:
    """How many metres `there` is to the east and to the north of `here`, within some kilometres."""
    east = (there[0] - here[0]) * _metres_a_degree_east(here[1])
    return east, (there[1] - here[1]) * METRES_A_DEGREE


def _metres_a_degree_east(latitude: float) -> float:
    return METRES_A_DEGREE * math.cos(math.radians(latitude))


def _along(path: Sequence[Place], stride: float) -> Iterator[Place]:
    """The places on a path, `stride` metres from one to the next, and its end."""
    left = 0.0
    for here, there in itertools.pairwise(path):
        east, north = metres_between(here, there)
        length = math.hypot(east, north)
        while left < length:
            yield moved(here, east * left / length, north * left / length)
            left += stride
        left -= length
    yield path[-1]


def _reported(  # noqa: PLR0917 - private, in one order
    places: Sequence[Place] | Iterator[Place],
    start_ms: int,
    every: float,
    noise: float,
    seed: int,
    correlation: float,
) -> Iterator[TrueFix]:
    random = Random(seed)  # noqa: S311 - to be repeatable, not secret
    deviation = noise / _RADIUS_OF_AN_AXIS
    kept, new = correlation, math.sqrt(1 - correlation**2)
    east, north = random.gauss(0, deviation), random.gauss(0, deviation)
    for number, place in enumerate(places):
        if number:
            east = kept * east + new * random.gauss(0, deviation)
            north = kept * north + new * random.gauss(0, deviation)
        at = start_ms + round(number * every * 1000)
        yield TrueFix(Fix(*moved(place, east, north), at, accuracy=noise), place)
