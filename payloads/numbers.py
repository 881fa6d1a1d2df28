"""Measures, as devices and apps write them: what is out of its range is unknown."""

import re

MAX_ACCURACY = 1e7
"""Metres: a quarter of the way around the earth."""
MAX_SPEED = 1000.0
"""Metres a second: three times that of sound."""
MIN_ALTITUDE = -12_000.0
MAX_ALTITUDE = 1e6
"""Metres: from below the deepest sea to above most satellites."""
MAX_HEADING = 360.0
"""Degrees."""
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)


def measure(value: object, least: float, most: float) -> float | None:
    """A number, also one that is written as a text; None for none, an empty text, and one that is out of its range.

    Raises ValueError for what is no number.
    """
    number = number_of(value)
    return float(number) if number is not None and least <= number <= most else None


def heading(value: object) -> float | None:
    """Degrees clockwise from true north, 0 to 360; as `measure` otherwise."""
    return measure(value, 0, MAX_HEADING)


def number_of(value: object) -> float | None:
    """A number, also one that is written as a text; None for none, and for an empty text.

    Raises ValueError for what is no number, also for true and false.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise ValueError("not a number")
        return float(text)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError("not a number")
