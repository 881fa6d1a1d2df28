"""What a device's receiver says of the true way: noise that is correlated, worse indoors, and irregular times."""

import math
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from simulator.campus.chance import between, likely
from simulator.campus.people import Unit
from simulator.campus.plane import Metres, along, distance
from simulator.campus.walk import Way

CORRELATION_SECONDS = 30.0
"""After this time two errors have a correlation of 1/e."""
SIGMA_OUTDOORS, SIGMA_INDOORS = 4.0, 20.0
"""Metres, in each of two directions."""
WITHIN = 1.515
"""Times sigma: the radius that holds 68 of 100 places, which is what phones call their accuracy."""
MOVING_SECONDS, STILL_SECONDS = 5.0, 60.0
"""Between two fixes at the least; a device asks its receiver less often when it stands still."""
_OF_A_NETWORK = 0.015
"""Of fixes indoors: no satellite was heard, and the place is that of a mast or of an access point."""
_NETWORK_TIMES = 9.0
_DOZES, _DOZE_SECONDS = 0.01, (180.0, 900.0)
_GOES_OFF = 0.04
_OUT_OF_SIGNAL = 0.15
"""Of devices, once on a day."""
_OUTAGE_SECONDS = (60.0, 1200.0)

Interval = tuple[int, int]
"""From when to when, milliseconds since the epoch, UTC."""


class Reading(NamedTuple):
    """One fix of a receiver: made for each fix of each device, so it is a tuple, which costs least."""

    at_ms: int
    """When it was, truly; the device's own clock may say something else."""
    place: Metres
    accuracy: float
    """Metres, as the receiver says."""
    speed: float
    """Metres a second."""
    heading: float | None
    """Degrees clockwise from north; None for what stands still."""
    signal: bool
    """Whether the device has a connection then."""


def readings(way: Way, unit: Unit, source: Random) -> Iterator[Reading]:
    """What a receiver says on a way, in order. A device that is off says nothing."""
    off, silent = _off(way, unit, source), _silent(way, source)
    noise = _Noise(source)
    at = way.at_ms[0] + source.random() * STILL_SECONDS * 1000
    for begins, ends, start, end, roofed in way.legs():
        lasts, moving, indoors = ends - begins, start != end, roofed and not unit.vehicle
        speed, heading = round(distance(start, end) / lasts * 1000, 2), _heading(start, end) if moving else None
        usual = (SIGMA_INDOORS if indoors else SIGMA_OUTDOORS) * unit.noise
        while at < ends:
            east, north = noise.at(at)
            network = indoors and likely(source, _OF_A_NETWORK)
            sigma = usual * _NETWORK_TIMES if network else usual
            said = sigma * WITHIN * math.exp(source.gauss(0.0, 0.2))
            if not off[0] <= at < off[1]:
                true = along(start, end, (at - begins) / lasts) if moving else start
                place = true[0] + sigma * east, true[1] + sigma * north
                yield Reading(int(at), place, round(said, 1), speed, heading, not silent[0] <= at < silent[1])
            at += _gap(source, moving=moving, vehicle=unit.vehicle) * 1000
            if not moving and at > ends:
                # Who begins to walk notices, some seconds later.
                at = ends + source.random() * MOVING_SECONDS * 1000
                break


class _Noise:
    """A Gauss-Markov process in two directions, whose sigma is 1."""

    def __init__(self, source: Random) -> None:
        self._gauss = source.gauss
        self._at: float | None = None
        self._east = self._north = 0.0

    def at(self, at_ms: float) -> Metres:
        """Its value at a time that is not before the one asked for last."""
        kept = 0.0 if self._at is None else math.exp((self._at - at_ms) / (1000 * CORRELATION_SECONDS))
        new = math.sqrt(1.0 - kept * kept)
        self._at = at_ms
        self._east = kept * self._east + new * self._gauss(0.0, 1.0)
        self._north = kept * self._north + new * self._gauss(0.0, 1.0)
        return self._east, self._north


def _gap(source: Random, *, moving: bool, vehicle: bool) -> float:
    if moving:
        return MOVING_SECONDS + source.expovariate(1.0)
    if not vehicle and likely(source, _DOZES):
        return between(source, *_DOZE_SECONDS)
    return STILL_SECONDS + source.expovariate(1 / 8)


def _heading(start: Metres, end: Metres) -> float:
    return round(math.degrees(math.atan2(end[0] - start[0], end[1] - start[1])) % 360.0, 1) % 360.0


def _off(way: Way, unit: Unit, source: Random) -> Interval:
    """When the battery is empty: from some time on, for hours or for the day."""
    if unit.vehicle or not likely(source, _GOES_OFF):
        return 0, 0
    begins = int(between(source, way.at_ms[0], way.at_ms[-1]))
    return begins, begins + int(between(source, 0.5, 8.0) * 3_600_000)


def _silent(way: Way, source: Random) -> Interval:
    """When there is no connection: what was kept is sent once there is one again, on the way out at the latest."""
    if not likely(source, _OUT_OF_SIGNAL):
        return 0, 0
    begins = int(between(source, way.at_ms[0], way.at_ms[-1]))
    ends = begins + int(between(source, *_OUTAGE_SECONDS) * 1000)
    return begins, min(ends, way.at_ms[-2])
