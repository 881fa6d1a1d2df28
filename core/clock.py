"""Time, injected: a service is given a clock, and never asks the machine in its middle."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Answers the present as whole milliseconds since 1970-01-01T00:00:00Z."""

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):(?:([0-5]\d)(?:\.(\d+))?|60(?:\.\d+)?)"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_LAST_SECOND_OF_A_DAY = 86_399
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_MS = 0
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write."""
AHEAD_MS = 5 * 60 * 1000
"""How far a clock may be ahead of another: an event time that is further ahead says nothing."""


def system_clock() -> int:
    """The machine's own clock, in milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def parse_rfc3339(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time.

    Digits below a millisecond are cut off. A leap second, which is 23:59:60 in UTC and there alone, is the last
    millisecond before it. Raises ValueError for anything else, for a time without an offset from UTC, and for a time
    before 1970 or after 9999.
    """
    # fromisoformat reads more of ISO 8601 (20190218T085805Z, week dates, no offset), and not all of this.
    found = _RFC3339.fullmatch(text)
    if not found:
        raise ValueError("not an RFC 3339 time with an offset from UTC, such as 2019-02-18T08:58:05Z")
    date, hour, minute, second, fraction, sign, *offset = found.groups()
    days = (datetime.fromisoformat(f"{date}T00:00:00Z") - _EPOCH).days
    seconds = days * 86_400 + int(hour) * 3600 + int(minute) * 60 + (59 if second is None else int(second))
    if sign:
        ahead = int(offset[0]) * 3600 + int(offset[1]) * 60
        seconds += -ahead if sign == "+" else ahead
    if second is not None:
        milliseconds = seconds * 1000 + int((fraction or "0")[:3].ljust(3, "0"))
    elif seconds % 86_400 == _LAST_SECOND_OF_A_DAY:
        milliseconds = seconds * 1000 + 999
    else:
        raise ValueError("a second 60, and it is not 23:59:60 in UTC: no RFC 3339 time")
    if not EARLIEST_MS <= milliseconds <= LATEST_MS:
        raise ValueError("the time is before 1970 or after 9999")
    return milliseconds


def to_milliseconds(moment: datetime) -> int:
    """Whole milliseconds since the epoch of a time that has an offset from UTC; what is below them is cut off."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def format_rfc3339(milliseconds: int) -> str:
    """RFC 3339 in UTC: 2019-02-18T08:58:05Z, with three decimals only where they are not zero."""
    whole, rest = divmod(milliseconds, 1000)
    text = datetime.fromtimestamp(whole, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"
