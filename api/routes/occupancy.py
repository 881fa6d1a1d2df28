"""/v1/occupancy and /v1/zones/{zone}/occupancy: how many are where, now."""

from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.access import public_occupancy
from api.answers import Json, client_has, not_modified
from api.campus import etag_of
from api.feed import Look
from api.occupancy import Occupancy, OccupancyOfAll, OccupancyQuery, chosen, occupancy_now, occupancy_of_all
from api.openapi import not_modified_response, problems
from api.prepared import Prepared, prepared_all, prepared_zone, route_with
from api.routes.zones import ZoneId
from api.state import Resources, State

FRESH_MS = 1_000
"""How old a look of the feed may be that an answer is made of."""


def _prepared(scope: Scope) -> Prepared | None:
    """What the feed saw a moment ago, for whoever asks without a question, and needs no key."""
    state = cast("State", scope["app"].state.resources)
    if scope["query_string"] or not state.settings.api_public_occupancy:
        return None
    look = _fresh(state)
    if look is None:
        return None
    zone = scope["path_params"].get("zone")
    if zone is None:
        return prepared_all(look.everything, _cache_control(state))
    return prepared_zone(look.zones[zone].json, _cache_control(state)) if zone in look.zones else None


router = APIRouter(tags=["occupancy"], dependencies=[public_occupancy], route_class=route_with(_prepared))


@router.get(
    "/v1/occupancy",
    response_model=OccupancyOfAll,
    response_description="Every zone that was asked for.",
    responses={**not_modified_response(), **problems(422, 503)},
)
async def all_occupancy(request: Request, state: Resources, query: Annotated[OccupancyQuery, Query()]) -> Response:
    """Cars and phones in every zone now, in one answer; of some categories, and sorted by count if you ask for it."""
    whole = occupancy_of_all(await occupancy_now(state, state.campus.everything))
    return _answer(request, state, chosen(whole, query))


@router.get(
    "/v1/zones/{zone}/occupancy",
    response_model=Occupancy,
    response_description="The zone's counts.",
    responses={**not_modified_response(), **problems(404, 503)},
)
async def zone_occupancy(request: Request, state: Resources, zone: ZoneId) -> Response:
    """Cars and phones in one zone now."""
    [body] = await occupancy_now(state, [state.zone(zone)])
    return _answer(request, state, body)


def _fresh(state: State) -> Look | None:
    look = state.feed.latest
    if look is None or look.version != state.campus.version or not 0 <= state.clock() - look.at < FRESH_MS:
        return None
    return look


def _answer(request: Request, state: State, content: Occupancy | OccupancyOfAll) -> Response:
    body = msgspec.json.encode(content)
    etag, cache_control = etag_of(body), _cache_control(state)
    if client_has(request, etag):
        return not_modified(etag, cache_control)
    return Json(msgspec.Raw(body), headers={"ETag": etag, "Cache-Control": cache_control})


def _cache_control(state: State) -> str:
    # What needs a key is not for caches that others share.
    reach = "public" if state.settings.api_public_occupancy else "private"
    return f"{reach}, max-age={state.settings.occupancy_ttl}"
