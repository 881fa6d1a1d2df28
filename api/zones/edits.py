"""Changes of zones: validated as a campus file is, one at a time, and in Redis before they are answered."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry
from starlette.requests import Request

from api.auth import Key
from api.http.bodies import body_of, wrong_body
from api.http.limits import too_many
from api.http.preconditions import check_preconditions
from api.http.problems import ProblemError, unknown_zone
from api.zones.campus import CampusView
from api.zones.dependencies import Zones
from core.errors import UnavailableError
from geofence import Campus, Finest, InvalidCampusError, changed_zones, parse_campus, share_a_place, too_fine
from state.campus import StoredCampus, ZoneChange, outline_changes, replace_campus

MAX_ZONE_BYTES = 200_000
"""Of a body that describes a zone: some 5,000 positions. What was there before each change is kept in Redis."""
MAX_DEPTH = 32
"""How deeply a body may be nested; a MultiPolygon takes six."""
ATTEMPTS = 10
"""How often a change is tried where others change other zones at the same time."""
RESHAPED_MS = 3_600_000
"""How long nobody else changes outlines of a place, where counts are released ones: each change begins them anew, and
so tells anew who is there."""
MEMBERS = frozenset({"type", "id", "geometry", "properties"})
"""Of a Feature, those that are kept."""
_FILE = "the zones"

Feature = dict[str, Any]
Edit = Callable[[Feature | None], Feature | None]
"""From a zone's feature to another one; None stands for no zone."""


async def change_zone(
    zones: Zones, request: Request, key: Key, zone: str, edit: Edit, *, creates: bool = False
) -> tuple[CampusView, bool]:
    """Change one zone, if the request's preconditions are true of it.

    Gives the campus as it is from now on, and whether the zone is new; without `creates`, one that is not there is a
    problem.

    Raises problems: 404, 409, 412, 422, 428, 429; and UnavailableError.
    """
    for _ in range(ATTEMPTS):
        view = await zones.followed.look()
        new = zone not in view.features
        if new and not creates:
            raise unknown_zone(zone)
        check_preconditions(request, view.etags.get(zone))
        features = _edited(view.campus, zone, edit)
        campus = await asyncio.to_thread(_checked, features, view.campus.attribution)
        if campus.version == view.campus.version:
            return view, False
        reshaped = changed_zones(view.campus, campus)
        if zones.finest is not None and (reshaped or new):
            await _check_told(zones, zones.finest, zone, view.campus, campus)
        geojson = json.dumps(campus.as_feature_collection(), ensure_ascii=False).encode()
        stored = await replace_campus(
            zones.redis,
            StoredCampus(campus.version, geojson),
            replaces=view.version,
            changed=reshaped,
            partitions=zones.partitions,
            kinds=zones.kinds,
            change=ZoneChange(zone=zone, at=zones.clock(), by=key.id, before=view.features.get(zone)),
        )
        if stored:
            changed = CampusView(campus)
            # At once: who asks this process next sees his own change.
            zones.followed.replace(changed)
            return changed, new
    raise UnavailableError(f"others changed zones {ATTEMPTS} times meanwhile")


async def _check_told(zones: Zones, finest: Finest, zone: str, before: Campus, after: Campus) -> None:
    """Raise 422 for an outline that would tell of single people, and 429 where one there was changed just now."""
    if zone in after.by_id and (wrong := await asyncio.to_thread(_newly_too_fine, before, after, zone, finest)):
        raise wrong_body(*wrong)
    now = zones.clock()
    changes = await outline_changes(zones.redis, now - RESHAPED_MS + 1)
    if changes is None:
        raise too_many(RESHAPED_MS / 1000, "So many outlines were changed within the hour that it is not known where.")
    here = list(_outlines(zone, before, after, ()))
    boundary = before.boundary.id
    for change in changes:
        # The campus lies below all of them: it is a place of its own.
        if (change.zone == boundary) != (zone == boundary):
            continue
        there = _outlines(change.zone, before, before, (each.before for each in changes if each.zone == change.zone))
        if any(share_a_place(one, other) for other in there for one in here):
            raise too_many(
                (change.at + RESHAPED_MS - now) / 1000,
                f"The outline of {change.zone!r} was changed within the hour, and each change there begins counts anew,"
                " which tells anew who is there.",
            )


