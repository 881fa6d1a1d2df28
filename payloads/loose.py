"""A GeoJSON Feature, or a bare Point, read more tolerantly than in one step: by its parts."""

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidMessageError, Reason
from payloads.checking import Found, checked, place_of
from payloads.fix import Fix, Sender

_BY_GPSLOGGER = (b'"time_long"', b'"provider"')


def is_by_gpslogger(text: bytes) -> bool:
    """Whether JSON may be a Feature of GPSLogger, which has other names for the time and the heading."""
    return any(name in text for name in _BY_GPSLOGGER)


def fix_of_feature(feature: Mapping[str, Any], sender: Sender) -> Fix | None:
    """The fix in a Feature with a Point, None for anything else. Raises what `checked` raises."""
    place, properties = place_of_feature(feature), feature.get("properties")
    if place is None or not isinstance(properties, dict | None):
        return None
    return checked(_found(place, properties or {}), sender)


def fix_of_point(point: Mapping[str, Any], sender: Sender) -> Fix | None:
    """The same of a bare Point."""
    place = _place(point)
    return None if place is None else checked(Found(*place), sender)


def place_of_feature(feature: Mapping[str, Any]) -> tuple[object, object, object] | None:
    """Longitude, latitude and altitude of a Feature with a Point, unchecked; None for anything else."""
    geometry = feature.get("geometry")
    return _place(geometry) if feature.get("type") == "Feature" and isinstance(geometry, dict) else None


def why_none(feature: Mapping[str, Any]) -> InvalidMessageError:
    """What is wrong with an object of which there is no fix: it is no Feature with a Point."""
    geometry = feature.get("geometry")
    if feature.get("type") != "Feature" or not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str):
        return InvalidMessageError(Reason.NOT_GEOJSON, "not a Feature with a geometry")
    if geometry["type"] != "Point":
        return InvalidMessageError(Reason.NOT_A_POINT, "the geometry of a position is a Point")
    if not isinstance(geometry.get("coordinates"), list):
        return InvalidMessageError(Reason.BAD_COORDINATES, "a Point without a list of coordinates")
    return InvalidMessageError(Reason.BAD_PROPERTY, "the properties are no object")


def _place(geometry: Mapping[str, Any]) -> tuple[object, object, object] | None:
    coordinates = geometry.get("coordinates")
    if geometry.get("type") != "Point" or not isinstance(coordinates, list):
        return None
    return place_of(coordinates)


def _found(place: tuple[object, object, object], properties: Mapping[str, Any]) -> Found:
    longitude, latitude, altitude = place
    time, heading = properties.get("timestamp"), properties.get("heading")
    if time is None and ("time_long" in properties or "provider" in properties):
        time = properties.get("time_long", properties.get("time"))
        heading = properties.get("bearing", heading)
        altitude = properties.get("altitude") if altitude is None else altitude
    return Found(
        longitude,
        latitude,
        altitude,
        device_id=properties.get("device_id"),
        time=time,
        accuracy=properties.get("accuracy"),
        speed=properties.get("speed"),
        heading=heading,
    )
