"""/v1/zones/{zone}/occupancy/history: how many were where, over time."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import Json
from api.history import History, HistoryQuery, history, range_of
from api.openapi import problems
from api.routes.zones import ZoneId
from api.state import Resources

CACHE_CONTROL = "no-cache"
"""Even windows long past can change: a phone that was offline sends its positions later."""

router = APIRouter(tags=["occupancy"])


@router.get(
    "/v1/zones/{zone}/occupancy/history",
    response_model=History,
    response_description="Every window of the range.",
    responses=problems(404, 422, 503),
)
async def zone_history(state: Resources, zone: ZoneId, query: Annotated[HistoryQuery, Query()]) -> Response:
    """Distinct cars or phones in one zone, window by window, with a 0 where nobody was seen."""
    known = state.zone(zone)
    asked = range_of(
        query,
        now=state.clock(),
        timezone=ZoneInfo(state.settings.campus_timezone),
        most=state.settings.history_max_points,
    )
    return Json(await history(state.store, known.id, query.kind, asked), headers={"Cache-Control": CACHE_CONTROL})
