"""/v1/positions and /v1/positions/search: single positions, for those who have a key for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import Field
from shapely import MultiPolygon, Polygon
from starlette.requests import Request
from starlette.responses import Response

from api.auth import requires
from api.http.answers import GeoJson
from api.http.head_middleware import HEAD
from api.http.instants import Rfc3339
from api.http.openapi import problems
from api.http.problems import WrongParameter, wrong_parameters
from api.positions.dependencies import PositionsResources, Resources
from api.positions.geojson_seq import MEDIA_TYPE, GeoJsonSequence, page_size, sequence
from api.positions.query import DEFAULT_LIMIT, PlaceQuery, SearchQuery, area_of, feature, position_query
from core.clock import format_rfc3339
from core.messages import Kind
from documents import Page, PositionQuery

_HEADERS = {
    # Personal data: nothing between the store and the client is to keep them.
    "Cache-Control": "private, no-store",
    "Vary": "Accept, Authorization, X-API-Key",
}
_PAGE_TYPE = "application/geo+json"


@dataclass(frozen=True, slots=True)
class PositionPoint:
    """A GeoJSON Point."""

    type: Annotated[Literal["Point"], Field(description="GeoJSON's name for it.", examples=["Point"])]
    coordinates: Annotated[
        list[float],
        Field(
            description="Longitude and latitude in degrees of WGS 84, and the altitude in metres if it was given.",
            examples=[[-8.5701, 52.6741]],
        ),
    ]


@dataclass(frozen=True, slots=True)
class PositionProperties:
    """What is known of a position. What the device did not tell is left out."""

    kind: Annotated[Kind, Field(description="Of a car or a phone (mobile).", examples=["car"])]
    device: Annotated[
        str, Field(description="Keyed hash of the device's id.", examples=["9f2c1e0b7a4d4c6e8b1f0a2d3c4e5f60"])
    ]
    observed_at: Annotated[
        Rfc3339, Field(description="When the device was there, RFC 3339, UTC.", examples=["2019-02-18T08:58:05.000Z"])
    ]
    received_at: Annotated[
        Rfc3339, Field(description="When it arrived, RFC 3339, UTC.", examples=["2019-02-18T08:58:06.120Z"])
    ]
    zones: Annotated[
        list[str],
        Field(description="Ids of the zones that held it then, the campus first.", examples=[["campus", "kemmy"]]),
    ]
    cell: Annotated[str, Field(description="Geohash of the place, 8 characters.", examples=["gc3gsvp2"])]
    accuracy: Annotated[float | None, Field(description="Metres.", examples=[8.0])] = None
    speed: Annotated[float | None, Field(description="Metres a second.", examples=[5.5])] = None
    heading: Annotated[float | None, Field(description="Degrees clockwise from true north.", examples=[271.0])] = None
    fence: Annotated[
        str | None,
        Field(description="Version of the campus that the zones were found with.", examples=["970fd18c17ce"]),
    ] = None
    implausible: Annotated[
        bool | None, Field(description="True where the device can hardly have come so far so soon.", examples=[True])
    ] = None
    inaccurate: Annotated[
        bool | None,
        Field(
            description="True where the position is too inaccurate to count in a zone: `zones` has the campus at most.",
            examples=[True],
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PositionFeature:
    """One position, as a GeoJSON Feature."""

    type: Annotated[Literal["Feature"], Field(description="GeoJSON's name for it.", examples=["Feature"])]
    id: Annotated[
        str,
        Field(description="Key of the position.", examples=["9f2c1e0b7a4d4c6e8b1f0a2d3c4e5f60-001550480285000"]),
    ]
    geometry: Annotated[PositionPoint, Field(description="Where.")]
    properties: Annotated[PositionProperties, Field(description="What is known of it.")]


@dataclass(frozen=True, slots=True)
class PositionLink:
    """A link to another page."""

    rel: Annotated[Literal["next"], Field(description="What is there: the next page.", examples=["next"])]
    href: Annotated[
        str, Field(description="Its address, on this server.", examples=["/v1/positions?zone=kemmy&cursor=WzE1N"])
    ]
    type: Annotated[str, Field(description="Its media type.", examples=[_PAGE_TYPE])]
    method: Annotated[
        Literal["GET", "POST"],
        Field(description="How to ask: with POST, send the same body again.", examples=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class PositionCollection:
    """A page of positions, as a GeoJSON FeatureCollection with the members of OGC API Features."""

    type: Annotated[
        Literal["FeatureCollection"], Field(description="GeoJSON's name for it.", examples=["FeatureCollection"])
    ]
    features: Annotated[
        list[PositionFeature],
        Field(description="The newest first. Fewer than `limit`, even none, are not the end: a missing link is."),
    ]
    numberReturned: Annotated[int, Field(description="How many are on this page.", examples=[100])]  # noqa: N815 - OGC's name
    timeStamp: Annotated[  # noqa: N815 - OGC's name
        Rfc3339, Field(description="When the answer was made, RFC 3339, UTC.", examples=["2019-02-18T09:00:00Z"])
    ]
    links: Annotated[list[PositionLink], Field(description="The next page; empty on the last one.")]


_SEQUENCE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    "description": "RFC 8142: before each Feature a record separator (0x1E), after it a line feed. It "
                    "is streamed, and has no pages. Asked for by the header Accept.",
                }
            }
        }
    }
}
_GEOMETRY_BODY = {
    "requestBody": {
        "required": True,
        "description": "The area: a GeoJSON Polygon or MultiPolygon, or a Feature of one.",
        "content": {
            media_type: {
                "schema": {
                    "type": "object",
                    "description": "A GeoJSON Polygon or MultiPolygon; its outline belongs to it.",
                    "required": ["type", "coordinates"],
                    "properties": {
                        "type": {
                            "type": "string",
                            "enum": ["Polygon", "MultiPolygon"],
                            "description": "Of which type.",
                        },
                        "coordinates": {
                            "type": "array",
                            "items": {"type": "array"},
                            "description": "Rings of positions: longitude, latitude, in degrees of WGS 84.",
                        },
                    },
                },
                "example": {
                    "type": "Polygon",
                    "coordinates": [[[-8.5777, 52.6724], [-8.5767, 52.6724], [-8.5767, 52.6729], [-8.5777, 52.6724]]],
                },
            }
            for media_type in (_PAGE_TYPE, "application/json")
        },
    }
}
_PROBLEMS = problems(401, 403, 422, 503)

router = APIRouter(tags=["positions"], dependencies=[requires("positions:read")])


@router.get(
    "/v1/positions",
    response_model=PositionCollection,
    response_class=GeoJson,
    response_description="A page of them, the newest first.",
    responses={**_SEQUENCE, **_PROBLEMS},
)
async def list_positions(request: Request, resources: Resources, query: Annotated[PlaceQuery, Query()]) -> Response:
    """Positions by zone, device, time, box and distance from a place, the newest first; by default of the whole campus.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, resources, query, area=None)