def _newly_too_fine(before: Campus, after: Campus, zone: str, finest: Finest) -> list[str]:
    """What of a zone is too fine now; of the campus what was not before, for its file may have drawn zones finer."""
    known = set(too_fine(before, zone, finest)) if zone == before.boundary.id else set()
    return [each for each in too_fine(after, zone, finest) if each not in known]


def _outlines(zone: str, before: Campus, after: Campus, earlier: Iterable[bytes | None]) -> Iterator[BaseGeometry]:
    """All outlines that a zone has, gets, or had as these features."""
    yield from (campus.by_id[zone].geometry for campus in (before, after) if zone in campus.by_id)
    for feature in filter(None, earlier):
        yield shapely.from_geojson(json.dumps(json.loads(feature)["geometry"]))


def _edited(campus: Campus, zone: str, edit: Edit) -> list[Feature]:
    features: list[Feature] = []
    found = False
    for known in campus.everything:
        if known.id != zone:
            features.append(known.feature)
            continue
        found = True
        if (after := edit(known.feature)) is not None:
            features.append(after)
    if not found and (new := edit(None)) is not None:
        features.append(new)
    return features


def _checked(features: list[Feature], attribution: str) -> Campus:
    try:
        collection = {"type": "FeatureCollection", "attribution": attribution, "features": features}
        data = json.dumps(collection, ensure_ascii=False).encode()
        return parse_campus(data, _FILE)
    except UnicodeEncodeError as error:
        raise wrong_body("a text in it has half a surrogate pair, which no JSON in UTF-8 can carry") from error
    except InvalidCampusError as error:
        raise wrong_body(*map(str, error.mistakes)) from error


def put(zone: str, feature: Feature) -> Edit:
    """The edit that puts a feature in the place of a zone, or makes a new one."""

    def edit(before: Feature | None) -> Feature | None:
        # Who draws a zone need not know of roles: there is one boundary, and it is there already.
        role = before["properties"]["role"] if before else "zone"
        given = feature.get("properties")
        given = {} if given is None else given
        if not isinstance(given, dict):
            raise wrong_body("its properties are not an object")
        return _with_id(zone, {**feature, "properties": {"role": role, **given}})

    return edit


def patch(zone: str, changes: Feature) -> Edit:
    """The edit that applies a JSON Merge Patch (RFC 7396) to a zone's feature."""

    def edit(before: Feature | None) -> Feature | None:
        return _with_id(zone, merged(before, changes))

    return edit


def delete(before: Feature | None) -> None:
    """The edit that removes a zone."""
    if before and before["properties"]["role"] == "boundary":
        raise ProblemError(
            status=409,
            detail="The outline of the campus cannot be deleted: what is outside it is not counted at all. "
            "PUT another outline in its place.",
        )


def merged(target: Any, changes: Any) -> Any:  # noqa: ANN401 - any JSON
    """What a JSON Merge Patch makes of a value (RFC 7396, section 2); neither is changed."""
    if not isinstance(changes, dict):
        return changes
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


async def feature_in(request: Request, *media_types: str) -> Feature:
    """The JSON object in a request's body. Raises 413, 415 and 422 problems."""
    body = await body_of(
        request,
        *media_types,
        most=MAX_ZONE_BYTES,
        too_large=f"A zone may have {MAX_ZONE_BYTES:,} bytes at the most: simplify its outline.",
    )
    try:
        # Not by msgspec: integers of a campus's own properties have no limit.
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise wrong_body(f"it is not JSON in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise wrong_body("it is not a JSON object")
    if _depth(content) > MAX_DEPTH:
        raise wrong_body(f"it is nested more than {MAX_DEPTH} deep")
    if unknown := sorted(content.keys() - MEMBERS):
        raise wrong_body(f"it has {unknown[0][:80]!r}, and a zone only has {', '.join(sorted(MEMBERS))}")
    return content


def _with_id(zone: str, feature: Feature) -> Feature:
    given = feature.get("id", zone)
    if given != zone:
        raise wrong_body("its id is not the one in the path: leave it out, or make another zone and delete this one")
    if feature.get("geometry") is None:
        raise wrong_body("it has no geometry: give it a Polygon or a MultiPolygon")
    return {**feature, "id": zone}


def _depth(content: Any) -> int:  # noqa: ANN401 - any JSON
    deepest, level = 0, [content]
    while level:
        deepest += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return deepest
