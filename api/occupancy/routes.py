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
from api.http.openapi import not_modified_response, problems
from api.occupancy.body import Occupancy, OccupancyOfAll, OccupancyQuery, chosen
from api.occupancy.snapshot import Snapshot
from api.state import Resources, State
from api.zones import ZoneId

FRESH_MS = 1_000
"""How old a snapshot of the poller may be that an answer is made of."""


def _cached(scope: Scope) -> CachedResponse | None:
    """What the poller saw a moment ago, for whoever asks without a question, and needs no key."""
    state = cast("State", scope["app"].state.resources)
    if scope["query_string"] or not state.settings.api_public_occupancy:
        return None
    snapshot = _fresh(state)
    if snapshot is None:
        return None
    zone = scope["path_params"].get("zone")
    if zone is None:
        return cached_all(snapshot.everything, _cache_control(state))
    body = snapshot.zone(zone)
    return None if body is None else cached_zone(body, _cache_control(state))


router = APIRouter(tags=["occupancy"], dependencies=[public_occupancy], route_class=route_with(_cached))


@router.get(
    "/v1/occupancy",
    response_model=OccupancyOfAll,
    response_description="Every zone that was asked for.",
    responses={**not_modified_response(), **problems(422, 503)},
)
async def all_occupancy(request: Request, state: Resources, query: Annotated[OccupancyQuery, Query()]) -> Response:
    """Cars and phones in every zone now, in one answer; of some categories, and sorted by count if you ask for it."""
    snapshot = _fresh(state) or await state.snapshots.take()
    return _answer(request, state, chosen(snapshot, query))


@router.get(
    "/v1/zones/{zone}/occupancy",
    response_model=Occupancy,
    response_description="The zone's counts.",
    responses={**not_modified_response(), **problems(404, 503)},
)
async def zone_occupancy(request: Request, state: Resources, zone: ZoneId) -> Response:
    """Cars and phones in one zone now."""
    found, snapshot = state.zones.by_id(zone), _fresh(state)
    body = snapshot.zone(found.id) if snapshot else None
    return _answer(request, state, body or await state.snapshots.take_zone(found))


def _fresh(state: State) -> Snapshot | None:
    snapshot = state.change_log.latest
    if snapshot is None or snapshot.version != state.followed.view.version:
        return None
    return snapshot if 0 <= state.clock() - snapshot.at < FRESH_MS else None


def _answer(request: Request, state: State, body: bytes) -> Response:
    etag, cache_control = etag_of(body), _cache_control(state)
    if client_has(request, etag):
        return not_modified(etag, cache_control)
    return Json(msgspec.Raw(body), headers={"ETag": etag, "Cache-Control": cache_control})


def _cache_control(state: State) -> str:
    # What needs a key is not for caches that others share.
    reach = "public" if state.settings.api_public_occupancy else "private"
    return f"{reach}, max-age={state.settings.occupancy_ttl}"
