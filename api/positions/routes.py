"""/v1/positions and /v1/positions/search: single positions, for those who have a key for them."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from shapely import MultiPolygon, Polygon
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Key, Scope, Shown, requires
from api.http.answers import GeoJson
from api.http.head_middleware import HEAD
from api.http.openapi import problems
from api.http.problems import WrongParameter, wrong_parameters
from api.positions.cells import Cells
from api.positions.dependencies import PositionsResources, Resources
from api.positions.geojson_seq import MEDIA_TYPE, GeoJsonSequence, page_size, records, sequence
from api.positions.plausibility import Plausibility
from api.positions.pseudonyms import Pseudonyms
from api.positions.query import DEFAULT_LIMIT, PlaceQuery, SearchQuery, area_of, position_query
from api.positions.types import PAGE_TYPE, cell_collection, position_collection
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


_Reader = Annotated[Key, requires("positions:read")]


async def list_positions(
    request: Request, key: _Reader, resources: Resources, query: Annotated[PlaceQuery, Query()]
) -> Response:
    """Positions by zone, device, time, box and distance from a place, the newest first; by default of the whole campus.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, key, resources, query, area=None)


async def search_positions(
    request: Request, key: _Reader, resources: Resources, query: Annotated[SearchQuery, Query()]
) -> Response:
    """Positions in a polygon, the newest first; of the next page, too, the body is the polygon.

    With `Accept: application/geo+json-seq` all of them, as a stream.
    """
    return await _answer(request, key, resources, query, area=area_of(await request.body()))


def router(kinds: Kinds, *, guarded: bool) -> APIRouter:
    """The routes, which give positions of these kinds; `guarded`: to some who may read them cells in their place."""
    routes = APIRouter(tags=["positions"])
    told: dict[str, Any] = {
        "response_model": position_collection(kinds),
        "response_class": GeoJson,
        "response_description": "A page of them, the newest first.",
        "responses": {**_SEQUENCE, **_PROBLEMS},
    }
    if guarded:
        told |= {
            "response_model": position_collection(kinds) | cell_collection(kinds),
            "response_description": "With `positions:exact` a page of them, the newest first; with `positions:read` how"
            " many devices were in which cells, in quarters of an hour that are over.",
        }
    routes.get("/v1/positions", **told)(list_positions)
    routes.post("/v1/positions/search", **told, openapi_extra=_GEOMETRY_BODY)(search_positions)
    return routes


async def _answer(
    request: Request,
    key: Key,
    resources: PositionsResources,
    query: SearchQuery,
    *,
    area: Polygon | MultiPolygon | None,
) -> Response:
    if resources.guarded is None:
        return await _positions(request, key, resources, query, area=area, names=None)
    if not key.allows(Scope.POSITIONS_EXACT):
        return await _cells(request, key, resources, resources.guarded.cells, query, area=area)
    return await _positions(request, key, resources, query, area=area, names=resources.guarded.names(key))


async def _cells(
    request: Request,
    key: Key,
    resources: PositionsResources,
    cells: Cells,
    query: SearchQuery,
    *,
    area: Polygon | MultiPolygon | None,
) -> Response:
    now = resources.clock()
    features, (start, end) = await cells.found(query, now=now, area=area)
    asked = _parameters(request, query, start=start, end=end, area=area)
    await resources.audit.note(request, key, asked, shown=Shown.CELLS, given=len(features))
    if _wants_sequence(request):
        return Response(
            records(features), media_type=MEDIA_TYPE, headers={"X-Content-Type-Options": "nosniff", **_HEADERS}
        )
    body = {
        "type": "FeatureCollection",
        "features": features,
        "numberReturned": len(features),
        "timeStamp": format_rfc3339(now),
        "links": [],
        "protected": True,
    }
    return GeoJson(body, headers=_HEADERS)


