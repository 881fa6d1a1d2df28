"""Metres around a place, for what walks and is noisy in metres."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

METRES_A_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6,371 km: over a campus no millimetre beside the ellipsoid matters."""

Metres = tuple[float, float]
"""Metres east and north of the middle of a plane."""


@dataclass(frozen=True)
class Plane:
    """A plane that touches the Earth at its middle: right to a metre over some kilometres, on 180 degrees, too."""

    longitude: float
    latitude: float

    def degrees(self, place: Metres) -> tuple[float, float]:
        """Longitude and latitude, each to seven decimals, which is a centimetre."""
        longitude = self.longitude + place[0] / self._metres_a_degree_east
        return (
            round((longitude + 180.0) % 360.0 - 180.0, 7),
            round(self.latitude + place[1] / METRES_A_DEGREE, 7),
        )

    def projected(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape of degrees as one of metres. Parts on both sides of 180 degrees come together."""
        return shapely.transform(shape, self._metres)

    def _metres(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        east = (degrees[:, 0] - self.longitude + 180.0) % 360.0 - 180.0
        north = degrees[:, 1] - self.latitude
        return np.column_stack((east * self._metres_a_degree_east, north * METRES_A_DEGREE))

    @cached_property
    def _metres_a_degree_east(self) -> float:
        return METRES_A_DEGREE * max(math.cos(math.radians(self.latitude)), 0.01)


def distance(one: Metres, other: Metres) -> float:
    """Metres between two places."""
    return math.hypot(other[0] - one[0], other[1] - one[1])


def along(one: Metres, other: Metres, share: float) -> Metres:
    """The place at a share (0 to 1) of the way from one to the other."""
    return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share
