"""/v1/positions and /v1/positions/search: single positions, for those who have a key for them."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from shapely import MultiPolygon, Polygon
from starlette.requests import Request
from starlette.responses import Response

from api.auth import requires
from api.http.answers import GeoJson
from api.http.head_middleware import HEAD
from api.http.openapi import problems
from api.http.problems import WrongParameter, wrong_parameters
from api.positions.dependencies import PositionsResources, Resources
from api.positions.geojson_seq import MEDIA_TYPE, GeoJsonSequence, page_size, sequence
from api.positions.plausibility import Plausibility
from api.positions.query import DEFAULT_LIMIT, PlaceQuery, SearchQuery, area_of, position_query
from api.positions.types import PAGE_TYPE, position_collection
from core.clock import format_rfc3339
from core.kinds import Kinds
from documents import Page, PositionQuery

_HEADERS = {
    # Personal data: nothing between the store and the client is to keep them.
    "Cache-Control": "private, no-store",
    "Vary": "Accept, Authorization, X-API-Key",
}


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
            for media_type in (PAGE_TYPE, "application/json")
        },
    }
}
_PROBLEMS = problems(401, 403, 422, 503)


async def list_positions(request: Request, resources: Resources, query: Annotated[PlaceQuery, Query()]) -> Response:
    """Positions by zone, device, time, box and distance from a place, the newest first; by default of the whole campus.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, resources, query, area=None)


async def search_positions(request: Request, resources: Resources, query: Annotated[SearchQuery, Query()]) -> Response:
    """Positions in a polygon, the newest first; of the next page, too, the body is the polygon.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, resources, query, area=area_of(await request.body()))


def router(kinds: Kinds) -> APIRouter:
    """The routes, which give positions of these kinds."""
    routes = APIRouter(tags=["positions"], dependencies=[requires("positions:read")])
    told: dict[str, Any] = {
        "response_model": position_collection(kinds),
        "response_class": GeoJson,
        "response_description": "A page of them, the newest first.",
        "responses": {**_SEQUENCE, **_PROBLEMS},
    }
    routes.get("/v1/positions", **told)(list_positions)
    routes.post("/v1/positions/search", **told, openapi_extra=_GEOMETRY_BODY)(search_positions)
    return routes


async def _answer(
    request: Request, resources: PositionsResources, query: SearchQuery, *, area: Polygon | MultiPolygon | None
) -> Response:
    now = resources.clock()
    plausibility = Plausibility(resources.redis, query.plausible)
    asked = position_query(
        query, now=now, campus=resources.zones.campus.boundary.id, area=area, keeps=plausibility.keeps
    )
    if _wants_sequence(request):
        if HEAD in request.scope.get("extensions", {}):
            return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
        # The first page is read before the answer begins: a store that is away is still a 503.
        first = await _page(resources, asked, page_size(query.limit), query.cursor)
        chunks = sequence(resources.documents, asked, first=first, limit=query.limit, given=plausibility.features)
        return GeoJsonSequence(chunks, headers=_HEADERS)
    page = await _page(resources, asked, query.limit or DEFAULT_LIMIT, query.cursor)
    links = [_next(request, query, asked, page.cursor)] if page.cursor else []
    body = {
        "type": "FeatureCollection",
        "features": await plausibility.features(page.documents),
        "numberReturned": len(page.documents),
        "timeStamp": format_rfc3339(now),
        "links": links,
    }
    header = {"Link": f'<{links[0]["href"]}>; rel="next"; type="{PAGE_TYPE}"'} if links else {}
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
        "type": PAGE_TYPE,
        "method": request.scope["method"],
    }


def _wants_sequence(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept")).lower()
    return any(part.partition(";")[0].strip() == MEDIA_TYPE for part in accepted.split(","))
