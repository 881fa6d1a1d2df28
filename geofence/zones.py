"""A zone: a building, a car park, or the campus itself."""

import json
import re
from dataclasses import dataclass, field
from typing import Literal

from shapely import MultiPolygon, Polygon

from geofence.shapes import polygon_from

ZONE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""What an id may be: it becomes part of Redis keys, of MQTT topics and of addresses."""
MAX_NAME_CHARACTERS = 200
MAX_CATEGORY_CHARACTERS = 64

ZoneRole = Literal["boundary", "zone"]


@dataclass(frozen=True, slots=True)
class Zone:
    """One area of the campus; the campus is itself one, with the role `boundary`."""

    id: str
    name: str
    """For people; the id where the file names none."""
    role: ZoneRole
    category: str | None
    """What it is, such as `building` or `car_park`."""
    capacity: int | None
    """How many it can hold, where that is known; at least 1."""
    geometry: Polygon | MultiPolygon
    """Degrees of WGS 84; x is the longitude, y the latitude."""
    feature: dict[str, object] = field(hash=False, repr=False)
    """The GeoJSON Feature to publish: `type`, `id`, `geometry`, `properties`. Shared: do not change it."""


def zone_from(feature: object) -> Zone:
    """The zone that a GeoJSON Feature describes; an integer id is taken as its decimal text.

    Raises ValueError with a sentence that says what is wrong and what to do.
    """
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ValueError("it is not a GeoJSON Feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ValueError("its properties are not an object")  # noqa: TRY004 - it is bad input
    zone_id = id_from(feature)
    if zone_id is None:
        raise ValueError('it has no id: add a member "id" beside "type"')
    if not ZONE_ID.fullmatch(zone_id):
        raise ValueError("its id may have 1 to 64 letters, digits, -, _ and ., and begins with a letter or digit")
    role = properties.get("role")
    if role != "boundary" and role != "zone":  # noqa: PLR1714 - so the type checker sees the two values
        raise ValueError('its role is neither "boundary" nor "zone": set properties.role to one of them')
    name = _text(properties, "name", MAX_NAME_CHARACTERS)
    shape = polygon_from(feature.get("geometry"))
    published = {
        "type": "Feature",
        "id": zone_id,
        "geometry": feature["geometry"],
        "properties": {**properties, "name": name or zone_id},
    }
    _check_can_be_published(published)
    return Zone(
        id=zone_id,
        name=name or zone_id,
        role=role,
        category=_text(properties, "category", MAX_CATEGORY_CHARACTERS),
        capacity=_capacity(properties),
        geometry=shape,
        feature=published,
    )


def id_from(feature: object) -> str | None:
    """The id of a GeoJSON Feature as text, whether it is a good one or not; None where there is none."""
    value = feature.get("id") if isinstance(feature, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return value if isinstance(value, str) else format(value, "d")


def _text(properties: dict[str, object], name: str, longest: int) -> str | None:
    value = properties.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise ValueError(f"its {name} is not a text of 1 to {longest} characters")
    return value


def _capacity(properties: dict[str, object]) -> int | None:
    value = properties.get("capacity")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("its capacity is not a positive integer: leave it out where it is not known")
    return value


def _check_can_be_published(feature: dict[str, object]) -> None:
    # Python's JSON reader takes NaN, Infinity and half a surrogate pair; no other reader has to.
    try:
        json.dumps(feature, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise ValueError(f"a property holds what JSON cannot carry: {error}") from error
