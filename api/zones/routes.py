"""/v1/zones: the campus and its zones, as GeoJSON."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import public_occupancy
from api.http.answers import GeoJson, client_has, etag_of, not_modified
from api.http.openapi import not_modified_response, problems
from api.http.problems import unknown_zone
from api.zones.dependencies import Resources, ZoneId, Zones
from api.zones.query import ZonesQuery, page_of

router = APIRouter(tags=["zones"], dependencies=[public_occupancy])


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
    """What a zone is. It may have properties of its own beside these."""

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
class Link:
    """A link, as OGC API Features writes it."""

    href: Annotated[str, Field(description="Where it leads.", examples=["/v1/zones?limit=10&cursor=OTcwZmQ6MTA"])]
    rel: Annotated[str, Field(description="To what.", examples=["next"])]
    type: Annotated[str, Field(description="Of which media type that is.", examples=["application/geo+json"])]


@dataclass(frozen=True, slots=True)
class ZoneCollection:
    """The campus and its zones, as a GeoJSON FeatureCollection."""

    type: Annotated[
        Literal["FeatureCollection"], Field(description="GeoJSON's name for it.", examples=["FeatureCollection"])
    ]
    features: Annotated[list[ZoneFeature], Field(description="The campus itself first, then its zones.")]
    numberMatched: Annotated[  # noqa: N815 - as OGC API Features writes it
        int, Field(description="How many there are, on this page and the others.", examples=[23])
    ]
    numberReturned: Annotated[  # noqa: N815 - the same
        int, Field(description="How many are on this page.", examples=[23])
    ]
    links: Annotated[list[Link], Field(description="`next`, where there is another page.")]
    attribution: Annotated[
        str,
        Field(
            description="Whose map the campus was drawn from; show it with the zones. Absent where the file has none.",
            examples=["© OpenStreetMap contributors, ODbL 1.0"],
        ),
    ] = ""


@router.get(
    "/v1/zones",
    response_model=ZoneCollection,
    response_class=GeoJson,
    response_description="The campus and its zones; where there are more of them, `Link` leads to the next page.",
    responses={**not_modified_response(), **problems(422)},
)
async def list_zones(request: Request, zones: Resources, query: Annotated[ZonesQuery, Query()]) -> Response:
    """The campus and its zones with their outlines; a GIS opens the answer as it is."""
    view = zones.view
    if not request.scope["query_string"]:
        return _geojson(request, zones, view.collection, view.collection_etag)
    page = page_of(view, query)
    headers = {"Link": f'<{page.next}>; rel="next"'} if page.next else {}
    return _geojson(request, zones, page.body, etag_of(page.body), **headers)


@router.get(
    "/v1/zones/{zone}",
    response_model=ZoneFeature,
    response_class=GeoJson,
    response_description="The zone; its ETag is what a change of it is made with.",
    responses={**not_modified_response(), **problems(404)},
)
async def get_zone(request: Request, zones: Resources, zone: ZoneId) -> Response:
    """One zone with its outline."""
    view = zones.view
    if zone not in view.features:
        raise unknown_zone(zone)
    return _geojson(request, zones, view.features[zone], view.etags[zone])


def _geojson(request: Request, zones: Zones, body: bytes, etag: str, **headers: str) -> Response:
    cache_control = _cache_control(zones)
    if client_has(request, etag):
        return not_modified(etag, cache_control)
    return GeoJson(body, headers={"ETag": etag, "Cache-Control": cache_control, **headers})


def _cache_control(zones: Zones) -> str:
    # Keep it, but ask each time whether it is still right: the answer is a 304, mostly.
    # What needs a key is not for caches that others share.
    return "public, no-cache" if zones.access.public_occupancy else "private, no-cache"
