"""/v1/occupancy and /v1/zones/{zone}/occupancy: how many are where, now."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import Json
from api.occupancy import Occupancy, OccupancyOfAll, occupancy_now
from api.openapi import problems
from api.routes.zones import ZoneId
from api.state import Resources, State

router = APIRouter(tags=["occupancy"])


@router.get(
    "/v1/occupancy",
    response_model=OccupancyOfAll,
    response_description="Every zone, the campus first.",
    responses=problems(503),
)
async def all_occupancy(state: Resources) -> Response:
    """Cars and phones in every zone now, in one answer."""
    zones = await occupancy_now(state, state.campus.everything)
    # The campus itself is always among them, so there is a first one.
    body = OccupancyOfAll(last_updated=zones[0].last_updated, ttl=zones[0].ttl, zones=zones)
    return Json(body, headers=_for_a_while(state))


@router.get(
    "/v1/zones/{zone}/occupancy",
    response_model=Occupancy,
    response_description="The zone's counts.",
    responses=problems(404, 503),
)
async def zone_occupancy(state: Resources, zone: ZoneId) -> Response:
    """Cars and phones in one zone now."""
    [body] = await occupancy_now(state, [state.zone(zone)])
    return Json(body, headers=_for_a_while(state))


def _for_a_while(state: State) -> dict[str, str]:
    return {"Cache-Control": f"public, max-age={state.settings.occupancy_ttl}"}
