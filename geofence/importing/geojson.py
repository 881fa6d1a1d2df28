"""GeoJSON as people have it: collections, single features, a feature a line, ids wherever they are."""

import json
import re
from collections.abc import Iterator
from typing import Any

from geofence.importing.found import CannotImportError, Raw
from geofence.importing.projecting import crs_of
from geofence.zones import id_from

OSM_ID = re.compile(r"(?:.*/)?(node|way|relation)/([0-9]+)")
_SHORT = {"n": "node", "w": "way", "r": "relation"}
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
_GEOMETRIES = frozenset({"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"})
NESTED = ("tags", "all_tags", "other_tags")
"""Properties in which OpenStreetMap's tags are: an object, JSON as text, or hstore as text."""


def read_geojson(content: object) -> Iterator[Raw]:
    """What parsed GeoJSON has. Raises CannotImportError where it is something else."""
    if isinstance(content, list):
        # A list of features, or a list of what would be lines.
        content = {"type": "FeatureCollection", "features": content}
    if not isinstance(content, dict):
        raise CannotImportError("it is JSON, and no GeoJSON: export the areas as GeoJSON")
    crs = crs_of(content)
    match content.get("type"), content.get("features"):
        case "FeatureCollection", list() as features:
            for feature in features:
                yield _raw(feature, crs)
        case "Feature", _:
            yield _raw(content, crs)
        case str() as kind, _ if kind in _GEOMETRIES or kind == "GeometryCollection":
            yield Raw(geometry=content, tags={}, crs=crs)
        case _:
            raise CannotImportError("it is JSON, and no GeoJSON: export the areas as GeoJSON")


def read_lines(text: str) -> Iterator[Raw]:
    """What newline-delimited GeoJSON has, or GeoJSON text sequences (RFC 8142). Raises CannotImportError."""
    for number, line in enumerate(text.splitlines(), 1):
        if not (stripped := line.strip("\x1e \t")):
            continue
        try:
            content = json.loads(stripped)
        except (ValueError, RecursionError) as error:
            raise CannotImportError(f"line {number} is not JSON: {error}") from error
        yield from read_geojson(content)


def flattened(properties: dict[str, Any]) -> dict[str, object]:
    """Properties with the nested tags among them, which win."""
    flat = {key: value for key, value in properties.items() if key not in NESTED and _is_plain(value)}
    for name in NESTED:
        flat |= {key: value for key, value in _nested(properties.get(name)).items() if _is_plain(value)}
    return flat


def osm_reference(own_id: str | None, tags: dict[str, object]) -> str | None:
    """What a feature is in OpenStreetMap, as overpass turbo, QuickOSM and GDAL write it; None: it is from elsewhere."""
    for given in (own_id, tags.get("@id"), tags.get("id")):
        if isinstance(given, str) and (match := OSM_ID.fullmatch(given)):
            return f"{match[1]}/{match[2]}"
    full = tags.get("full_id")
    if isinstance(full, str) and full[:1] in _SHORT and full[1:].isdecimal():
        return f"{_SHORT[full[0]]}/{full[1:]}"
    for name in ("osm_way_id", "osm_id"):
        number = tags.get(name)
        if isinstance(number, str | int) and str(number).isdecimal():
            # GDAL has a column for ways, so that the other one is of relations; others have the type beside it.
            said = (
                "way" if name == "osm_way_id" else str(tags.get("osm_type") or "").removesuffix("s").partition("_")[0]
            )
            kind = "relation" if not said and "osm_way_id" in tags else said.removesuffix("s")
            return f"{kind if kind in _SHORT.values() else 'osm'}/{number}"
    return None


def id_among(tags: dict[str, object]) -> str | None:
    """The id that is a property, as programs have it that know no member `id`."""
    for key in ("@id", "id", "ID", "Id"):
        value = tags.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    return None


def _raw(feature: object, crs: str | None) -> Raw:
    if not isinstance(feature, dict):
        return Raw(geometry=None, tags={}, crs=crs)
    if feature.get("type") in _GEOMETRIES:
        return Raw(geometry=feature, tags={}, crs=crs)
    properties = feature.get("properties")
    tags = flattened(properties) if isinstance(properties, dict) else {}
    own_id = id_from(feature)
    if own_id is None:
        own_id = id_among(tags)
    every = {**properties, **tags} if isinstance(properties, dict) else tags
    return Raw(geometry=feature.get("geometry"), tags=tags, own_id=own_id, osm=osm_reference(own_id, every), crs=crs)


def _nested(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    if value.startswith("{"):
        try:
            content = json.loads(value)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
    return {key: text.replace('\\"', '"').replace("\\\\", "\\") for key, text in _HSTORE.findall(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)
