"""The campus: its outline and the zones in it, from a GeoJSON file."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import shapely

from geofence.looks import Looks, has_a_feature_a_line, json_looks_like, looks_like
from geofence.mistakes import FeatureError, Mistake
from geofence.shapes import OUT_OF_RANGE
from geofence.zones import Zone, id_from, zone_from

DEFAULT_CAMPUS = Path(__file__).parent / "campus" / "university-of-limerick.geojson"
MAX_FILE_BYTES = 20_000_000
MAX_FEATURES = 10_000
MAX_ATTRIBUTION = 500
SHARED_AREA = "T********"
"""DE-9IM pattern of two areas whose interiors meet."""
WGS_84 = re.compile(r"CRS:?84$|EPSG:.*\b(4326|4979)$", re.IGNORECASE)
"""How files call degrees of WGS 84."""
MAKE_ONE = "`python -m geofence import FILE -o campus.geojson` makes a campus file of it"


class InvalidCampusError(ValueError):
    """A campus file that cannot be used; the message names the file and the feature, and says what to do."""

    def __init__(self, file: str, *mistakes: Mistake) -> None:
        more = len(mistakes) - 1
        rest = f" (and {more:,} more, which `python -m geofence check` lists)" if more else ""
        super().__init__(f"{file}: {mistakes[0]}{rest}")
        self.file = file
        self.mistakes = mistakes
        """All that is wrong, in the order of the file; at least one."""


@dataclass(frozen=True)
class Campus:
    """The outline of the campus, and its zones in the order of the file. They may overlap and be nested."""

    boundary: Zone
    zones: tuple[Zone, ...]
    attribution: str = ""
    """Whose map it was drawn from, as plain text: data of OpenStreetMap may be shown only where that is said."""

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
        features = [zone.feature for zone in self.everything]
        said = {"attribution": self.attribution} if self.attribution else {}
        return {"type": "FeatureCollection", **said, "features": features}


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
            str(file), Mistake("cannot read", f"cannot read it: {error.strerror}", "check the path and its permissions")
        ) from error
    return parse_campus(data, str(file))


def parse_campus(data: bytes, file: str) -> Campus:
    """The campus in the text of a GeoJSON file; `file` is its name in errors.

    Raises InvalidCampusError as `load_campus`, with all mistakes at once.
    """
    try:
        return _campus(data)
    except FeatureError as error:
        raise InvalidCampusError(file, *error.mistakes) from error


def _campus(data: bytes) -> Campus:
    content = _content(data)
    zones: dict[str, Zone] = {}
    mistakes: list[Mistake] = []
    attribution = content.get("attribution") or ""
    if not isinstance(attribution, str) or len(attribution) > MAX_ATTRIBUTION or not attribution.isprintable():
        mistakes.append(
            Mistake(
                "bad attribution",
                f"it is not one line of text of {MAX_ATTRIBUTION} characters at the most",
                "say whose map it was drawn from, such as © OpenStreetMap contributors",
                "attribution",
            )
        )
    for index, feature in enumerate(_features(content)):
        named = _named(feature, index)
        try:
            zone = zone_from(feature)
        except FeatureError as error:
            mistakes += (mistake.of(named) for mistake in error.mistakes)
            continue
        if zone.id in zones:
            mistakes.append(
                Mistake("id used twice", "its id is used twice", "give each feature an id of its own", "id", named)
            )
            continue
        zones[zone.id] = zone
    if any(mistake.kind == OUT_OF_RANGE for mistake in mistakes) and (crs := other_crs(content)):
        # What a projection does to each of a thousand positions is one mistake.
        mistakes = [_projected(crs), *(mistake for mistake in mistakes if mistake.kind != OUT_OF_RANGE)]
    boundaries = [zone for zone in zones.values() if zone.role == "boundary"]
    # Whether there is an outline among features that cannot be used, nobody knows.
    if not boundaries and not mistakes:
        mistakes.append(
            Mistake("no outline", 'no feature has the role "boundary"', "give it to the outline of the campus")
        )
    mistakes += (_second(zone, boundaries[0]) for zone in boundaries[1:])
    inside = [zone for zone in zones.values() if zone.role == "zone"]
    if len(boundaries) == 1:
        mistakes += _outside(boundaries[0], inside)
    if mistakes:
        raise FeatureError(*mistakes)
    return Campus(boundary=boundaries[0], zones=tuple(inside), attribution=attribution.strip())


def changed_zones(old: Campus, new: Campus) -> set[str]:
    """The ids of what is in `old`, and not in `new`, or there with another shape."""
    return {
        zone.id
        for zone in old.everything
        if zone.id not in new.by_id or not shapely.equals_exact(zone.geometry, new.by_id[zone.id].geometry)
    }


def other_crs(content: dict[str, Any]) -> str | None:
    """The name of the coordinate reference system that GeoJSON of before 2016 says it is in, if that is not WGS 84."""
    crs = content.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str) or WGS_84.search(name):
        return None
    return name[:80]


def _content(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE_BYTES:
        raise FeatureError(Mistake("too large", f"it is larger than {MAX_FILE_BYTES:,} bytes", "simplify its outlines"))
    if (looks := looks_like(data)) is not None:
        raise FeatureError(_other_format(looks))
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        if has_a_feature_a_line(data):
            raise FeatureError(_other_format(Looks.GEOJSON_LINES)) from error
        raise FeatureError(
            Mistake("not JSON", f"it is not JSON in UTF-8: {error}", "mend it there, or export it again")
        ) from error
    if (looks := json_looks_like(content)) is not Looks.GEOJSON:
        raise FeatureError(_other_format(looks))
    return content if isinstance(content, dict) else {}


def _other_format(looks: Looks | str) -> Mistake:
    called, remedy = (looks.value, MAKE_ONE) if isinstance(looks, Looks) else (looks, "export the areas as GeoJSON")
    return Mistake("not GeoJSON", f"it is {called}, and not a GeoJSON FeatureCollection", remedy)


def _features(content: dict[str, Any]) -> list[object]:
    if content.get("type") == "Feature" and "geometry" in content:
        return [content]
    features = content.get("features")
    if not isinstance(features, list) or content.get("type") != "FeatureCollection":
        raise FeatureError(Mistake("not GeoJSON", "it is not a GeoJSON FeatureCollection", "export it as one"))
    if len(features) > MAX_FEATURES:
        raise FeatureError(
            Mistake(
                "too many features",
                f"it has {len(features):,} features, more than {MAX_FEATURES:,}",
                "keep the zones only",
            )
        )
    return features


def _named(feature: object, index: int) -> str:
    known = id_from(feature)
    return f"{known[:80]!r} (number {index + 1})" if known else f"number {index + 1}"


def _projected(crs: str) -> Mistake:
    return Mistake(OUT_OF_RANGE, f"its crs says {crs!r}, and its coordinates are no degrees of WGS 84", MAKE_ONE, "crs")


def _second(zone: Zone, first: Zone) -> Mistake:
    return Mistake(
        "two outlines",
        f'it has the role "boundary", and so has {first.id!r}',
        "only one may be the outline of the campus (a MultiPolygon can have several parts)",
        feature=repr(zone.id),
    )


def _outside(boundary: Zone, zones: list[Zone]) -> Iterator[Mistake]:
    outline = boundary.geometry
    for zone in zones:
        if shapely.relate_pattern(outline, zone.geometry, SHARED_AREA):
            continue
        swapped = shapely.transform(zone.geometry, lambda pairs: pairs[:, ::-1])
        yield Mistake(
            "outside the campus",
            "it has no area in common with the campus",
            "its latitudes and longitudes look swapped, longitude comes first"
            if shapely.relate_pattern(outline, swapped, SHARED_AREA)
            else "move it, or remove it",
            feature=repr(zone.id),
        )
