"""A campus out of what files have."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import shapely

from geofence.campus import MAX_FEATURES, SHARED_AREA, Campus, InvalidCampusError, parse_campus
from geofence.doubts import NEARLY_ALL
from geofence.importing.areas import near, split
from geofence.importing.found import Area, CannotImportError, Found, LeftOut
from geofence.importing.naming import BUILDING, CAR_PARK, Ids, Told, kept, own_id, slug, told
from geofence.importing.outline import MARGIN_METRES, Outline, area_of, candidates, find_outline
from geofence.zones import MAX_NAME_CHARACTERS

ATTRIBUTION = "© OpenStreetMap contributors, Open Database Licence (https://www.openstreetmap.org/copyright)"
CALLED = {BUILDING: "Building", CAR_PARK: "Car park"}
"""What an area without a name is called, by what it is."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of the campus."""

    outline: tuple[str, ...] = ()
    """Names or ids of what the outline is made of; none: it is found."""
    name: str | None = None
    """Of the campus."""
    margin: float = MARGIN_METRES
    """Metres around all zones, where the outline is a hull of them."""
    named_only: bool = False
    """Whether areas without a name are left out."""
    choose: Callable[[list[str], str], int | None] | None = None
    """Asked where the outline is a guess: the place in the list of the area that it is; None: what was found."""


