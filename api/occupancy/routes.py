"""/v1/occupancy and /v1/zones/{zone}/occupancy: how many are where, now."""

from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.auth import public_occupancy
from api.http.answers import Json, client_has, etag_of, not_modified
from api.http.cached_response import CachedResponse, cached_all, cached_zone, route_with
from api.http.kind_words import capital, many
from api.http.openapi import not_modified_response, problems
from api.occupancy.body import OccupancyQuery, chosen
from api.occupancy.dependencies import OccupancyResources, Resources
from api.occupancy.types import occupancy_types
from api.zones import ZoneId
from core.kinds import Kinds


async def _cached(scope: Scope) -> CachedResponse | None:
    """What the poller saw a moment ago, for whoever asks without a question, and needs no key."""
    resources = cast("OccupancyResources", scope["app"].state.occupancy)
    if scope["query_string"] or not resources.zones.access.public_occupancy:
        return None
    snapshot = resources.fresh
    if snapshot is None:
        return None
    zone = scope["path_params"].get("zone")
    if zone is None:
        return cached_all(snapshot.everything, resources.cache_control)
    body = snapshot.zone(zone)
    return None if body is None else cached_zone(body, resources.cache_control)


def router(kinds: Kinds, *, released: bool = False) -> APIRouter:
    """The routes, whose bodies have a member for each kind; `released` where counts are not told as they are."""
    types = occupancy_types(kinds, released=released)
    counted = capital(many(kinds))
    routes = APIRouter(tags=["occupancy"], dependencies=[public_occupancy], route_class=route_with(_cached))

    @routes.get(
        "/v1/occupancy",
        response_model=types.everything,
        description=f"{counted} in every zone now, in one answer; of some categories, and sorted by count if you ask "
        "for it.",
        response_description="Every zone that was asked for.",
        responses={**not_modified_response(), **problems(422, 503)},
    )
    async def all_occupancy(
        request: Request, resources: Resources, query: Annotated[OccupancyQuery, Query()]
    ) -> Response:
        snapshot = resources.fresh or await resources.snapshots.take()
        return _answer(request, resources, chosen(snapshot, query))

    @routes.get(
        "/v1/zones/{zone}/occupancy",
        response_model=types.one,
        description=f"{counted} in one zone now.",
        response_description="The zone's counts.",
        responses={**not_modified_response(), **problems(404, 503)},
    )
    async def zone_occupancy(request: Request, resources: Resources, zone: ZoneId) -> Response:
        found, snapshot = resources.zones.by_id(zone), resources.fresh
        body = snapshot.zone(found.id) if snapshot else None
        return _answer(request, resources, body or await resources.snapshots.take_zone(found))

    return routes


def _answer(request: Request, resources: OccupancyResources, body: bytes) -> Response:
    etag, cache_control = etag_of(body), resources.cache_control
    if client_has(request, etag):
        return not_modified(etag, cache_control)
    return Json(msgspec.Raw(body), headers={"ETag": etag, "Cache-Control": cache_control})
