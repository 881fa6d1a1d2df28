"""Numbers and times as recorders write them."""

import re

from payloads import numbers
from payloads.times import instant_of

_NO_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_MAX_CHARACTERS = 100
"""Of a number or a time: a receiver writes thirty."""


def degrees(value: object) -> float:
    """A longitude or latitude, a number or the text of one. Raises ValueError, which says what is wrong."""
    given = value[:_MAX_CHARACTERS] if isinstance(value, str) else value
    try:
        number = numbers.number_of(given)
    except ValueError:
        number = None
    if number is not None:
        return number
    if isinstance(given, str) and measure(given.replace(",", ".", 1), -1e9, 1e9) is not None:
        raise ValueError(f"{given!r} has a decimal comma, and should have a point")
    raise ValueError(f"{str(given)[:_MAX_CHARACTERS]!r} is not a number of degrees")


def measure(value: object, least: float, most: float) -> float | None:
    """A number, or the text of one, within both; None, unknown, for anything else."""
    try:
        return numbers.measure(value[:_MAX_CHARACTERS] if isinstance(value, str) else value, least, most)
    except ValueError:
        return None


def scaled(value: object, factor: float) -> float | None:
    """A number, or the text of one, in another unit: `factor` times as much; None for anything else."""
    number = measure(value, -1e12, 1e12)
    return None if number is None else number * factor


def instant(value: object) -> int:
    """Milliseconds since the epoch of a time as `payloads.times` reads it; without an offset it is UTC, as in GPX.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        value = value.strip()[:_MAX_CHARACTERS]
        if _NO_OFFSET.fullmatch(value):
            value += "Z"
    return instant_of(value)
