"""Overland: GeoJSON in an envelope, with names of its own (github.com/aaronpk/Overland-iOS)."""

from collections.abc import Mapping
from typing import Any

from payloads.checking import Found, checked
from payloads.fix import Fix, Ignored, Outcome, Sender
from payloads.formats.form import Format, Head, each
from payloads.loose import place_of_feature, why_none
from payloads.objects import list_in


def _fix_of(feature: Mapping[str, Any], sender: Sender) -> Fix | Ignored:
    properties = feature.get("properties")
    if not isinstance(properties, dict | None):
        raise why_none(feature)
    properties = properties or {}
    if "action" in properties:
        # Of a visit, a pause or a start: its time is not that of the place.
        return Ignored("action")
    if properties.get("type") == "trip":
        return Ignored("trip")
    place = place_of_feature(feature)
    if place is None:
        raise why_none(feature)
    longitude, latitude, altitude = place
    return checked(
        Found(
            longitude,
            latitude,
            properties.get("altitude", altitude),
            # The app writes an empty text where nobody has named the device.
            device_id=properties.get("device_id") or None,
            hints=(properties.get("unique_id"),),
            time=properties.get("timestamp"),
            accuracy=properties.get("horizontal_accuracy"),
            speed=properties.get("speed"),
            heading=properties.get("course"),
        ),
        sender,
    )


def _read(head: Head, _: bytes, sender: Sender) -> list[Outcome]:
    members = list_in(head["locations"]) if isinstance(head, Mapping) else []
    return each(_fix_of, members, sender, envelope=b'{"locations":[%b]}')


def _matches(head: Head) -> bool:
    return isinstance(head, Mapping) and "locations" in head


OVERLAND = Format("Overland", _matches, _read, insists=True)
