"""A zone: a building, a car park, or the campus itself."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar

from shapely import MultiPolygon, Polygon

from geofence.mistakes import FeatureError, Mistake
from geofence.shapes import polygon_from

ZONE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""What an id may be: it becomes part of Redis keys, of MQTT topics and of addresses."""
MAX_NAME_CHARACTERS = 200
MAX_CATEGORY_CHARACTERS = 64

_DIGITS = re.compile(r"\s*[0-9]{1,9}(\.0*)?\s*", re.ASCII)
_LARGE = 10**15

ZoneRole = Literal["boundary", "zone"]
P = ParamSpec("P")
T = TypeVar("T")


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

    A capacity may be the text of an integer, and 120.0 is 120, as OpenStreetMap and most programs write them; a name
    may be a number. Raises FeatureError with all that is wrong.
    """
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise FeatureError(Mistake("not a feature", "it is not a GeoJSON Feature", "remove it, or make it one"))
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise FeatureError(
            Mistake("properties", "its properties are not an object", "write names and values", "properties")
        )
    mistakes: list[Mistake] = []
    zone_id = _collected(mistakes, _checked_id, feature, properties)
    role = _collected(mistakes, _role, properties)
    name = _collected(mistakes, _text, properties, "name", MAX_NAME_CHARACTERS)
    category = _collected(mistakes, _text, properties, "category", MAX_CATEGORY_CHARACTERS)
    capacity = _collected(mistakes, _capacity, properties)
    shape = _collected(mistakes, polygon_from, feature.get("geometry"))
    published: dict[str, Any] = {
        "type": "Feature",
        "id": zone_id,
        "geometry": feature.get("geometry"),
        "properties": {**properties, "name": name or zone_id},
    }
    for given, value in (("category", category), ("capacity", capacity)):
        if value is not None:
            published["properties"][given] = value
    if not mistakes:
        _collected(mistakes, _check_can_be_published, published)
    if mistakes or zone_id is None or role is None or shape is None:
        raise FeatureError(*mistakes)
    return Zone(
        id=zone_id,
        name=name or zone_id,
        role=role,
        category=category,
        capacity=capacity,
        geometry=shape,
        feature=published,
    )


def id_from(feature: object) -> str | None:
    """The id of a GeoJSON Feature as text, whether it is a good one or not; None where there is none."""
    value = feature.get("id") if isinstance(feature, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return value if isinstance(value, str) else format(value, "d")


def capacity_from(value: object) -> int | None:
    """A capacity as people write it: 120, 120.0, "120"; None where it is no positive integer."""
    match value:
        case bool():
            return None
        case str():
            number = int(float(value)) if _DIGITS.fullmatch(value) else 0
        case int():
            number = value
        case float() if value.is_integer():
            number = int(value)
        case _:
            return None
    return number if number > 0 else None


def _collected(mistakes: list[Mistake], check: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
    """What a check gives; None where it is refused, and what is wrong is collected."""
    try:
        return check(*arguments, **named)
    except FeatureError as error:
        mistakes.extend(error.mistakes)
        return None


def _checked_id(feature: dict[str, object], properties: dict[str, object]) -> str:
    zone_id = id_from(feature)
    if zone_id is None:
        inside = next((name for name in ("id", "@id") if properties.get(name) is not None), None)
        hint = "" if inside is None else f"; properties.{inside} is no id of the feature"
        raise FeatureError(Mistake("no id", "it has no id", f'add a member "id" beside "type"{hint}', "id"))
    if not ZONE_ID.fullmatch(zone_id):
        raise FeatureError(
            Mistake(
                "bad id",
                "its id may have 1 to 64 letters, digits, -, _ and ., and begins with a letter or digit",
                "give it such an id",
                "id",
            )
        )
    return zone_id


def _role(properties: dict[str, object]) -> ZoneRole:
    match properties.get("role"):
        case "boundary":
            return "boundary"
        case "zone":
            return "zone"
    raise FeatureError(
        Mistake(
            "no role",
            'its role is neither "boundary" nor "zone"',
            "set properties.role to one of them",
            "properties.role",
        )
    )


def _text(properties: dict[str, object], name: str, longest: int) -> str | None:
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGE:
        # The numbers of buildings and car parks.
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise FeatureError(
            Mistake(
                f"bad {name}",
                f"its {name} is not a text of 1 to {longest} characters",
                "write one, or leave it out",
                f"properties.{name}",
            )
        )
    return value


def _capacity(properties: dict[str, object]) -> int | None:
    value = properties.get("capacity")
    if value is None:
        return None
    number = capacity_from(value)
    if number is None:
        raise FeatureError(
            Mistake(
                "bad capacity",
                "its capacity is not a positive integer",
                "leave it out where it is not known",
                "properties.capacity",
            )
        )
    return number


def _check_can_be_published(feature: dict[str, object]) -> None:
    # Python's JSON reader takes NaN, Infinity and half a surrogate pair; no other reader has to.
    try:
        json.dumps(feature, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise FeatureError(
            Mistake("not JSON", f"a property holds what JSON cannot carry: {error}", "remove it", "properties")
        ) from error
