"""The next two hours: the forecast, corrected by how the last half hour was beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from analytics.forecast.intervals import unit
from analytics.forecast.past import HOUR_MS
from analytics.forecast.spread import FIVE_MINUTES_MS, Spread, slot_of

LOOKED_AT = 6
"""Windows before now: half an hour."""
LEAST_LOOKED_AT = 3
"""Of them that were recorded; with fewer the forecast is not corrected."""
AHEAD = 24
"""Windows: two hours."""
LEAST_RATIO, MOST_RATIO = 0.5, 2.0

HourNumber = Callable[[int], int]
"""The number of the hour on the campus's clocks, of a time in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a 5m window, before anything of the day is known."""

    at: int
    """Its start, ms since the epoch."""
    devices: float
    slot: int


@dataclass(frozen=True, slots=True)
class Said:
    """A count and the bounds that four of five lie between."""

    at: int
    value: float
    low: float
    high: float


def expected(at: int, forecast: Mapping[int, float], spread: Spread, hour_of: HourNumber) -> Expected | None:
    """What the forecast of the hour (by its start, ms since the epoch) says of one of its windows; None: nothing."""
    devices = forecast.get(at - at % HOUR_MS)
    if devices is None:
        return None
    slot = slot_of(hour_of(at), at)
    return Expected(at, devices * float(spread.share[slot]), slot)


def nowcast(
    now: int, counted: Mapping[int, int], forecast: Mapping[int, float], spread: Spread, hour_of: HourNumber
) -> list[Said]:
    """The windows of the next two hours, the first of which begins at `now`, a multiple of five minutes.

    `counted` are the windows before it that were recorded, by their start: an empty one is 0.
    """
    ratio = _ratio(now, counted, forecast, spread, hour_of)
    found = []
    for step in range(AHEAD):
        known = expected(now + step * FIVE_MINUTES_MS, forecast, spread, hour_of)
        if known is None:
            continue
        # What is unlike other days now is as other days in two hours.
        value = known.devices * (1.0 + (ratio - 1.0) * (1.0 - step / AHEAD))
        size = float(unit(np.array(value)))
        low = max(min(value + float(spread.low[known.slot]) * size, value), 0.0)
        found.append(Said(known.at, value, low, max(value + float(spread.high[known.slot]) * size, value)))
    return found


def _ratio(
    now: int, counted: Mapping[int, int], forecast: Mapping[int, float], spread: Spread, hour_of: HourNumber
) -> float:
    came = usual = 0.0
    looked_at = 0
    for back in range(1, LOOKED_AT + 1):
        at = now - back * FIVE_MINUTES_MS
        known = expected(at, forecast, spread, hour_of)
        if known is not None and at in counted:
            looked_at += 1
            came += counted[at]
            usual += known.devices
    # A unit more on both sides: with one device in place of none, nothing is known of the next hours.
    ratio = (came + LOOKED_AT) / (usual + LOOKED_AT)
    return min(max(ratio, LEAST_RATIO), MOST_RATIO) if looked_at >= LEAST_LOOKED_AT else 1.0
