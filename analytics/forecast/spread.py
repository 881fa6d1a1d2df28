"""From an hour to its 5m windows: which part of an hour's devices each has, and how far off that was.

Devices of an hour are distinct ones, so the parts of its windows do not add up to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.forecast.intervals import HIGH, LOW, quantiles, unit
from analytics.forecast.past import DAY, HOUR_MS, Floats

FIVE_MINUTES_MS = 300_000
Flags = NDArray[np.bool_]
PARTS = 12
"""Windows of an hour."""
SLOTS = DAY * PARTS
RUN = 3
"""Windows in a row, a quarter of an hour, that make an anomaly."""
UNUSUAL_DAYS = 2
"""Days of the backtest that may have been anomalies themselves, as an open day is: bounds go by the others."""
MARGIN = 1.25
"""How much further out than in those a quarter of an hour has to be."""
LEAST_FAR = 3.0
"""The least bound of anomalies, in units of errors."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one series, by the slot of a day (288 of them, from midnight on the campus's clocks)."""

    share: Floats
    """Devices of the window in parts of those of its hour."""
    low: Floats
    high: Floats
    """Quantiles of errors, in units of `intervals.unit`: between them lie four of five windows."""
    far_low: float
    far_high: float
    """The bounds of anomalies, likewise: further out for a quarter of an hour than all but two days of the backtest."""


def slot_of(hour: int, at_ms: int) -> int:
    """The slot of a window that begins at `at_ms` (since the epoch), in the hour of a number on the campus's clocks."""
    return hour % DAY * PARTS + at_ms % HOUR_MS // FIVE_MINUTES_MS


def spread(first: int, said: Floats, came: Floats, windows: Floats) -> Spread:
    """Work it out from hours in a row, the first with the number `first`: what was said, what came, and their windows.

    `windows` has a row of twelve for each hour; NaN is what was not recorded.
    """
    hours = (np.arange(said.size, dtype=np.int64) + first) % DAY
    known: Flags = ~np.isnan(windows) & ~np.isnan(came)[:, None]
    share = np.zeros((DAY, PARTS))
    overall = _part(windows, came, known)
    for hour in range(DAY):
        at = hours == hour
        for part in range(PARTS):
            share[hour, part] = _part(windows[at, part], came[at], known[at, part], otherwise=overall)
    expected = said[:, None] * share[hours]
    errors = (windows - expected) / unit(expected)
    lows, highs = _by_hour(errors, hours)
    ways = errors.ravel()
    return Spread(
        share.ravel(),
        np.repeat(lows, PARTS),
        np.repeat(highs, PARTS),
        -max(_longest(-ways) * MARGIN, LEAST_FAR),
        max(_longest(ways) * MARGIN, LEAST_FAR),
    )


def _part(windows: Floats, came: Floats, known: Flags, *, otherwise: float = 1.0) -> float:
    total = np.where(known, came if known.ndim == 1 else came[:, None], 0.0).sum()
    return float(np.where(known, windows, 0.0).sum() / total) if total > 0 else otherwise


def _by_hour(errors: Floats, hours: NDArray[np.int64]) -> tuple[Floats, Floats]:
    days = np.full((errors.shape[0] // DAY + 2, DAY, PARTS), np.nan)
    counted = np.zeros(DAY, dtype=np.int64)
    for row, hour in enumerate(hours):
        days[counted[hour], hour] = errors[row]
        counted[hour] += 1
    # The windows of an hour are as many errors of it.
    by_hour = days.transpose(0, 2, 1).reshape(-1, DAY)
    return quantiles(by_hour, LOW, HIGH)


def _longest(errors: Floats) -> float:
    """The level that errors were above for a quarter of an hour, at the most, on all but the most unusual days."""
    runs = np.stack([errors[start : errors.size - RUN + 1 + start] for start in range(RUN)]).min(axis=0)
    days = [runs[start : start + SLOTS] for start in range(0, runs.size, SLOTS)]
    highest = sorted((float(day.max()) for day in (day[~np.isnan(day)] for day in days) if day.size), reverse=True)
    return highest[UNUSUAL_DAYS] if len(highest) > UNUSUAL_DAYS else max(highest, default=0.0)