async def _positions(
    request: Request,
    key: Key,
    resources: PositionsResources,
    query: SearchQuery,
    *,
    area: Polygon | MultiPolygon | None,
    names: Pseudonyms | None,
) -> Response:
    """`names` are those by which who asks knows devices; None: their hashes."""
    now = resources.clock()
    plausibility = Plausibility(resources.redis, query.plausible)
    asked = position_query(
        query, now=now, campus=resources.zones.campus.boundary.id, area=area, keeps=plausibility.keeps, names=names
    )
    parameters = _parameters(request, query, start=asked.start, end=asked.end, area=area)

    async def note(page: Page) -> None:
        await resources.audit.note(request, key, parameters, shown=Shown.EXACT, given=len(page.documents))

    async def given(page: Page) -> list[dict[str, Any]]:
        features = await plausibility.features(page.documents)
        return features if names is None else names.named(features)

    cursor = _opened(query.cursor, names)
    if _wants_sequence(request):
        if HEAD in request.scope.get("extensions", {}):
            return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
        # The first page is read before the answer begins: a store that is away is still a 503.
        first = await _page(resources, asked, page_size(query.limit), cursor)
        await note(first)

        async def each(page: Page) -> list[dict[str, Any]]:
            if page is not first:
                await note(page)
            return await given(page)

        chunks = sequence(resources.documents, asked, first=first, limit=query.limit, given=each)
        return GeoJsonSequence(chunks, headers=_HEADERS)
    page = await _page(resources, asked, query.limit or DEFAULT_LIMIT, cursor)
    await note(page)
    following = names.seal(page.cursor) if names and page.cursor else page.cursor
    links = [_next(request, query, asked, following)] if following else []
    body = {
        "type": "FeatureCollection",
        "features": await given(page),
        "numberReturned": len(page.documents),
        "timeStamp": format_rfc3339(now),
        "links": links,
    }
    header = {"Link": f'<{links[0]["href"]}>; rel="next"; type="{PAGE_TYPE}"'} if links else {}
    return GeoJson(body, headers={**_HEADERS, **header})


def _opened(cursor: str | None, names: Pseudonyms | None) -> str | None:
    """The store's cursor in the one that was sent. Raises a 422 problem."""
    if cursor is None or names is None:
        return cursor
    try:
        return names.opened(cursor)
    except ValueError as error:
        raise wrong_parameters([WrongParameter("cursor", str(error))]) from error


async def _page(resources: PositionsResources, query: PositionQuery, limit: int, cursor: str | None) -> Page:
    try:
        return await resources.documents.find(query, limit=limit, cursor=cursor)
    except ValueError as error:
        # All else was checked before.
        raise wrong_parameters([WrongParameter("cursor", str(error))]) from error


def _next(request: Request, query: SearchQuery, asked: PositionQuery, cursor: str) -> Mapping[str, Any]:
    """The link to the next page: the same parameters, with the range as it was now, and the cursor."""
    parameters = _parameters(request, query, start=asked.start, end=asked.end, area=None) | {"cursor": cursor}
    return {
        "rel": "next",
        # Relative: the host that a client names is its own to choose.
        "href": f"{request.scope['path']}?{urlencode(parameters, safe=':,')}",
        "type": PAGE_TYPE,
        "method": request.scope["method"],
    }


def _parameters(
    request: Request, query: SearchQuery, *, start: int, end: int, area: Polygon | MultiPolygon | None
) -> dict[str, str]:
    """What was asked for, but for the cursor, with the range as it was now; of an area the box around it."""
    given = {
        name: value
        for name, value in request.query_params.items()
        if name in type(query).model_fields and name not in {"start", "end", "cursor"}
    }
    box = {"area": ",".join(f"{degrees:.6f}" for degrees in area.bounds)} if area is not None else {}
    return given | {"start": format_rfc3339(start), "end": format_rfc3339(end)} | box


def _wants_sequence(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept")).lower()
    return any(part.partition(";")[0].strip() == MEDIA_TYPE for part in accepted.split(","))
