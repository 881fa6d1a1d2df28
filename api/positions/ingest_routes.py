"""POST /v1/positions: positions from devices that cannot speak MQTT."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Key, requires
from api.http.answers import Json
from api.http.dependencies import opened
from api.http.kind_words import example, ids
from api.http.kinds import Kind, known
from api.http.limits import too_many
from api.http.openapi import problems
from api.positions.ingest import Accepted, Ingest, payload_of
from core.clock import format_rfc3339
from core.errors import UnavailableError
from core.kinds import Kinds
from runtime.position_rates import cost_of

_EXAMPLE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-8.5701, 52.6741]},
    "properties": {"device_id": "bus-304", "timestamp": "2019-02-18T08:58:05Z", "accuracy": 8, "speed": 5.5},
}
_GEOJSON = {
    "schema": {
        "type": "object",
        "description": "A Feature with a Point, or a FeatureCollection of up to 500 of them. Coordinates are "
        "longitude, latitude and, if known, altitude in metres. Properties: device_id (1 to 128 characters; needed), "
        "timestamp (RFC 3339 with an offset, or epoch milliseconds; else when it was received), accuracy (m), speed "
        "(m/s), heading (degrees); others are ignored.",
        "required": ["type"],
        "properties": {
            "type": {
                "type": "string",
                "enum": ["Feature", "FeatureCollection"],
                "description": "Of which type.",
            }
        },
    },
    "example": _EXAMPLE,
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "GeoJSON, plain or in standard base64, as devices publish it: 65,536 bytes of base64, which are "
        "49,152 of GeoJSON, at the most. Which of the two it is, is seen from its first character.",
        "content": {
            "application/geo+json": _GEOJSON,
            "application/json": _GEOJSON,
            "text/plain": {
                "schema": {
                    "type": "string",
                    "contentEncoding": "base64",
                    "contentMediaType": "application/geo+json",
                    "description": "The same in base64.",
                },
                "example": base64.b64encode(json.dumps(_EXAMPLE, separators=(",", ":")).encode()).decode(),
            },
        },
    }
}


_TAKE = """Take positions of one kind of device, as a gateway that may speak for many; 202 once they are safe.

The decoder's rules are those for MQTT: what it cannot use becomes a dead letter, and its neighbours are used. To
send the same again, after a 503 or a lost answer, changes nothing that is counted. Where gateways may not send
positions of any age (POSITION_MAX_AGE), a message with one that is too old is refused as a whole, with 422."""


def router(kinds: Kinds) -> APIRouter:
    """The route, which is sent positions of one of these kinds."""
    routes = APIRouter(tags=["positions"])

    class IngestQuery(BaseModel):
        """What is sent."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Annotated[Kind, known(kinds)] = Field(
            description=f"What the devices of this message are: {ids(kinds)}.", examples=[example(kinds)]
        )

    @routes.post(
        "/v1/positions",
        status_code=202,
        response_model=Accepted,
        description=_TAKE,
        response_description="It is kept, and will be decoded.",
        responses=problems(401, 403, 413, 422, 503),
        openapi_extra=_BODY,
    )
    async def ingest_positions(
        request: Request,
        ingest: Annotated[Ingest, opened("ingest")],
        key: Annotated[Key, requires("positions:write")],
        query: Annotated[IngestQuery, Query()],
    ) -> Response:
        payload = payload_of(await request.body(), now=ingest.clock(), ages=ingest.ages)
        if problem := ingest.watch.problem:
            raise UnavailableError(problem)
        if ingest.limit is not None and (wait := ingest.limit.take(key.id, cost_of(len(payload)))):
            raise too_many(wait, "Your key sends more positions than POSITION_RATE allows to a gateway.")
        received_at = await ingest.append(payload, kind=query.kind, user=key.name)
        body = Accepted(kind=query.kind, received_at=format_rfc3339(received_at))
        return Json(body, status_code=202, headers={"Cache-Control": "no-store"})

    return routes
