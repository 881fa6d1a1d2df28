"""/v1/zones: the campus and its zones, as GeoJSON."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.answers import GeoJson, client_has, not_modified
from api.openapi import problems
from api.state import Resources, State

CACHE_CONTROL = "public, no-cache"
"""Keep it, but ask each time whether it is still right: the answer is a 304, mostly."""

ZoneId = Annotated[str, Path(description="Id of a zone, as /v1/zones lists it.", examples=["kemmy"])]

router = APIRouter(tags=["zones"])


@dataclass(frozen=True, slots=True)
class Geometry:
    """A GeoJSON Polygon or MultiPolygon; holes are possible."""

    type: Annotated[Literal["Polygon", "MultiPolygon"], Field(description="Of which type.", examples=["Polygon"])]
    coordinates: Annotated[
        list[Any],
        Field(
            description="Rings of positions: longitude, latitude, in degrees of WGS 84.",
            examples=[[[[-8.5777, 52.6724], [-8.5767, 52.6724], [-8.5767, 52.6729], [-8.5777, 52.6724]]]],
        ),
    ]


@dataclass(frozen=True, slots=True)
class ZoneProperties:
    """What a zone is. A campus file may give it properties of its own beside these."""

    name: Annotated[str, Field(description="Its name, for people.", examples=["Kemmy Business School"])]
    role: Annotated[
        Literal["boundary", "zone"],
        Field(description="boundary for the outline of the campus itself, zone for all others.", examples=["zone"]),
    ]
    category: Annotated[
        str | None,
        Field(description="What it is, such as building or car_park; may be left out.", examples=["building"]),
    ] = None
    capacity: Annotated[
        int | None, Field(description="How many it can hold; left out where it is not known.", examples=[400])
    ] = None


@dataclass(frozen=True, slots=True)
class ZoneFeature:
    """One zone, as a GeoJSON Feature."""

    type: Annotated[Literal["Feature"], Field(description="GeoJSON's name for it.", examples=["Feature"])]
    id: Annotated[str, Field(description="Id of the zone.", examples=["kemmy"])]
    geometry: Annotated[Geometry, Field(description="Its outline.")]
    properties: Annotated[ZoneProperties, Field(description="What it is.")]


@dataclass(frozen=True, slots=True)
class ZoneCollection:
    """The campus and its zones, as a GeoJSON FeatureCollection."""

    type: Annotated[
        Literal["FeatureCollection"], Field(description="GeoJSON's name for it.", examples=["FeatureCollection"])
    ]
    features: Annotated[list[ZoneFeature], Field(description="The campus itself first, then its zones.")]


_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What If-None-Match names is still right."}}


@router.get(
    "/v1/zones",
    response_model=ZoneCollection,
    response_class=GeoJson,
    response_description="The campus and its zones.",
    responses=_NOT_MODIFIED,
)
async def list_zones(request: Request, state: Resources) -> Response:
    """The campus and its zones with their outlines; a GIS opens the answer as it is."""
    return _geojson(request, state, state.campus.as_feature_collection())


@router.get(
    "/v1/zones/{zone}",
    response_model=ZoneFeature,
    response_class=GeoJson,
    response_description="The zone.",
    responses={**_NOT_MODIFIED, **problems(404)},
)
async def get_zone(request: Request, state: Resources, zone: ZoneId) -> Response:
    """One zone with its outline."""
    return _geojson(request, state, state.zone(zone).feature)


def _geojson(request: Request, state: State, content: dict[str, object]) -> Response:
    etag = f'"{state.campus.version}"'
    if client_has(request, etag):
        return not_modified(etag, CACHE_CONTROL)
    return GeoJson(content, headers={"ETag": etag, "Cache-Control": CACHE_CONTROL})
