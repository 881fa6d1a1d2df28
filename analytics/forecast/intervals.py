"""How sure a forecast is: by how wrong it was in its backtest, so that every model has an interval.

Errors are told in units of the square root of what was forecast, for a count of 400 is further off than one of 4; with
that, a quiet Sunday does not have the interval of a Tuesday.
"""

import numpy as np

from analytics.forecast.past import Floats

LOW, HIGH = 0.1, 0.9
"""Four of five hours lie between them."""
BESIDE = 1
"""Hours before and after one whose errors count as its own: 28 are too few for a quantile."""


def unit(forecast: Floats) -> Floats:
    """The unit of errors, of each count that was forecast."""
    found: Floats = np.sqrt(np.maximum(forecast, 0.0) + 1.0)
    return found


def quantiles(errors: Floats, low: float = LOW, high: float = HIGH) -> tuple[Floats, Floats]:
    """Two quantiles of errors (origins, hours ahead) for each hour ahead, together with the hours beside it.

    Of hours of which no error is known they are those of all; 0 where there is none at all.
    """
    hours = errors.shape[1]
    everything = errors[~np.isnan(errors)]
    lows, highs = np.zeros(hours), np.zeros(hours)
    for hour in range(hours):
        near = errors[:, max(hour - BESIDE, 0) : hour + BESIDE + 1]
        known = near[~np.isnan(near)]
        known = known if known.size else everything
        if known.size:
            lows[hour], highs[hour] = np.quantile(known, [low, high])
    return lows, highs


def interval(forecast: Floats, said: Floats, came: Floats) -> tuple[Floats, Floats]:
    """The bounds of a forecast, hour by hour; `said` and `came` are the backtest's, of the same series and model.

    The forecast lies between them, and nothing below 0 does.
    """
    lows, highs = quantiles((came - said) / unit(said))
    low = np.minimum(np.maximum(forecast + lows * unit(forecast), 0.0), forecast)
    return low, np.maximum(forecast + highs * unit(forecast), forecast)
