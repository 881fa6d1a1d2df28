"""Instants, as devices and apps write them: RFC 3339, or a number since 1970 whose size tells its unit."""

import re

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339

_UNITS = (
    # Below so much it is in this unit, which has so many to a millisecond, or so many milliseconds.
    (1e11, "seconds", 1000, 1),
    (1e14, "milliseconds", 1, 1),
    (1e17, "microseconds", 1, 1000),
    (1e20, "nanoseconds", 1, 1_000_000),
)
"""Each limit is the year 5138 in the unit before it, and 1973 in the one after it."""
_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_OFFSET_WITHOUT_COLON = re.compile(r"(.{11}\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d)(\d\d)", re.ASCII)
_NO_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)


def instant_of(value: object) -> int:
    """Milliseconds since the epoch of an RFC 3339 text, or of a number, also one that is written as a text.

    Of RFC 3339 also what `core.clock.parse_rfc3339` allows, and an offset without its colon. A number is in seconds,
    milliseconds, microseconds or nanoseconds, by its size; what is below a millisecond is cut off. Raises ValueError
    with a sentence that does not hold the value.
    """
    if isinstance(value, str):
        text = value.strip()
        number = _number(text)
        if number is None:
            return _of_text(text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    else:
        raise ValueError("neither a text nor a number: send RFC 3339, such as 2019-02-18T08:58:05Z")  # noqa: TRY004
    return _of_number(number)


def unit_of(value: object) -> str | None:
    """The unit that `instant_of` takes a number for; None for what is no number, or one of no unit."""
    number = _number(value.strip()) if isinstance(value, str) else value
    if not isinstance(number, int | float) or isinstance(number, bool) or number < 0:
        return None
    return next((name for limit, name, _, _ in _UNITS if number < limit), None)


def _number(text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return float(text) if "." in text else int(text)


def _of_number(number: float) -> int:
    if number < 0:
        raise ValueError("a number below zero: an instant is since 1970")
    for limit, name, times, parts in _UNITS:
        if number < limit:
            # What a float has after its thirteenth digit is no more than its own error.
            milliseconds = int(number * times // parts if isinstance(number, int) else round(number * times, 3) / parts)
            if not EARLIEST_MS <= milliseconds <= LATEST_MS:
                raise ValueError(f"after 9999, read as {name}")
            return milliseconds
    raise ValueError("a number too large for nanoseconds since 1970")


def _of_text(text: str) -> int:
    try:
        return parse_rfc3339(_OFFSET_WITHOUT_COLON.sub(r"\1:\2", text, count=1))
    except ValueError as error:
        if _NO_OFFSET.fullmatch(text):
            raise ValueError("no offset from UTC; end it with Z or +01:00") from error
        raise ValueError(str(error)) from error
