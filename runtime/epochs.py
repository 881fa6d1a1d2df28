"""When a key of device hashes begins, and when it ends: always at a midnight of the campus.

All windows end at a midnight, so a device is counted once in each of them, whatever its hash is. (In a time zone that
is not whole hours from UTC, one window of 1h spans midnight.)
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.windows import Width, window_start
from runtime.settings import DeviceSettings

DAY_MS = 86_400_000
MOST_AGE_MS = 7 * DAY_MS
"""How old a position may be where keys rotate, whoever sends it: its key must still be there."""
KEEP_MS = MOST_AGE_MS + 2 * DAY_MS
"""How long a key is kept after its end: so that messages may also wait two days for a decoder."""
_SUNDAY = 6


class Rotation(StrEnum):
    """How long a key holds."""

    NEVER = "never"
    DAY = "day"
    WEEK = "week"  # from Monday on
    MONTH = "month"


class DeviceKey(NamedTuple):
    """What a key of some time is made of, with DEVICE_KEY: neither is of use without the other."""

    start: int
    """Its first millisecond, since the epoch."""
    end: int
    """The first that is not."""
    secret: bytes


class WhoIsWho(NamedTuple):
    """What makes a device's hash, as the settings have it."""

    rotation: Rotation
    source: bool
    """Whether who sends a position is a part of who its device is."""

    @property
    def rotates(self) -> bool:
        """Whether keys do."""
        return self.rotation is not Rotation.NEVER

    @property
    def most_age_ms(self) -> int | None:
        """How old a position of anybody may be; None where that has no end."""
        return MOST_AGE_MS if self.rotates else None


def who_is_who(settings: DeviceSettings, *, is_open: bool) -> WhoIsWho:
    """What DEVICE_KEY_ROTATION and DEVICE_SOURCE come to; where they are unset, `is_open` of the profile decides."""
    rotation = settings.device_key_rotation or ("never" if is_open else "week")
    return WhoIsWho(Rotation(rotation), not is_open if settings.device_source is None else settings.device_source)


def span_of(rotation: Rotation, at: int, zone: ZoneInfo) -> tuple[int, int]:
    """From when to when the key of a time holds, by the calendar of the campus; milliseconds since the epoch.

    Raises ValueError for `never`.
    """
    day = datetime.fromtimestamp(at / 1000, zone).date()
    match rotation:
        case Rotation.DAY:
            first, last = day, day
        case Rotation.WEEK:
            first = day - timedelta(days=day.weekday())
            last = first + timedelta(days=_SUNDAY)
        case Rotation.MONTH:
            first = day.replace(day=1)
            # Of no month are there 32 days, and of each 28.
            last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        case Rotation.NEVER:
            raise ValueError("a key that never rotates has no span")
    return _midnight(first, zone), _midnight(last + timedelta(days=1), zone)


def next_midnight(at: int, zone: ZoneInfo) -> int:
    """The first millisecond of the campus's next day."""
    return span_of(Rotation.DAY, at, zone)[1]


def name_of(start: int, zone: ZoneInfo) -> str:
    """How people call a key: by its first day."""
    return datetime.fromtimestamp(start / 1000, zone).date().isoformat()


def in_order(keys: list[DeviceKey]) -> list[DeviceKey]:
    """The same in the order of time; each ends where the next one begins, if not before."""
    ordered = sorted(keys)
    ends = [min(key.end, later.start) for key, later in pairwise(ordered)] + [key.end for key in ordered[-1:]]
    return [key._replace(end=end) for key, end in zip(ordered, ends, strict=True)]


def key_at(keys: list[DeviceKey], at: int) -> DeviceKey | None:
    """The key of a time, among some that are in order."""
    return next((key for key in keys if key.start <= at < key.end), None)


def _midnight(day: date, zone: ZoneInfo) -> int:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    return window_start(Width.DAY, int(noon.timestamp() * 1000), zone)
