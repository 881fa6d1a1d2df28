"""What has been unlike the forecast for a quarter of an hour: further out than in the four weeks before."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics.forecast.intervals import unit
from analytics.forecast.nowcast import HourNumber, expected
from analytics.forecast.spread import FIVE_MINUTES_MS, RUN, Spread


@dataclass(frozen=True, slots=True)
class Anomaly:
    """The last window of three in a row that lie on the same side of their intervals."""

    at: int
    """Its start, ms since the epoch."""
    devices: int
    value: float
    """What was expected."""
    low: float
    high: float


def anomaly(
    at: int, counted: Mapping[int, int], forecast: Mapping[int, float], spread: Spread, hour_of: HourNumber
) -> Anomaly | None:
    """The anomaly that the window which begins at `at` is the last of; None where all is as it may be.

    `counted` are windows that were recorded, by their start: where one of the three was not, nothing is said.
    """
    sides = set()
    found: Anomaly | None = None
    for back in range(RUN):
        start = at - back * FIVE_MINUTES_MS
        known = expected(start, forecast, spread, hour_of)
        if known is None or start not in counted:
            return None
        devices = counted[start]
        size = float(unit(np.array(known.devices)))
        low, high = max(known.devices + spread.far_low * size, 0.0), known.devices + spread.far_high * size
        sides.add((devices > high) - (devices < low))
        found = found or Anomaly(start, devices, known.devices, low, high)
    return found if len(sides) == 1 and sides != {0} else None
