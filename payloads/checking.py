"""What holds of a position, whichever form it came in."""

from collections.abc import Sequence

import msgspec

from core.clock import AHEAD_MS, EARLIEST_MS, LATEST_MS
from core.errors import InvalidMessageError, Reason
from payloads.fix import Fix, Sender
from payloads.numbers import MAX_ACCURACY, MAX_ALTITUDE, MAX_SPEED, MIN_ALTITUDE, heading, measure, number_of
from payloads.times import instant_of, unit_of

MAX_DEVICE_ID = 128
MAX_FEATURES = 500
_TWO, _THREE = 2, 3
_SMALLEST = 5e-324
"""The least number that is more than 0."""


class Found(msgspec.Struct, frozen=True):
    """A position as it was written: nothing of it is checked."""

    longitude: object
    latitude: object
    """Degrees, WGS 84."""
    altitude: object = None
    """Metres."""
    device_id: object = None
    """The device, as somebody has named it; None where nobody has."""
    hints: tuple[object, ...] = ()
    """Other names of the device, the best first: of use where nothing else names it."""
    time: object = None
    """None for when it was received."""
    accuracy: object = None
    """Metres."""
    speed: object = None
    speed_unit: float = 1.0
    """Metres a second."""
    heading: object = None
    """Degrees clockwise from true north."""
    zero_accuracy: bool = True
    """Whether an accuracy of 0 is one: there are apps that write it for none."""


def checked(found: Found, sender: Sender) -> Fix:
    """The fix in what was found.

    Raises InvalidMessageError with the reason bad_coordinates, bad_property, no_device, wrong_device, future_timestamp
    or too_old.
    """
    longitude, latitude = checked_place(_degrees(found.longitude), _degrees(found.latitude))
    return Fix(
        device_of(_name(found.device_id), sender, found.hints),
        longitude,
        latitude,
        _measure("altitude", found.altitude, MIN_ALTITUDE, MAX_ALTITUDE),
        _time(found.time, sender),
        _measure("accuracy", found.accuracy, 0 if found.zero_accuracy else _SMALLEST, MAX_ACCURACY),
        _speed(found),
        _heading(found.heading),
    )


def checked_place(longitude: float, latitude: float) -> tuple[float, float]:
    """The same, in degrees. Raises InvalidMessageError (bad_coordinates) for what is no place on the earth."""
    if not -180 <= longitude <= 180 or not -90 <= latitude <= 90:  # noqa: PLR2004 - degrees
        raise InvalidMessageError(
            Reason.BAD_COORDINATES, "longitude is from -180 to 180, latitude from -90 to 90; longitude comes first"
        )
    return longitude, latitude


def place_of(coordinates: Sequence[object]) -> tuple[object, object, object]:
    """Longitude, latitude and altitude of GeoJSON's coordinates, None where there is none; what is more is left out.

    Raises InvalidMessageError (bad_coordinates) for what is no list of two numbers or more.
    """
    if len(coordinates) < _TWO:
        raise InvalidMessageError(
            Reason.BAD_COORDINATES, f"{len(coordinates)} coordinates: send two, or three with the altitude"
        )
    longitude, latitude = coordinates[:_TWO]
    if isinstance(longitude, str) or isinstance(latitude, str):
        raise InvalidMessageError(Reason.BAD_COORDINATES, "the coordinates are texts: send numbers")
    altitude = coordinates[_TWO] if len(coordinates) >= _THREE else None
    return longitude, latitude, altitude


def device_of(named: str | None, sender: Sender, hints: Sequence[object] = ()) -> str:
    """The device that a position is of: `named` in it, or its sender, or the one its topic names, or one of `hints`.

    Raises InvalidMessageError with the reason bad_property, no_device or wrong_device.
    """
    device = named
    if device is None:
        device = sender.own or sender.topic_id or next(filter(None, map(_hint, hints)), None)
        if device is None:
            raise InvalidMessageError(Reason.NO_DEVICE, "no device_id, and the MQTT user is not a device")
    if not 1 <= len(device) <= MAX_DEVICE_ID or device.isspace():
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"device_id: 1 to {MAX_DEVICE_ID} characters, not all blank")
    if named is not None and sender.own is not None and named != sender.own:
        raise InvalidMessageError(Reason.WRONG_DEVICE, "a device may not speak for another")
    return device


def checked_time(observed_at: int, sender: Sender, value: object = None) -> int:
    """An event time in milliseconds since the epoch, the same if the sender may send it; `value` is how it was written.

    Raises InvalidMessageError with the reason bad_property, future_timestamp or too_old.
    """
    if not EARLIEST_MS <= observed_at <= LATEST_MS:
        raise InvalidMessageError(Reason.BAD_PROPERTY, "timestamp: before 1970 or after 9999")
    if observed_at > sender.received_at + AHEAD_MS:
        detail = "more than five minutes after it was received"
        raise InvalidMessageError(Reason.FUTURE_TIMESTAMP, detail + _read_as(value))
    if sender.max_age is not None and observed_at < sender.received_at - sender.max_age:
        detail = f"older than POSITION_MAX_AGE lets the role {sender.role} send"
        raise InvalidMessageError(Reason.TOO_OLD, detail + _read_as(value))
    return observed_at


def checked_count(count: int) -> None:
    """Raise InvalidMessageError (too_many_features) for more positions than one message may have."""
    if count > MAX_FEATURES:
        raise InvalidMessageError(
            Reason.TOO_MANY_FEATURES, f"{count} features: send {MAX_FEATURES} in one message at the most"
        )


def _degrees(value: object) -> float:
    try:
        degrees = number_of(value)
    except ValueError as error:
        raise InvalidMessageError(Reason.BAD_COORDINATES, "longitude or latitude is no number") from error
    if degrees is None:
        raise InvalidMessageError(Reason.BAD_COORDINATES, "longitude or latitude is missing")
    # An integer of some hundred digits is no float.
    return float(degrees) if abs(degrees) <= 180 else 999.0  # noqa: PLR2004


def _name(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidMessageError(Reason.BAD_PROPERTY, "device_id: neither a text nor a whole number")


def _hint(value: object) -> str | None:
    """A text that is not blank, or a whole number; None for anything else."""
    if isinstance(value, str) and value.strip():
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: object, sender: Sender) -> int:
    if value is None:
        return sender.received_at
    try:
        observed_at = instant_of(value)
    except ValueError as error:
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"timestamp: {error}") from error
    return checked_time(observed_at, sender, value)


def _read_as(value: object) -> str:
    unit = unit_of(value)
    return f"; the number was read as {unit}" if unit else ""


def _measure(name: str, value: object, least: float, most: float) -> float | None:
    try:
        return measure(value, least, most)
    except ValueError as error:
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"{name}: {error}") from error


def _speed(found: Found) -> float | None:
    speed = _measure("speed", found.speed, 0, MAX_SPEED / found.speed_unit)
    return None if speed is None else speed * found.speed_unit


def _heading(value: object) -> float | None:
    try:
        return heading(value)
    except ValueError as error:
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"heading: {error}") from error
