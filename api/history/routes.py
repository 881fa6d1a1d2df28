"""/v1/occupancy/history and /v1/zones/{zone}/occupancy/history and .../summary: how many were where, over time."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import public_occupancy
from api.history.body import (
    Format,
    History,
    HistoryOfSeveral,
    HistoryQuery,
    check_kept,
    check_zones,
    histories,
    oldest_kept,
    range_of,
)
from api.history.csv_export import COLUMNS, MEDIA_TYPE, Csv, wanted
from api.history.dependencies import HistoryResources, Resources
from api.history.summary import HOUR_MS, Summary, SummaryQuery, hours_of, summary
from api.http.answers import Json
from api.http.instants import name_of, writer
from api.http.openapi import problems
from api.zones import ZoneId
from core.kinds import KindId
from timeseries import Width

CACHE_CONTROL = "no-cache"
"""Even windows long past can change: a phone that was offline sends its positions later."""
_HEADERS = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
_AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    "description": f"The columns {', '.join(COLUMNS)}; a row a window. `devices` is empty where the "
                    "count is withheld. `recorded` is false for windows of which no minute was recorded: there, a "
                    "0 means that nothing is known. The header `Kept-Since` is there where not all windows are kept.",
                },
                "example": f"{','.join(COLUMNS)}\r\n"
                "kemmy,car,1m,2019-02-18T08:58:00Z,2019-02-18T08:59:00Z,1,false,true\r\n",
            }
        }
    }
}


class SeveralQuery(HistoryQuery):
    """What part of the history of which zones is asked for."""

    zone: list[str] = Field(
        default=[],
        description="Ids of the zones, one parameter each: zone=kemmy&zone=schuman. By default all, the campus itself "
        "included.",
        examples=[["kemmy", "schuman"]],
    )


router = APIRouter(tags=["occupancy"], dependencies=[public_occupancy])


@router.get(
    "/v1/zones/{zone}/occupancy/history",
    response_model=History,
    response_description="Every window of the range.",
    responses={**_AS_CSV, **problems(404, 410, 422, 503)},
)
async def zone_history(
    request: Request, resources: Resources, zone: ZoneId, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Distinct cars or phones in one zone, window by window, with a 0 where nobody was seen; as JSON or CSV."""
    return await _answer(request, resources, [resources.zones.by_id(zone).id], query, several=False)


@router.get(
    "/v1/occupancy/history",
    response_model=HistoryOfSeveral,
    response_description="Every window of the range, zone by zone.",
    responses={**_AS_CSV, **problems(404, 410, 422, 503)},
)
async def several_histories(
    request: Request, resources: Resources, query: Annotated[SeveralQuery, Query()]
) -> Response:
    """Distinct cars or phones in several zones, window by window, with a 0 where nobody was seen; as JSON or CSV."""
    campus = resources.zones.campus
    # Once each, in the order asked for.
    named = dict.fromkeys(query.zone or (zone.id for zone in campus.everything))
    return await _answer(request, resources, [resources.zones.by_id(zone).id for zone in named], query, several=True)


@router.get(
    "/v1/zones/{zone}/occupancy/summary",
    response_model=Summary,
    response_description="Its peak, mean and popular times.",
    responses=problems(404, 410, 422, 503),
)
async def zone_summary(resources: Resources, zone: ZoneId, query: Annotated[SummaryQuery, Query()]) -> Response:
    """What a zone was like over a range: peak, mean, and the usual week by weekday and hour of the campus's time."""
    known = resources.zones.by_id(zone)
    asked = hours_of(query, now=resources.clock())
    kept_since = await oldest_kept(resources.store, Width.HOUR, resources.timezone)
    await check_kept(resources.store, Width.HOUR, asked.until - HOUR_MS, kept_since, resources.timezone, choose=False)
    body = await summary(
        resources.store,
        zone=known.id,
        kind=KindId(query.kind.value),
        asked=asked,
        most=resources.most,
        timezone=resources.timezone,
        shown_in=query.tz,
        least=resources.least,
        kept_since=kept_since,
    )
    return Json(body, headers={"Cache-Control": CACHE_CONTROL})


async def _answer(
    request: Request, resources: HistoryResources, zones: Sequence[str], query: HistoryQuery, *, several: bool
) -> Response:
    check_zones(len(zones))
    asked = range_of(
        query,
        now=resources.clock(),
        timezone=resources.timezone,
        most=resources.most,
        zones=len(zones),
    )
    kept_since = await oldest_kept(resources.store, asked.width, resources.timezone)
    await check_kept(resources.store, asked.width, asked.starts[-1], kept_since, resources.timezone)
    as_csv = wanted(request, query.format) is Format.CSV
    found = await histories(
        resources.store,
        zones,
        KindId(query.kind.value),
        asked,
        shown_in=query.tz,
        least=resources.least,
        encoded=not as_csv,
        kept_since=kept_since,
    )
    if as_csv:
        name = f"occupancy-{query.kind}-{asked.width}" if several else f"{zones[0]}-{query.kind}-{asked.width}"
        return Csv(found, asked, name=name, headers=_HEADERS)
    if not several:
        return Json(found[0], headers=_HEADERS)
    write = writer(query.tz)
    body = HistoryOfSeveral(
        kind=query.kind,
        window=asked.width,
        timezone=name_of(query.tz),
        start=write(asked.start),
        end=write(asked.end),
        zones=found,
        kept_since=None if kept_since is None else write(kept_since),
    )
    return Json(body, headers=_HEADERS)
