"""GeoJSON as devices send it: the common case is decoded in one step, straight into typed values, and checked."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from core.clock import to_milliseconds
from core.errors import InvalidMessageError, Reason
from payloads.checking import checked_place, checked_time, device_of, place_of
from payloads.fix import Fix, Sender
from payloads.loose import fix_of_feature, is_by_gpslogger
from payloads.numbers import MAX_ACCURACY, MAX_ALTITUDE, MAX_HEADING, MAX_SPEED, MIN_ALTITUDE
from payloads.objects import object_in
from payloads.times import instant_of

_TWO, _THREE = 2, 3


class Point(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="Point"):
    """A GeoJSON Point, its coordinates not yet checked."""

    coordinates: list[float]


class Properties(msgspec.Struct, frozen=True, gc=False):
    """The properties that we read; others are skipped."""

    device_id: str | None = None
    timestamp: datetime | int | float | None = None
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


class Feature(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="Feature"):
    """A GeoJSON Feature with a Point."""

    geometry: Point
    properties: Properties | None = None


class Collection(msgspec.Struct, frozen=True, tag_field="type", tag="FeatureCollection"):
    """A GeoJSON FeatureCollection, its members not yet decoded: a bad one must not cost its neighbours."""

    features: list[msgspec.Raw]


decode_document: Callable[[bytes], Feature | Collection | Point] = msgspec.json.Decoder(
    Feature | Collection | Point
).decode
"""Decodes a whole payload's JSON; any error means that it is to be looked into part by part."""
decode_member = msgspec.json.Decoder(Feature).decode
"""The same for a member of a FeatureCollection."""
_NOTHING = Properties()


def fix_of(found: Feature | Point, text: bytes | msgspec.Raw, sender: Sender) -> Fix:
    """The fix in a feature, or in a bare Point; `text` is its JSON.

    Raises InvalidMessageError with the reason bad_coordinates, bad_property, no_device, wrong_device, future_timestamp
    or too_old.
    """
    if isinstance(found, Point):
        point, properties = found, _NOTHING
    else:
        point, properties = found.geometry, found.properties or _NOTHING
    coordinates = point.coordinates
    altitude = None
    if len(coordinates) == _TWO:
        longitude, latitude = coordinates
    else:
        place_of(coordinates)
        longitude, latitude, altitude = coordinates[:_THREE]
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - degrees
        checked_place(longitude, latitude)
    timestamp = properties.timestamp
    if timestamp is None:
        if properties is not _NOTHING and is_by_gpslogger(bytes(text)):
            fix = fix_of_feature(object_in(text), sender)
            if fix is not None:
                return fix
        observed_at = sender.received_at
    else:
        observed_at = _time(timestamp, sender)
    return Fix(
        device_of(properties.device_id, sender),
        longitude,
        latitude,
        None if altitude is None or not MIN_ALTITUDE <= altitude <= MAX_ALTITUDE else altitude,
        observed_at,
        _known(properties.accuracy, MAX_ACCURACY),
        _known(properties.speed, MAX_SPEED),
        _known(properties.heading, MAX_HEADING),
    )


def _time(timestamp: datetime | float, sender: Sender) -> int:
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidMessageError(Reason.BAD_PROPERTY, "timestamp: no offset from UTC; end it with Z or +01:00")
        return checked_time(to_milliseconds(timestamp), sender)
    try:
        observed_at = instant_of(timestamp)
    except ValueError as error:
        raise InvalidMessageError(Reason.BAD_PROPERTY, f"timestamp: {error}") from error
    return checked_time(observed_at, sender, timestamp)


def _known(value: float | None, most: float) -> float | None:
    """Phones say -1 for what they do not know."""
    return value if value is not None and 0 <= value <= most else None
