"""One feature of a message, checked: a device was at a place at a time."""

from datetime import datetime

import msgspec

from core.clock import AHEAD_MS, EARLIEST_MS, LATEST_MS, to_milliseconds
from core.errors import InvalidMessageError, Reason
from core.messages import RawMessage
from decoder.payload import Feature, Point, Properties

MAX_DEVICE_ID = 128
SECONDS_NOT_MS = 100_000_000_000
"""Epoch milliseconds below this are before March 1973: somebody sent seconds."""
_TWO, _THREE = 2, 3
_NOTHING = Properties()


class Fix(msgspec.Struct, frozen=True):
    """A checked feature; not yet known to be on the campus."""

    device_id: str
    longitude: float
    latitude: float
    """Degrees, WGS 84."""
    altitude: float | None
    """Metres."""
    observed_at: int
    """Milliseconds since the epoch."""
    accuracy: float | None
    """Metres."""
    speed: float | None
    """Metres a second."""
    heading: float | None
    """Degrees clockwise from true north."""


def fix_of(found: Feature | Point, message: RawMessage, own: str | None, max_age: int | None) -> Fix:
    """The fix in a feature, or in a bare Point, of `message`.

    `own` is the id of the device that sent it, None where the sender is none and says whose it is. `max_age` is how old
    the fix may be (ms), None for any age.

    Raises InvalidMessageError with the reason bad_coordinates, bad_property, no_device, wrong_device, future_timestamp
    or too_old.
    """
    if isinstance(found, Point):
        point, properties = found, _NOTHING
    else:
        point, properties = found.geometry, found.properties or _NOTHING
    longitude, latitude, altitude = checked_place(point.coordinates)
    return Fix(
        _device(properties.device_id, own),
        longitude,
        latitude,
        altitude,
        _time(properties.timestamp, message, max_age),
        _known(properties.accuracy),
        _known(properties.speed),
        _known(properties.heading),
    )


def checked_place(coordinates: list[float]) -> tuple[float, float, float | None]:
    """Longitude, latitude and altitude of a Point. Raises InvalidMessageError (bad_coordinates)."""
    count = len(coordinates)
    if count == _TWO:
        longitude, latitude = coordinates
        altitude = None
    elif count == _THREE:
        longitude, latitude, altitude = coordinates
    else:
        raise InvalidMessageError(Reason.BAD_COORDINATES, f"{count} coordinates: send two, or three with the altitude")
    if not -180 <= longitude <= 180 or not -90 <= latitude <= 90:  # noqa: PLR2004 - degrees
        raise InvalidMessageError(
            Reason.BAD_COORDINATES, "longitude is from -180 to 180, latitude from -90 to 90; longitude comes first"
        )
    return longitude, latitude, altitude


def _time(timestamp: datetime | float | None, message: RawMessage, max_age: int | None) -> int:
    received_at = message.received_at
    if timestamp is None:
        return received_at
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidMessageError(Reason.BAD_PROPERTY, "timestamp: no offset from UTC; end it with Z or +01:00")
        observed_at = to_milliseconds(timestamp)
    elif 0 <= timestamp < SECONDS_NOT_MS:
        raise InvalidMessageError(Reason.BAD_PROPERTY, "timestamp: a number is in milliseconds, and this is in seconds")
    else:
        observed_at = int(timestamp)
    if not EARLIEST_MS <= observed_at <= LATEST_MS:
        raise InvalidMessageError(Reason.BAD_PROPERTY, "timestamp: before 1970 or after 9999")
    if observed_at > received_at + AHEAD_MS:
        raise InvalidMessageError(Reason.FUTURE_TIMESTAMP, "more than five minutes after it was received")
    if max_age is not None and observed_at < received_at - max_age:
        raise InvalidMessageError(Reason.TOO_OLD, f"older than POSITION_MAX_AGE lets the role {message.role} send")
    return observed_at


def _device(device_id: str | None, own: str | None) -> str:
    if device_id is None:
        if own is None:
            raise InvalidMessageError(Reason.NO_DEVICE, "no device_id, and the MQTT user is not a device")
        return own
    if not 1 <= len(device_id) <= MAX_DEVICE_ID:
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"device_id: 1 to {MAX_DEVICE_ID} characters")
    if own is not None and device_id != own:
        raise InvalidMessageError(Reason.WRONG_DEVICE, "a device may not speak for another")
    return device_id


def _known(value: float | None) -> float | None:
    """Phones say -1 for what they do not know."""
    return value if value is not None and value >= 0 else None
