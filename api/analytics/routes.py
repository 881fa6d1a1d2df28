"""/v1/zones/{zone}/forecast, .../visits, .../anomaly and /v1/flows: what jobs have found out."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.analytics import csv_export
from api.analytics.anomalies import Anomalies, anomalies
from api.analytics.body import ResultsQuery, range_of
from api.analytics.dependencies import AnalyticsResources, Resources
from api.analytics.flows import Flows, FlowsFormat, FlowsQuery, flows
from api.analytics.forecast import Forecast, ForecastQuery, forecast
from api.analytics.visits import ZoneVisits, visits
from api.auth import public_occupancy
from api.http.answers import Json, client_has, etag_of, not_modified
from api.http.csv_answers import MEDIA_TYPE, CsvAnswer, prefers_csv
from api.http.kind_words import example, ids, many
from api.http.kinds import Kind, known
from api.http.openapi import not_modified_response, problem_of, problems
from api.http.problems import withheld
from api.zones import ZoneId
from core.kinds import Kinds

_CSV_SCHEMA = {
    "type": "string",
    "description": f"The columns {', '.join(csv_export.COLUMNS)}; a row for each pair of zones. With format=matrix, "
    "a row for each origin and a column for each destination. The headers `Computed-At`, `Data-Begin`, `Data-End` and "
    "`Recorded-Minutes` say what the members of these names do in JSON.",
}


_WITHHELD = problem_of(
    403,
    "They are withheld from everybody, for counts are protected here (`PRIVACY`).",
    "/docs#withheld",
    "This is withheld",
)


def _as_csv(kind: str) -> dict[int | str, dict[str, Any]]:
    row = f"car-park-west,kemmy,{kind},2026-03-02T09:00:00Z,2026-03-02T10:00:00Z,58,1"
    example_ = f"{','.join(csv_export.COLUMNS)}\r\n{row}\r\n"
    return {200: {"content": {MEDIA_TYPE: {"schema": _CSV_SCHEMA, "example": example_}}}}


def router(kinds: Kinds) -> APIRouter:
    """The routes, which are asked for one of these kinds."""
    told = f"Of which kind: {ids(kinds)}."
    routes = APIRouter(tags=["analytics"], dependencies=[public_occupancy])

    class KindForecastQuery(ForecastQuery):
        kind: Annotated[Kind, known(kinds)] = Field(description=told, examples=[example(kinds)])

    class KindVisitsQuery(ResultsQuery):
        kind: Annotated[Kind, known(kinds)] = Field(description=told, examples=[example(kinds, person=True)])

    class KindFlowsQuery(FlowsQuery):
        kind: Annotated[Kind, known(kinds)] = Field(description=told, examples=[example(kinds)])

    @routes.get(
        "/v1/zones/{zone}/forecast",
        response_model=Forecast,
        description=f"How many {many(kinds, 'or')} are thought likely in one zone, hour by hour; only where that has "
        "been better than to expect the same as last week. Where it is not, `points` is empty and `reason` says why.",
        response_description="The forecast, and how good it has been.",
        responses={**not_modified_response(), **problems(404, 422, 503)},
    )
    async def zone_forecast(
        request: Request, resources: Resources, zone: ZoneId, query: Annotated[KindForecastQuery, Query()]
    ) -> Response:
        found = resources.zones.by_id(zone).id
        return _answer(request, resources, await forecast(resources, found, query.kind, shown_in=query.tz))

    @routes.get(
        "/v1/zones/{zone}/visits",
        response_model=ZoneVisits,
        description=f"Visits of one zone by {many(kinds, 'or')}, hour by hour: how many came and left, and how long "
        "they had been there.",
        response_description="Every hour of the range.",
        responses={**not_modified_response(), **_WITHHELD, **problems(404, 422, 503)},
    )
    async def zone_visits(
        request: Request, resources: Resources, zone: ZoneId, query: Annotated[KindVisitsQuery, Query()]
    ) -> Response:
        found = resources.zones.by_id(zone).id
        _check_paths(resources, "Visits")
        asked = range_of(query, now=resources.clock())
        return _answer(request, resources, await visits(resources, found, query.kind, asked, shown_in=query.tz))

    @routes.get(
        "/v1/zones/{zone}/anomaly",
        response_model=Anomalies,
        description="What of one zone is not as it was expected: a count outside the interval of its forecast, for a "
        "quarter of an hour or more.",
        response_description="One anomaly for each kind at the most.",
        responses={**not_modified_response(), **problems(404, 503)},
    )
    async def zone_anomaly(request: Request, resources: Resources, zone: ZoneId) -> Response:
        return _answer(request, resources, await anomalies(resources, resources.zones.by_id(zone).id))

    @routes.get(
        "/v1/flows",
        response_model=Flows,
        description=f"How many {many(kinds, 'or')} went from which zone to which; as JSON, CSV, or a matrix.",
        response_description="The pairs of zones of which that may be told.",
        responses={**_as_csv(example(kinds)), **not_modified_response(), **_WITHHELD, **problems(422, 503)},
    )
    async def all_flows(request: Request, resources: Resources, query: Annotated[KindFlowsQuery, Query()]) -> Response:
        _check_paths(resources, "Flows")
        asked = range_of(query, now=resources.clock())
        body = await flows(resources, query.kind, asked, shown_in=query.tz)
        wanted = query.format or (FlowsFormat.CSV if prefers_csv(request) else FlowsFormat.JSON)
        if wanted is FlowsFormat.JSON:
            return _answer(request, resources, body, varies=True)
        if wanted is FlowsFormat.CSV:
            table = list(csv_export.rows(body))
        else:
            table = csv_export.matrix(body, [zone.id for zone in resources.zones.campus.zones])
        # Of the table, too: the order of a matrix is that of the zones, which may change without the flows.
        etag = _etag(body, wanted, *map(str, table[0]))
        headers = _headers(resources, etag, varies=True)
        if client_has(request, etag):
            return _not_modified(headers)
        return CsvAnswer(table, name=f"flows-{query.kind}", headers={**headers, **_data_headers(body)})

    return routes


def _check_paths(resources: AnalyticsResources, what: str) -> None:
    """Raise 403 where what is made of the ways of single devices is told to nobody."""
    if not resources.has_paths:
        raise withheld(
            f"{what} are made of where single devices went, and here none but released counts are told (PRIVACY). "
            "Who runs the system has them by `python -m analytics`."
        )


def _answer(request: Request, resources: AnalyticsResources, body: object, *, varies: bool = False) -> Response:
    # Of what says when it was computed: a job that has run since gives another one, and time alone does not.
    etag = _etag(body)
    headers = _headers(resources, etag, varies=varies)
    if client_has(request, etag):
        return _not_modified(headers)
    return Json(body, headers=headers)


def _etag(body: object, *variant: str) -> str:
    return etag_of(msgspec.json.encode([body, *variant]))


def _headers(resources: AnalyticsResources, etag: str, *, varies: bool) -> dict[str, str]:
    shared = "public" if resources.zones.access.public_occupancy else "private"
    vary = {"Vary": "Accept"} if varies else {}
    return {"ETag": etag, "Cache-Control": f"{shared}, no-cache", **vary}


def _not_modified(headers: Mapping[str, str]) -> Response:
    answer = not_modified(headers["ETag"], headers["Cache-Control"])
    answer.headers.update(headers)
    return answer


def _data_headers(body: Flows) -> dict[str, str]:
    given = {"Computed-At": body.computed_at, "Data-Begin": body.data_begin, "Data-End": body.data_end}
    told = {name: value for name, value in given.items() if value is not None}
    return {**told, "Recorded-Minutes": str(body.recorded_minutes)}
