"""DELETE /v1/devices/{device_id}/positions: forgetting a device."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Audit, Key, Shown, requires
from api.http.answers import Json
from api.http.dependencies import opened
from api.http.kind_words import article, example
from api.http.kinds import Kind, known
from api.http.openapi import problems
from api.http.problems import ProblemError
from api.positions.erasure import Erased, Erasure, UnfinishedError
from core.kinds import Kinds, listed

MAX_DEVICE_ID = 128
"""Characters; as the decoder has it."""


class Anything(PathConvertor):
    """An id may hold slashes, which arrive as such however they were written, and ends of lines."""

    regex = r"[\s\S]+"


register_url_convertor("anything", Anything())


def _which(kinds: Kinds) -> str:
    if len(kinds) == 1:
        return "What the device is. By default that, too: there is one kind of device."
    each = listed((article(kind.one) for kind in kinds), "and")
    several, all_ = ("two", "both") if len(kinds) == 2 else (len(kinds), "all")  # noqa: PLR2004 - "both"
    return f"What the device is: {each} of the same id are {several} devices. By default {all_}."


_FORGET = """Forget a device: its positions of all times, its marks, where it is now, and what of it could not be used.

What was counted stays. What is on its way is waited for, for some seconds; where that is not enough, or there are
very many positions, the answer is 503: all that could be reached is gone, and the same request goes on with what
is left. A device that goes on sending is known again from its next position on."""


def router(kinds: Kinds) -> APIRouter:
    """The route, which is asked for one of these kinds, or for all."""
    routes = APIRouter(tags=["devices"])

    class ErasureQuery(BaseModel):
        """Which device is meant."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Annotated[Kind, known(kinds)] | None = Field(
            default=None, description=_which(kinds), examples=[example(kinds, person=True)]
        )

    @routes.delete(
        "/v1/devices/{device_id:anything}/positions",
        response_model=Erased,
        description=_FORGET,
        response_description="All of it is gone.",
        responses=problems(401, 403, 404, 422, 503),
    )
    async def erase_device(  # noqa: PLR0917 - what FastAPI gives a route
        request: Request,
        key: Annotated[Key, requires("admin")],
        audit: Annotated[Audit, opened("audit")],
        erasure: Annotated[Erasure, opened("erasure")],
        device_id: Annotated[
            str,
            Path(
                min_length=1,
                max_length=MAX_DEVICE_ID,
                description="Id of the device as it calls itself, percent-encoded; not its hash.",
                examples=["bus-304"],
            ),
        ],
        query: Annotated[ErasureQuery, Query()],
    ) -> Response:
        # Whom it was is what is to be forgotten.
        await audit.note(request, key, {"kind": query.kind} if query.kind else {}, shown=Shown.NOTHING, given=0)
        try:
            erased = await erasure.erase(device_id, [query.kind] if query.kind else kinds.ids)
        except UnfinishedError as error:
            seconds = str(max(1, round(error.retry_after or 1)))
            raise ProblemError(
                status=503,
                type_="/docs#unavailable",
                title="A store is away",
                detail=f"Not all of it is gone yet: {error}. Repeat the request in {seconds} s.",
                headers={"Retry-After": seconds},
            ) from error
        return Json(erased, headers={"Cache-Control": "no-store"})

    return routes
