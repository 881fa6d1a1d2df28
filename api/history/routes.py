"""/v1/occupancy/history and /v1/zones/{zone}/occupancy/history and .../summary: how many were where, over time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

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
from api.history.csv_export import COLUMNS, Csv, wanted
from api.history.dependencies import HistoryResources, Resources
from api.history.summary import HOUR_MS, Summary, SummaryQuery, hours_of, summary
from api.http.answers import Json
from api.http.cached_response import route_with
from api.http.csv_answers import MEDIA_TYPE
from api.http.instants import name_of, writer
from api.http.kind_words import example, ids, many
from api.http.kinds import Kind, known
from api.http.openapi import problems
from api.http.traced import ANSWERED, Past
from api.zones import ZoneId
from core.kinds import Kinds
from disclosure.times import slot_start
from timeseries import Width

CACHE_CONTROL = "no-cache"
"""Even windows long past can change: a phone that was offline sends its positions later."""
_HEADERS = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
PROTECTED = {"Protected": "true"}
"""The header that says what the member `protected` does in JSON."""
_CSV_SCHEMA = {
    "type": "string",
    "description": f"The columns {', '.join(COLUMNS)}; a row a window. `devices` is empty where the count is withheld. "
    "`recorded` is false for windows of which no minute was recorded: there, a 0 means that nothing is known. "
    "The header `Kept-Since` is there where not all windows are kept, and `Protected` where counts are released ones.",
}


def _as_csv(kind: str) -> dict[int | str, dict[str, Any]]:
    row = f"kemmy,{kind},1m,2019-02-18T08:58:00Z,2019-02-18T08:59:00Z,1,false,true"
    example_ = f"{','.join(COLUMNS)}\r\n{row}\r\n"
    return {200: {"content": {MEDIA_TYPE: {"schema": _CSV_SCHEMA, "example": example_}}}}


def router(kinds: Kinds) -> APIRouter:
    """The routes, which are asked for one of these kinds."""
    told = f"What to count: {ids(kinds)}."
    counted = f"Distinct {many(kinds, 'or')}"
    window_by_window = "window by window, with a 0 where nobody was seen; as JSON or CSV."
    as_csv = _as_csv(example(kinds))
    routes = APIRouter(tags=["occupancy"], dependencies=[public_occupancy])

    class OneQuery(HistoryQuery):
        kind: Annotated[Kind, known(kinds)] = Field(description=told, examples=[example(kinds)])

    class SeveralQuery(OneQuery):
        zone: list[str] = Field(
            default=[],
            description="Ids of the zones, one parameter each: zone=kemmy&zone=schuman. By default all, the campus "
            "itself included.",
            examples=[["kemmy", "schuman"]],
        )

    class RangeQuery(SummaryQuery):
        kind: Annotated[Kind, known(kinds)] = Field(description=told, examples=[example(kinds, person=True)])

    quick_routes = APIRouter(route_class=route_with(_quick(OneQuery)))

    @quick_routes.get(
        "/v1/zones/{zone}/occupancy/history",
        response_model=History,
        description=f"{counted} in one zone, {window_by_window}",
        response_description="Every window of the range.",
        responses={**as_csv, **problems(404, 410, 422, 503)},
    )
    async def zone_history(
        request: Request, resources: Resources, zone: ZoneId, query: Annotated[OneQuery, Query()]
    ) -> Response:
        return await _answer(request, resources, [resources.zones.by_id(zone).id], query, several=False)

    routes.include_router(quick_routes)

    @routes.get(
        "/v1/occupancy/history",
        response_model=HistoryOfSeveral,
        description=f"{counted} in several zones, {window_by_window}",
        response_description="Every window of the range, zone by zone.",
        responses={**as_csv, **problems(404, 410, 422, 503)},
    )
    async def several_histories(
        request: Request, resources: Resources, query: Annotated[SeveralQuery, Query()]
    ) -> Response:
        campus = resources.zones.campus
        # Once each, in the order asked for.
        named = dict.fromkeys(query.zone or (zone.id for zone in campus.everything))
        return await _answer(
            request, resources, [resources.zones.by_id(zone).id for zone in named], query, several=True
        )

    @routes.get(
        "/v1/zones/{zone}/occupancy/summary",
        response_model=Summary,
        description="What a zone was like over a range: peak, mean, and the usual week by weekday and hour of the "
        "campus's time.",
        response_description="Its peak, mean and popular times.",
        responses=problems(404, 410, 422, 503),
    )
    async def zone_summary(resources: Resources, zone: ZoneId, query: Annotated[RangeQuery, Query()]) -> Response:
        found = resources.zones.by_id(zone)
        asked = hours_of(query, now=resources.clock())
        kept_since = await oldest_kept(resources.store, Width.HOUR, resources.timezone)
        await check_kept(
            resources.store, Width.HOUR, asked.until - HOUR_MS, kept_since, resources.timezone, choose=False
        )
        body = await summary(
            resources.store,
            zone=found.id,
            kind=query.kind,
            asked=asked,
            most=resources.most,
            timezone=resources.timezone,
            shown_in=query.tz,
            least=resources.least_of(query.kind),
            kept_since=kept_since,
        )
        return Json(replace(body, **resources.told()), headers={"Cache-Control": CACHE_CONTROL})

    return routes


def _quick(model: type[HistoryQuery]) -> Callable[[Scope], Awaitable[Response | None]]:
    """What answers a request for one zone that needs no key, and is right: a map asks for it at each click.

    FastAPI takes longer to find the parameters than the store to find a day.
    """

    async def answer(scope: Scope) -> Response | None:
        resources = cast("HistoryResources", scope["app"].state.history)
        if not resources.zones.access.public_occupancy:
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(pairs)
        if len(given) < len(pairs):
            return None
        try:
            query = model.model_validate(given)
        except ValidationError:
            return None  # what is wrong is told as everywhere
        zone = resources.zones.by_id(scope["path_params"]["zone"])
        return await _answer(Request(scope), resources, [zone.id], query, several=False)

    return answer


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
    request.scope[ANSWERED] = Past(zones, query.kind, asked.width, asked.starts[0], asked.until)
    kept_since = await oldest_kept(resources.store, asked.width, resources.timezone)
    await check_kept(resources.store, asked.width, asked.starts[-1], kept_since, resources.timezone)
    as_csv = wanted(request, query.format) is Format.CSV
    found = await histories(
        resources.store,
        zones,
        query.kind,
        asked,
        shown_in=query.tz,
        least=resources.least_of(query.kind),
        encoded=not as_csv,
        kept_since=kept_since,
        # A window is told when the next slot begins: one that ends within a slot is not over before.
        over=None if resources.policy.is_open else slot_start(resources.clock(), resources.policy),
    )
    if as_csv:
        name = f"occupancy-{query.kind}-{asked.width}" if several else f"{zones[0]}-{query.kind}-{asked.width}"
        return Csv(found, asked, name=name, headers=_HEADERS | ({} if resources.policy.is_open else PROTECTED))
    if not several:
        return Json(replace(found[0], **resources.told()), headers=_HEADERS)
    write = writer(query.tz)
    body = HistoryOfSeveral(
        kind=query.kind,
        window=asked.width,
        timezone=name_of(query.tz),
        start=write(asked.start),
        end=write(asked.end),
        zones=found,
        kept_since=None if kept_since is None else write(kept_since),
        **resources.told(),
    )
    return Json(body, headers=_HEADERS)
