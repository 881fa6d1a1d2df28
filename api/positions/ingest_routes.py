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
from api.positions.ingest import Ingest, message_of
from api.positions.ingest_answers import Accepted, refused_positions
from core.clock import format_rfc3339
from core.errors import UnavailableError
from core.kinds import Kinds

_EXAMPLE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-8.5701, 52.6741]},
    "properties": {"device_id": "bus-304", "timestamp": "2019-02-18T08:58:05Z", "accuracy": 8, "speed": 5.5},
}
_OF_APPS = {
    "owntracks": {"_type": "location", "tid": "b3", "lat": 52.6741, "lon": -8.5701, "tst": 1550480285, "acc": 8},
    "traccar": {
        "device_id": "bus-304",
        "location": {
            "timestamp": "2019-02-18T08:58:05Z",
            "coords": {"latitude": 52.6741, "longitude": -8.5701, "accuracy": 8, "speed": 5.5},
        },
    },
    "overland": {
        "locations": [{**_EXAMPLE, "properties": {"device_id": "bus-304", "timestamp": "2019-02-18T08:58:05Z"}}]
    },
}
_READ = """A Feature with a Point, a FeatureCollection of up to 500 of them, or what OwnTracks, Traccar, Overland,
GPSLogger and others send (docs/formats.md). Coordinates of GeoJSON are longitude, latitude and, if known, altitude
in metres. Properties: device_id (1 to 128 characters; needed), timestamp (RFC 3339 with an offset, or a number since
1970, whose unit is told from its size; else when it was received), accuracy (m), speed (m/s), heading (degrees);
others are ignored."""
_GEOJSON = {"schema": {"type": ["object", "array"], "description": _READ}, "example": _EXAMPLE}
_JSON = {
    "schema": {"type": ["object", "array"], "description": _READ},
    "examples": {"geojson": {"value": _EXAMPLE}, **{name: {"value": value} for name, value in _OF_APPS.items()}},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A message, as devices publish it: JSON, plain, in base64 of any kind, or in gzip; 65,536 bytes "
        "at the most, and as many once it is decoded. Which of these it is, is seen from what it holds, not from its "
        "Content-Type. Content-Encoding may be gzip.",
        "content": {
            "application/geo+json": _GEOJSON,
            "application/json": _JSON,
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

The rules are those for MQTT, by the same function: what may be sent there may be sent here. A position that cannot be
used is named, with the reason: in the 202 where others of the message are taken, and else in a 422, and then nothing is
kept. OwnTracks and Overland, which send the same until it is taken, have a 202 in its place, with `taken` 0. Whether a
position is on the campus no answer tells. To send the same again, after a 503 or a lost answer, changes nothing that is
counted."""


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
        responses=problems(401, 403, 413, 415, 422, 503),
        openapi_extra=_BODY,
    )
    async def ingest_positions(
        request: Request,
        ingest: Annotated[Ingest, opened("ingest")],
        key: Annotated[Key, requires("positions:write")],
        query: Annotated[IngestQuery, Query()],
    ) -> Response:
        payload = message_of(await request.body(), request.headers.get("content-encoding", ""))
        if problem := ingest.watch.problem:
            raise UnavailableError(problem)
        # Before it is read, which is what costs.
        if wait := ingest.wait_of(payload, key.id):
            raise too_many(wait, "Your key sends more positions than POSITION_RATE allows to a gateway.")
        found = ingest.read(payload)
        # What holds no position at all would only be thrown away; what cannot be used becomes dead letters.
        if found.taken or found.refused:
            user = ingest.sender(key.id, key.name)
            await ingest.append(payload, kind=query.kind, user=user, received_at=found.received_at)
        body = Accepted(
            kind=query.kind,
            received_at=format_rfc3339(found.received_at),
            taken=found.taken,
            ignored=found.ignored,
            refused=refused_positions(found.refused),
        )
        return Json(body, status_code=202, headers={"Cache-Control": "no-store"})

    return routes
