"""One feature of a message, checked: a device was at a place at a time."""

from dataclasses import dataclass

import msgspec

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339
from core.errors import InvalidMessage, Reason
from core.messages import RawMessage, Role
from decoder.payload import Feature

MAX_DEVICE_ID = 128
MAX_FUTURE_MS = 5 * 60 * 1000
SECONDS_NOT_MS = 100_000_000_000
"""Epoch milliseconds below this are before March 1973: somebody sent seconds."""
_DEVICES = {Role.CAR, Role.MOBILE}


@dataclass(frozen=True, slots=True)
class Fix:
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


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: msgspec.Raw = msgspec.Raw(b"null")


class _Properties(msgspec.Struct, frozen=True):
    device_id: str | None = None
    timestamp: str | int | float | None = None
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


_decode_geometry = msgspec.json.Decoder(_Geometry | None).decode
_decode_coordinates = msgspec.json.Decoder(list[float]).decode
_decode_properties = msgspec.json.Decoder(_Properties | None).decode
_NOTHING = _Properties()


def read_feature(feature: Feature, message: RawMessage) -> Fix:
    """The fix in a feature of `message`.

    Raises InvalidMessage with the reasons not_geojson, not_a_point, bad_coordinates, bad_property, no_device,
    wrong_device or future_timestamp; with the place, once that is known.
    """
    longitude, latitude, altitude = _place(feature.geometry)
    try:
        properties = _decode_properties(feature.properties) or _NOTHING
        observed_at = _time(properties.timestamp, message.received_at)
        return Fix(
            device_id=_device(properties.device_id, message),
            longitude=longitude,
            latitude=latitude,
            altitude=altitude,
            observed_at=observed_at,
            accuracy=_known(properties.accuracy),
            speed=_known(properties.speed),
            heading=_known(properties.heading),
        )
    except InvalidMessage as error:
        raise InvalidMessage(error.reason, error.detail, place=(longitude, latitude)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(Reason.BAD_PROPERTY, f"properties: {error}", place=(longitude, latitude)) from error


def _place(text: msgspec.Raw) -> tuple[float, float, float | None]:
    try:
        geometry = _decode_geometry(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(Reason.NOT_GEOJSON, "the geometry is not a GeoJSON object") from error
    if geometry is None:
        raise InvalidMessage(Reason.NOT_GEOJSON, "not a Feature with a geometry")
    if geometry.type != "Point":
        raise InvalidMessage(Reason.NOT_A_POINT, "the geometry of a position is a Point")
    try:
        longitude, latitude, *rest = _decode_coordinates(geometry.coordinates)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidMessage(
            Reason.BAD_COORDINATES, "the coordinates are not longitude, latitude and perhaps altitude, as numbers"
        ) from error
    if len(rest) > 1:
        raise InvalidMessage(Reason.BAD_COORDINATES, "more than three coordinates")
    if not -180 <= longitude <= 180 or not -90 <= latitude <= 90:  # noqa: PLR2004 - degrees
        raise InvalidMessage(
            Reason.BAD_COORDINATES, "longitude is from -180 to 180, latitude from -90 to 90; longitude comes first"
        )
    return longitude, latitude, rest[0] if rest else None


def _time(timestamp: str | float | None, received_at: int) -> int:
    if timestamp is None:
        return received_at
    if isinstance(timestamp, str):
        try:
            observed_at = parse_rfc3339(timestamp)
        except ValueError as error:
            raise InvalidMessage(Reason.BAD_PROPERTY, f"timestamp: {error}") from error
    else:
        if not EARLIEST_MS <= timestamp <= LATEST_MS:
            raise InvalidMessage(Reason.BAD_PROPERTY, "timestamp: before 1970 or after 9999")
        if timestamp < SECONDS_NOT_MS:
            raise InvalidMessage(Reason.BAD_PROPERTY, "timestamp: a number is in milliseconds, and this is in seconds")
        observed_at = int(timestamp)
    if observed_at > received_at + MAX_FUTURE_MS:
        raise InvalidMessage(Reason.FUTURE_TIMESTAMP, "more than five minutes after it was received")
    return observed_at


def _device(device_id: str | None, message: RawMessage) -> str:
    own = message.user if message.role in _DEVICES else None
    if device_id is None:
        if own is None:
            raise InvalidMessage(Reason.NO_DEVICE, "no device_id, and the MQTT user is not a device")
        return own
    if not 1 <= len(device_id) <= MAX_DEVICE_ID:
        raise InvalidMessage(Reason.BAD_PROPERTY, f"device_id: 1 to {MAX_DEVICE_ID} characters")
    if own is not None and device_id != own:
        raise InvalidMessage(Reason.WRONG_DEVICE, "a device may not speak for another")
    return device_id


def _known(value: float | None) -> float | None:
    """Phones say -1 for what they do not know."""
    return value if value is not None and value >= 0 else None
