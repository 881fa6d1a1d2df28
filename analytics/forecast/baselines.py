"""What anybody could guess: a model that is no better is not worth showing."""

import warnings

import numpy as np

from analytics.forecast.past import WEEK, DayKind, Floats, Past, shifted

WEEKS = 8
"""How far back they look."""


class LastWeek:
    """The same hour of a week before; of the one before that where it was not recorded, and so on."""

    name = "last-week"

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - the shape of all models
        """The next hours of each series; NaN where no week has the hour."""
        found = past.before(hours, back=WEEK)
        for weeks in range(2, WEEKS + 1):
            found = np.where(np.isnan(found), past.before(hours, back=weeks * WEEK), found)
        return found


class TypicalWeek:
    """The median of the same hour in the last eight weeks."""

    name = "typical-week"

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - the shape of all models
        """The next hours of each series; NaN where no week has the hour."""
        return typical(past.values, past.values.shape[1], hours)


def typical(values: Floats, begin: int, hours: int) -> Floats:
    """The median of the same hour of the eight weeks before each of the columns [begin, begin + hours).

    Hours are 168 at the most: none of what it reads is as late as `begin`.
    """
    weeks = np.stack([shifted(values, begin - back * WEEK, hours) for back in range(1, WEEKS + 1)])
    return median(weeks)


def median(stacked: Floats) -> Floats:
    """The median along the first axis of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        # numpy warns of places where all is NaN, which here is an answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmedian(stacked, axis=0)
    return found
