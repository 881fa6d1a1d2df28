"""PUT, PATCH and DELETE /v1/zones/{zone}, for administrators, and what was there before."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Key, requires
from api.http.answers import GeoJson, Json
from api.http.instants import Rfc3339
from api.http.openapi import preconditions, problems
from api.http.problems import unknown_zone
from api.zones.campus import CampusView
from api.zones.dependencies import Resources, ZoneId
from api.zones.edits import change_zone, delete, feature_in, patch, put
from api.zones.routes import ZoneFeature
from core.clock import format_rfc3339
from state.campus import zone_changes

GEOJSON = ("application/geo+json", "application/json")
MERGE_PATCH = ("application/merge-patch+json", "application/json")
_NO_STORE = {"Cache-Control": "no-store"}
_SQUARE = [[[-8.5777, 52.6724], [-8.5767, 52.6724], [-8.5767, 52.6729], [-8.5777, 52.6729], [-8.5777, 52.6724]]]
_NEW: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": _SQUARE},
    "properties": {"name": "New car park", "category": "car_park", "capacity": 120},
}

Admin = Annotated[Key, requires("admin")]
router = APIRouter(tags=["zones"])


def _body(description: str, example: dict[str, Any], media_types: tuple[str, ...]) -> dict[str, Any]:
    content = {"schema": {"type": "object"}, "example": example}
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": dict.fromkeys(media_types, content),
        }
    }


@dataclass(frozen=True, slots=True)
class EarlierVersion:
    """A zone as it was before a change."""

    replaced_at: Annotated[
        Rfc3339, Field(description="When it was changed, RFC 3339, UTC.", examples=["2026-03-02T10:15:00Z"])
    ]
    replaced_by: Annotated[
        str, Field(description="Id of the API key that it was changed with.", examples=["5f0c3a1be2d94c77"])
    ]
    feature: Annotated[
        ZoneFeature | None,
        Field(description="What was there; null where the change made the zone. PUT brings it back."),
    ]


@dataclass(frozen=True, slots=True)
class EarlierVersions:
    """What a zone was before its changes."""

    zone: Annotated[str, Field(description="Id of the zone.", examples=["kemmy"])]
    versions: Annotated[
        list[EarlierVersion],
        Field(description="The newest first, of the 100 newest changes of all zones: older ones are not kept."),
    ]


@router.put(
    "/v1/zones/{zone}",
    response_model=ZoneFeature,
    response_class=GeoJson,
    response_description="The zone as it is now.",
    responses={
        201: {
            "description": "The zone is new.",
            "content": {GeoJson.media_type: {"schema": {"$ref": "#/components/schemas/ZoneFeature"}}},
        },
        **problems(401, 403, 412, 415, 422, 428, 503),
    },
    openapi_extra={
        "parameters": preconditions("zone", '"5f0c3a1be2d94c77"', creates=True),
        **_body("A GeoJSON Feature. Its id may be left out, and its role.", _NEW, GEOJSON),
    },
)
async def put_zone(request: Request, zones: Resources, key: Admin, zone: ZoneId) -> Response:
    """Put a zone in the place of another, or make a new one. Within two seconds it holds everywhere.

    Who was present in an outline that changes is counted again from the next position on.
    """
    feature = await feature_in(request, *GEOJSON)
    view, new = await change_zone(zones, request, key, zone, put(zone, feature), creates=True)
    answer = _zone(view, zone)
    if new:
        answer.status_code = 201
        answer.headers["Location"] = f"/v1/zones/{zone}"
    return answer


@router.patch(
    "/v1/zones/{zone}",
    response_model=ZoneFeature,
    response_class=GeoJson,
    response_description="The zone as it is now.",
    responses=problems(401, 403, 404, 412, 415, 422, 428, 503),
    openapi_extra={
        "parameters": preconditions("zone", '"5f0c3a1be2d94c77"'),
        **_body(
            "A JSON Merge Patch (RFC 7396) of its Feature: what is null is removed.",
            {"properties": {"capacity": 150}},
            MERGE_PATCH,
        ),
    },
)
async def patch_zone(request: Request, zones: Resources, key: Admin, zone: ZoneId) -> Response:
    """Change a part of a zone: its name, its capacity, its outline. Within two seconds it holds everywhere."""
    changes = await feature_in(request, *MERGE_PATCH)
    view, _ = await change_zone(zones, request, key, zone, patch(zone, changes))
    return _zone(view, zone)


@router.delete(
    "/v1/zones/{zone}",
    status_code=204,
    response_class=Response,
    response_description="It is gone. Its history stays.",
    responses=problems(401, 403, 404, 409, 412, 422, 428, 503),
    openapi_extra={"parameters": preconditions("zone", '"5f0c3a1be2d94c77"')},
)
async def delete_zone(request: Request, zones: Resources, key: Admin, zone: ZoneId) -> Response:
    """Delete a zone. Within two seconds nothing is counted in it any more."""
    await change_zone(zones, request, key, zone, delete)
    return Response(status_code=204)


@router.get(
    "/v1/zones/{zone}/versions",
    response_model=EarlierVersions,
    response_description="What it was, the newest first.",
    responses=problems(401, 403, 404, 503),
)
async def zone_versions(zones: Resources, _key: Admin, zone: ZoneId) -> Response:
    """What a zone was before each change, also of one that is gone."""
    changes = await zone_changes(zones.redis, zone)
    if not changes and zone not in zones.campus.by_id:
        raise unknown_zone(zone)
    versions = [
        {
            "replaced_at": format_rfc3339(change.at),
            "replaced_by": change.by,
            "feature": msgspec.Raw(change.before) if change.before else None,
        }
        for change in changes
    ]
    return Json({"zone": zone, "versions": versions}, headers=_NO_STORE)


def _zone(view: CampusView, zone: str) -> GeoJson:
    return GeoJson(view.features[zone], headers={"ETag": view.etags[zone], **_NO_STORE})