@router.post(
    "/v1/positions/search",
    response_model=PositionCollection,
    response_class=GeoJson,
    response_description="A page of them, the newest first.",
    responses={**_SEQUENCE, **_PROBLEMS},
    openapi_extra=_GEOMETRY_BODY,
)
async def search_positions(request: Request, resources: Resources, query: Annotated[SearchQuery, Query()]) -> Response:
    """Positions in a polygon, the newest first; of the next page, too, the body is the polygon.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, resources, query, area=area_of(await request.body()))


async def _answer(
    request: Request, resources: PositionsResources, query: SearchQuery, *, area: Polygon | MultiPolygon | None
) -> Response:
    now = resources.clock()
    asked = position_query(query, now=now, campus=resources.zones.campus.boundary.id, area=area)
    if _wants_sequence(request):
        if HEAD in request.scope.get("extensions", {}):
            return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
        # The first page is read before the answer begins: a store that is away is still a 503.
        first = await _page(resources, asked, page_size(query.limit), query.cursor)
        return GeoJsonSequence(sequence(resources.documents, asked, first=first, limit=query.limit), headers=_HEADERS)
    page = await _page(resources, asked, query.limit or DEFAULT_LIMIT, query.cursor)
    links = [_next(request, query, asked, page.cursor)] if page.cursor else []
    body = {
        "type": "FeatureCollection",
        "features": list(map(feature, page.documents)),
        "numberReturned": len(page.documents),
        "timeStamp": format_rfc3339(now),
        "links": links,
    }
    header = {"Link": f'<{links[0]["href"]}>; rel="next"; type="{_PAGE_TYPE}"'} if links else {}
    return GeoJson(body, headers={**_HEADERS, **header})


async def _page(resources: PositionsResources, query: PositionQuery, limit: int, cursor: str | None) -> Page:
    try:
        return await resources.documents.find(query, limit=limit, cursor=cursor)
    except ValueError as error:
        # All else was checked before.
        raise wrong_parameters([WrongParameter("cursor", str(error))]) from error


def _next(request: Request, query: SearchQuery, asked: PositionQuery, cursor: str) -> Mapping[str, Any]:
    """The link to the next page: the same parameters, with the range as it was now, and the cursor."""
    given = {
        name: value
        for name, value in request.query_params.items()
        if name in type(query).model_fields and name not in {"start", "end", "cursor"}
    }
    parameters = given | {
        "start": format_rfc3339(asked.start),
        "end": format_rfc3339(asked.end),
        "cursor": cursor,
    }
    return {
        "rel": "next",
        # Relative: the host that a client names is its own to choose.
        "href": f"{request.scope['path']}?{urlencode(parameters, safe=':,')}",
        "type": _PAGE_TYPE,
        "method": request.scope["method"],
    }


def _wants_sequence(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept")).lower()
    return any(part.partition(";")[0].strip() == MEDIA_TYPE for part in accepted.split(","))
