"""The campus: its outline and the zones in it, from a GeoJSON file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import shapely

from geofence.zones import Zone, id_from, zone_from

DEFAULT_CAMPUS = Path(__file__).parent / "campus" / "university-of-limerick.geojson"
MAX_FILE_BYTES = 20_000_000
MAX_FEATURES = 10_000
SHARED_AREA = "T********"
"""DE-9IM pattern of two areas whose interiors meet."""


class InvalidCampusError(ValueError):
    """A campus file that cannot be used; the message names the file and the feature, and says what to do."""


@dataclass(frozen=True)
class Campus:
    """The outline of the campus, and its zones in the order of the file. They may overlap and be nested."""

    boundary: Zone
    zones: tuple[Zone, ...]

    @property
    def everything(self) -> tuple[Zone, ...]:
        """The campus itself, then its zones."""
        return (self.boundary, *self.zones)

    @cached_property
    def by_id(self) -> Mapping[str, Zone]:
        """The campus itself and its zones, by id."""
        return MappingProxyType({zone.id: zone for zone in self.everything})

    @cached_property
    def version(self) -> str:
        """16 hexadecimal digits that are the same for the same content, in whatever layout it is written."""
        content = json.dumps(self.as_feature_collection(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def as_feature_collection(self) -> dict[str, object]:
        """GeoJSON of everything, the campus first. The features are shared: do not change them."""
        return {"type": "FeatureCollection", "features": [zone.feature for zone in self.everything]}


def load_campus(path: Path | None) -> Campus:
    """The campus in a GeoJSON file; None is the University of Limerick, which is part of this package.

    The file is a FeatureCollection: one feature with the role `boundary`, the others with the role `zone`, each with an
    id of its own and a valid Polygon or MultiPolygon, of which some part lies on the campus. Raises InvalidCampusError.
    """
    file = path or DEFAULT_CAMPUS
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidCampusError(
            f"{file}: cannot read it: {error.strerror}. Check the path and its permissions"
        ) from error
    return parse_campus(data, str(file))


def parse_campus(data: bytes, file: str) -> Campus:
    """The campus in the text of a GeoJSON file; `file` is its name in errors.

    Raises InvalidCampusError as `load_campus`.
    """
    features = _features(data, file)
    zones: dict[str, Zone] = {}
    for index, feature in enumerate(features):
        try:
            zone = zone_from(feature)
        except ValueError as error:
            raise InvalidCampusError(f"{file}: {_named(feature, index)}: {error}") from error
        if zone.id in zones:
            raise InvalidCampusError(
                f"{file}: {_named(feature, index)}: its id is used twice: give each feature an id of its own"
            )
        zones[zone.id] = zone
    boundary = _boundary(file, zones)
    campus = Campus(boundary=boundary, zones=tuple(zone for zone in zones.values() if zone is not boundary))
    _check_overlap(file, campus)
    return campus


def changed_zones(old: Campus, new: Campus) -> set[str]:
    """The ids of what is in `old`, and not in `new`, or there with another shape."""
    return {
        zone.id
        for zone in old.everything
        if zone.id not in new.by_id or not shapely.equals_exact(zone.geometry, new.by_id[zone.id].geometry)
    }


def _features(data: bytes, file: str) -> list[object]:
    if len(data) > MAX_FILE_BYTES:
        raise InvalidCampusError(f"{file}: it is larger than {MAX_FILE_BYTES:,} bytes: simplify its outlines")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidCampusError(f"{file}: it is not JSON in UTF-8: {error}") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or content.get("type") != "FeatureCollection":
        raise InvalidCampusError(f"{file}: it is not a GeoJSON FeatureCollection: export it as one")
    if len(features) > MAX_FEATURES:
        raise InvalidCampusError(
            f"{file}: it has {len(features):,} features, more than {MAX_FEATURES:,}: keep the zones only"
        )
    return features


def _named(feature: object, index: int) -> str:
    number = f"number {index + 1}"
    known = id_from(feature)
    return f"feature {known[:80]!r} ({number})" if known else f"feature {number}"


def _boundary(file: str, zones: Mapping[str, Zone]) -> Zone:
    boundaries = [zone for zone in zones.values() if zone.role == "boundary"]
    match boundaries:
        case [boundary]:
            return boundary
        case []:
            raise InvalidCampusError(
                f'{file}: no feature has the role "boundary": give it to the outline of the campus'
            )
        case [first, second, *_]:
            raise InvalidCampusError(
                f'{file}: feature {second.id!r}: it has the role "boundary", and so has {first.id!r}: '
                "only one may be the outline of the campus (a MultiPolygon can have several parts)"
            )
        case _:  # pragma: no cover - a list is one of the three
            raise AssertionError(boundaries)


def _check_overlap(file: str, campus: Campus) -> None:
    outline = campus.boundary.geometry
    for zone in campus.zones:
        if shapely.relate_pattern(outline, zone.geometry, SHARED_AREA):
            continue
        swapped = shapely.transform(zone.geometry, lambda pairs: pairs[:, ::-1])
        hint = (
            "its latitudes and longitudes look swapped, longitude comes first"
            if shapely.relate_pattern(outline, swapped, SHARED_AREA)
            else "move it, or remove it"
        )
        raise InvalidCampusError(f"{file}: feature {zone.id!r}: it has no area in common with the campus: {hint}")
