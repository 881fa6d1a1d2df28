"""/v1/events: occupancy as it changes, as server-sent events."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Scope, public_occupancy
from api.http.kind_words import example_count
from api.http.openapi import problems
from api.live import sse
from api.live.dependencies import Resources
from api.live.events import EventStream
from core.errors import UnavailableError
from core.kinds import Kinds

MAX_ZONES = 1000

_EXAMPLE = """retry: 2000

event: snapshot
id: 5f0a9c1e-41
data: {"last_updated":"2026-03-02T10:15:00.250Z","ttl":1,"zones":[...]}

event: occupancy
id: 5f0a9c1e-42
data: {"zone":"kemmy","name":"Kemmy Business School","category":"building",%s,...}

: heartbeat

"""
# As OpenAPI 3.2 has it, and FastAPI writes it: each event by itself, for the stream has no end.
_EVENT = {
    "type": "object",
    "description": "One event.",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {
            "type": "string",
            "enum": ["snapshot", "occupancy", "zones", "anomaly", "stale", "fresh"],
            "description": "What it tells of.",
            "examples": ["occupancy"],
        },
        "id": {"type": "string", "description": "What Last-Event-ID resumes from.", "examples": ["5f0a9c1e-42"]},
        "data": {"type": "string", "description": "JSON, on one line.", "examples": ['{"version":"0f3c9a"}']},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back.", "examples": [2000]},
    },
}


def _stream(counts: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of the stream; `counts` are those of a zone, as members of its JSON."""
    content = {sse.MEDIA_TYPE: {"itemSchema": _EVENT, "example": _EXAMPLE % counts}}
    return {200: {"description": "The stream. It has no end.", "content": content}}


class EventsQuery(BaseModel):
    """What to follow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: list[str] = Field(
        default=[],
        max_length=MAX_ZONES,
        description="Ids of the zones to follow, one `zone=` each; all of them unless given.",
        examples=[["kemmy", "car-park-west"]],
    )


async def events(
    request: Request,
    resources: Resources,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[
        str | None,
        Header(
            description="The id of the last event that you have seen: what you missed comes first, if it is still "
            "there, and a snapshot if not. Browsers send it by themselves.",
            examples=["5f0a9c1e-41"],
        ),
    ] = None,
) -> Response:
    """Follow the occupancy of all zones, or of some, as server-sent events.

    The first event is a `snapshot`, the same JSON as GET /v1/occupancy has. Then comes an `occupancy` with the JSON of
    one zone whenever something about it changes but the time, and `zones` when the campus has other zones than before.
    `anomaly` has the JSON of GET /v1/zones/{zone}/anomaly, whenever that has changed.
    `stale` says that the counts cannot be read at present and are those of `last_updated`, and `fresh` that they can
    again. A client that does not read is cut off.
    """
    zones = frozenset(resources.zones.by_id(zone).id for zone in query.zone) or None
    if resources.change_log.latest is None:
        raise UnavailableError("nobody has looked at the zones yet")
    access = resources.zones.access
    return EventStream(
        resources.change_log,
        resources.metrics,
        zones=zones,
        last_event_id=last_event_id,
        heartbeat=resources.heartbeat,
        most=resources.most,
        share=resources.share,
        allowed=None if access.public_occupancy else lambda: access.check(request, Scope.OCCUPANCY_READ),
    )


def router(kinds: Kinds) -> APIRouter:
    """The route, whose events have a member for each kind."""
    routes = APIRouter(tags=["occupancy"], dependencies=[public_occupancy])
    stream = _stream(",".join(f'"{kind.id}":{example_count(kind)}' for kind in kinds))
    routes.get("/v1/events", response_class=Response, responses={**stream, **problems(401, 404, 422, 503)})(events)
    return routes
