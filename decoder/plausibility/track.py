"""What one device sent in an hour, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNITS = 10_000_000
"""A place is told to seven decimals of a degree: a centimetre."""
METRES_A_UNIT = 6_371_008.8 * np.pi / 180 / UNITS
"""Of latitude, on the mean sphere."""
COARSE = 100
"""A device that tells five decimals or fewer is in the very places of others, and of its own, by rounding alone."""

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    """Fixes, each once, in order of time; those of the same time in order of their places."""

    at: Whole
    """Milliseconds since the epoch."""
    longitude: Whole
    """In units of 1e-7 degrees, as all places here."""
    latitude: Whole
    accuracy: Real
    """Metres, NaN where it was not told."""
    speed: Real
    """Metres a second, NaN where it was not told."""

    @classmethod
    def of(
        cls,
        at: Sequence[int],
        longitude: Sequence[int],
        latitude: Sequence[int],
        accuracy: Sequence[float],
        speed: Sequence[float],
    ) -> "Track":
        """From columns in any order, with what came twice in them."""
        whole = [np.asarray(column, dtype=np.int64) for column in (at, longitude, latitude)]
        real = [np.asarray(column, dtype=np.float64) for column in (accuracy, speed)]
        order = np.lexsort((*real[::-1], *whole[::-1]))
        rows = np.column_stack([*whole, *(column.view(np.int64) for column in real)])[order]
        again = np.zeros(len(order), dtype=bool)
        again[1:] = (rows[1:] == rows[:-1]).all(axis=1)
        kept = order[~again]
        (when, east, north), (accurate, fast) = whole, real
        return cls(when[kept], east[kept], north[kept], accurate[kept], fast[kept])

    def __len__(self) -> int:
        """How many fixes."""
        return len(self.at)

    def only(self, chosen: NDArray[np.bool_]) -> "Track":
        """Some of the fixes."""
        return Track(
            self.at[chosen], self.longitude[chosen], self.latitude[chosen], self.accuracy[chosen], self.speed[chosen]
        )

    def fine(self) -> "Track":
        """The fixes whose places are told finely enough to be compared."""
        return self.only((self.longitude % COARSE != 0) | (self.latitude % COARSE != 0))


def metres(track: Track, one: slice, other: slice) -> Real:
    """Between the fixes of two slices of the same length."""
    return length(
        (track.longitude[other] - track.longitude[one]).astype(np.float64),
        (track.latitude[other] - track.latitude[one]).astype(np.float64),
        track.latitude[one],
    )


def length(east: Real, north: Real, latitude: Whole) -> Real:
    """Metres of moves in units, beside a latitude: right to a thousandth over a campus, on 180 degrees, too."""
    turn = 360 * UNITS
    east = (east + turn / 2) % turn - turn / 2
    return np.hypot(east * np.cos(np.radians(latitude / UNITS)), north) * METRES_A_UNIT
