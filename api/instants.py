"""Times, as they are asked for and given: RFC 3339."""

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339

_MARGIN_MS = 3 * 86_400_000
EARLIEST = EARLIEST_MS + _MARGIN_MS
LATEST = LATEST_MS - _MARGIN_MS
"""The first and the last instant that can be asked for, milliseconds since the epoch."""
_OFFSET_LENGTH = len("+01:00")
_LOCAL_LENGTH = len("2019-02-18T08:58")


def instant(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time from a query string.

    A plus sign that was not written as %2B arrives as a space: where an offset would stand it is read as the plus that
    was meant. Raises ValueError, for a time within three days of 1970 or of 10000 as well, so that the calendar days
    around it can be written.
    """
    if len(text) > _LOCAL_LENGTH and text[-_OFFSET_LENGTH] == " ":
        text = f"{text[:-_OFFSET_LENGTH]}+{text[-_OFFSET_LENGTH + 1 :]}"
    milliseconds = parse_rfc3339(text)
    if not EARLIEST <= milliseconds <= LATEST:
        raise ValueError("the time is outside the years 1970 to 9999, in which something can have been observed")
    return milliseconds


_SCHEMA = {"type": "string", "format": "date-time"}
Instant = Annotated[
    int | None, BeforeValidator(instant), WithJsonSchema({**_SCHEMA, "examples": ["2019-02-18T08:55:00Z"]})
]
"""A query parameter that may be left out: RFC 3339 outside, milliseconds since the epoch inside."""
Rfc3339 = Annotated[str, WithJsonSchema(_SCHEMA)]
"""A member of a body, as `core.clock.format_rfc3339` writes it."""
