"""Times, as they are asked for and given: RFC 3339."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, WithJsonSchema

from core.clock import EARLIEST_MS, LATEST_MS, format_rfc3339, parse_rfc3339

_DAY_MS = 86_400_000
_MARGIN_MS = 3 * _DAY_MS
EARLIEST = EARLIEST_MS
LATEST = LATEST_MS - _MARGIN_MS
"""The first and the last instant that can be asked for, milliseconds since the epoch."""
UTC_NAME = "UTC"
_OFFSET_LENGTH = len("+01:00")
_LOCAL_LENGTH = len("2019-02-18T08:58")
_NAME_LENGTH = 64
_MINUTE = timedelta(minutes=1)


def instant(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time from a query string.

    A plus sign that was not written as %2B arrives as a space: where an offset would stand it is read as the plus that
    was meant. Raises ValueError, for a time within three days of the year 10000 as well, so that the calendar days
    around it can be written. Those around 1970 can.
    """
    if len(text) > _LOCAL_LENGTH and text[-_OFFSET_LENGTH] == " ":
        text = f"{text[:-_OFFSET_LENGTH]}+{text[-_OFFSET_LENGTH + 1 :]}"
    milliseconds = parse_rfc3339(text)
    if not EARLIEST <= milliseconds <= LATEST:
        raise ValueError("the time is outside the years 1970 to 9999, in which something can have been observed")
    return milliseconds


def time_zone(name: object) -> ZoneInfo:
    """The time zone of an IANA name. Raises ValueError for anything else."""
    try:
        if not isinstance(name, str) or len(name) > _NAME_LENGTH:
            raise ValueError  # noqa: TRY301 - one sentence for all that is wrong
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError("not an IANA time zone such as Europe/Dublin, in its own capitals") from error


def name_of(timezone: ZoneInfo | None) -> str:
    """What a body calls the time zone that its times are written in."""
    return UTC_NAME if timezone is None else timezone.key


def writer(timezone: ZoneInfo | None) -> Callable[[int], str]:
    """What writes milliseconds since the epoch as RFC 3339: in UTC, or with the offset of a time zone."""
    if timezone is None:
        return format_rfc3339
    zone = timezone

    def write(milliseconds: int) -> str:
        moment = datetime.fromtimestamp(milliseconds // 1000, zone)
        offset = moment.utcoffset()
        # Liberia's offset had seconds until 1972, for which RFC 3339 has no room.
        if offset is None or offset % _MINUTE:
            return format_rfc3339(milliseconds)
        rest = milliseconds % 1000
        return (moment.replace(microsecond=rest * 1000) if rest else moment).isoformat(
            timespec="milliseconds" if rest else "seconds"
        )

    return write


def written(instants: Iterable[int], timezone: ZoneInfo | None) -> list[str]:
    """Many times at once; quick where they are whole minutes in UTC."""
    if timezone is not None:
        return list(map(writer(timezone), instants))
    texts = []
    for milliseconds in instants:
        day, rest = divmod(milliseconds, _DAY_MS)
        minute, odd = divmod(rest, 60_000)
        texts.append(format_rfc3339(milliseconds) if odd else _date(day) + _time(minute))
    return texts


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return format_rfc3339(day * _DAY_MS)[: len("2019-02-18")]


@lru_cache(maxsize=24 * 60)
def _time(minute: int) -> str:
    return f"T{minute // 60:02d}:{minute % 60:02d}:00Z"


_SCHEMA = {"type": "string", "format": "date-time"}
Instant = Annotated[
    int | None, BeforeValidator(instant), WithJsonSchema({**_SCHEMA, "examples": ["2019-02-18T08:55:00Z"]})
]
"""A query parameter that may be left out: RFC 3339 outside, milliseconds since the epoch inside."""
TimeZone = Annotated[
    ZoneInfo | None,
    BeforeValidator(time_zone),
    WithJsonSchema({"type": "string", "maxLength": _NAME_LENGTH, "examples": ["Europe/Dublin"]}),
]
"""A query parameter that may be left out: the IANA name of a time zone."""
Rfc3339 = Annotated[str, WithJsonSchema(_SCHEMA)]
"""A member of a body, as `core.clock.format_rfc3339` writes it."""