@dataclass(frozen=True, slots=True)
class Made:
    """A campus, and what was done to make it."""

    collection: dict[str, Any]
    """GeoJSON, as a campus file has it."""
    campus: Campus
    why: str
    """Why its outline is that."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """What a person should look at."""
    unknown: tuple[str, ...] = field(default=())
    """Ids of car parks whose capacity nobody has said."""


def make_campus(found: Sequence[Found], wishes: Wishes) -> Made:
    """A campus of all that was found. Raises CannotImportError where there is none in it."""
    left_out = [LeftOut(f"no area: {one.kind}", one.called) for one in found if one.area is None]
    areas = _once([one for one in found if one.area is not None], left_out)
    if not areas:
        kinds = Counter(one.kind for one in found)
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
        raise CannotImportError(f"there is no area in it, only {shown}: export buildings and car parks as polygons")
    outline = find_outline(areas, named=wishes.outline, margin=wishes.margin)
    if wishes.choose is not None and (outline.others or not outline.parts):
        likely = candidates(areas)
        chosen = wishes.choose([one.called for one in likely], outline.why)
        if chosen is not None:
            one = likely[chosen]
            outline = Outline(area_of(one), "you say so", (one,))
    zones = _zones(areas, outline, wishes, left_out)
    if len(zones) >= MAX_FEATURES:
        raise CannotImportError(
            f"{len(zones):,} areas are on the campus, and it may have {MAX_FEATURES - 1:,}: "
            "say --named-only, or cut a smaller piece out of it"
        )
    features, notes = _features(outline, zones, wishes)
    collection: dict[str, Any] = {"type": "FeatureCollection"}
    if any(one.raw.osm for one in areas):
        collection["attribution"] = ATTRIBUTION
    collection["features"] = features
    campus = _parsed(collection)
    if not campus.zones:
        notes.append("the campus has no zones: only who is on it at all will be counted")
    if outline.others:
        others = ", ".join(one.called for one in outline.others[:5])
        notes.append(f"the outline could be {others} as well: --outline NAME chooses, more than once joins")
    if (mended := sum(one.mended for one, _, _ in zones)) or any(one.mended for one in outline.parts):
        notes.append(f"{mended + any(one.mended for one in outline.parts)} outlines crossed themselves, and are mended")
    return Made(
        collection=collection,
        campus=campus,
        why=outline.why,
        left_out=tuple(left_out),
        notes=tuple(notes),
        unknown=tuple(zone.id for zone in campus.zones if zone.category == CAR_PARK and zone.capacity is None),
    )


def changed(made: Made, *, name: str, capacities: dict[str, int]) -> Made:
    """The same campus by another name, and with the capacities of some zones."""
    features = []
    for feature in made.collection["features"]:
        properties = dict(feature["properties"])
        if properties["role"] == "boundary":
            properties["name"] = name[:MAX_NAME_CHARACTERS]
        if (capacity := capacities.get(feature["id"])) is not None:
            properties["capacity"] = capacity
        features.append({**feature, "properties": properties})
    collection = {**made.collection, "features": features}
    return replace(made, collection=collection, campus=_parsed(collection))


def _parsed(collection: dict[str, Any]) -> Campus:
    try:
        return parse_campus(json.dumps(collection, ensure_ascii=False).encode(), "what was made")
    except InvalidCampusError as error:
        raise CannotImportError(f"what can be made of it is no campus: {error.mistakes[0]}") from error


def _once(areas: Iterable[Found], left_out: list[LeftOut]) -> list[Found]:
    """Without what is twice the same, in one file or in two."""
    seen: set[object] = set()
    once = []
    for one in areas:
        key = one.raw.osm or (shapely.to_wkb(one.area), told(one).name, one.raw.own_id)
        if key in seen:
            left_out.append(LeftOut("twice the same", one.called))
        else:
            seen.add(key)
            once.append(one)
    return once


def _zones(
    areas: Sequence[Found], outline: Outline, wishes: Wishes, left_out: list[LeftOut]
) -> list[tuple[Found, Area, Told]]:
    zones: list[tuple[Found, Area, Told]] = []
    middle = float(outline.area.centroid.x)
    shapely.prepare(outline.area)
    for one in areas:
        if one in outline.parts or one.area is None:
            continue
        said = told(one)
        if said.no_zone is not None:
            left_out.append(LeftOut(f"no place by itself: {said.no_zone}", one.called))
        elif wishes.named_only and said.name is None:
            left_out.append(LeftOut("without a name", one.called))
        elif not _shares_area(outline.area, area := near(one.area, middle)):
            left_out.append(LeftOut("outside the outline", one.called))
        elif _equal(outline.area, area):
            left_out.append(LeftOut("the outline once more", one.called))
        else:
            zones.append((one, area, said))
    return zones


def _shares_area(outline: Area, area: Area) -> bool:
    # What is well inside or well outside is told at once, as the outline is prepared for it.
    if shapely.contains_properly(outline, area):
        return True
    return bool(shapely.intersects(outline, area) and shapely.relate_pattern(outline, area, SHARED_AREA))


def _equal(outline: Area, area: Area) -> bool:
    if min(outline.area, area.area) < NEARLY_ALL * max(outline.area, area.area):
        return False
    shared = shapely.intersection(outline, area).area
    return bool(shared > NEARLY_ALL * (outline.area + area.area - shared))


def _features(
    outline: Outline, zones: Sequence[tuple[Found, Area, Told]], wishes: Wishes
) -> tuple[list[dict[str, Any]], list[str]]:
    ids = Ids()
    notes = []
    first = outline.parts[0] if outline.parts else None
    name = (wishes.name or "")[:MAX_NAME_CHARACTERS] or (told(first).name if first else None) or "Campus"
    tags = kept(first.raw.tags) if first else {}
    boundary = (first and own_id(first)) or "campus"
    features = [
        _feature(ids.own(boundary) or boundary, outline.area, {"role": "boundary", "name": name, **tags}, first)
    ]
    # Ids of the files come first, so that none of ours takes one of them.
    own = {id(one): ids.own(given) for one, _, _ in zones if (given := own_id(one))}
    for one, area, said in zones:
        noun = CALLED.get(said.category or "", "Area")
        nameless = one.raw.osm or str(one.number)
        zone_id = own.get(id(one)) or ids.made(
            slug(said.name or "") or (slug(one.raw.osm) if one.raw.osm else slug(f"{noun} {one.number}"))
        )
        properties: dict[str, Any] = {"role": "zone", "name": said.name or f"{noun} {nameless}"}
        properties |= kept(one.raw.tags)
        if said.category is not None:
            properties["category"] = said.category
        if said.capacity is not None:
            properties["capacity"] = said.capacity
        if said.bad_capacity is not None:
            notes.append(f"{zone_id}: its capacity {said.bad_capacity!r} is no number, and is left out")
        features.append(_feature(zone_id, area, properties, one))
    return features, notes


def _feature(zone_id: str, area: Area, properties: dict[str, Any], one: Found | None) -> dict[str, Any]:
    source = "a hull around all zones" if one is None else one.raw.osm or f"{one.file}, number {one.number}"
    turned = shapely.orient_polygons(split(area))
    return {
        "type": "Feature",
        "id": zone_id,
        "properties": {**properties, "source": source},
        "geometry": json.loads(shapely.to_geojson(turned)),
    }
