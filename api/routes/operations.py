"""/healthz, /readyz and /metrics: for those who run the API."""

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from starlette.responses import PlainTextResponse, Response

from api.state import Resources, State
from core.errors import Unavailable
from core.messages import Kind
from timeseries import Width

PROBE_SECONDS = 2.0
_FRESH = {"Cache-Control": "no-store"}

router = APIRouter(tags=["operations"], default_response_class=PlainTextResponse)


@router.get("/healthz", response_description="It does: ok.")
async def healthz() -> Response:
    """Whether the process works at all."""
    return PlainTextResponse("ok\n", headers=_FRESH)


@router.get(
    "/readyz",
    response_description="It can: ready.",
    responses={503: {"description": "It cannot; the text says why.", "content": {"text/plain": {}}}},
)
async def readyz(state: Resources) -> Response:
    """Whether every answer can be given: Redis and the occupancy store are there."""
    answers = await asyncio.gather(_redis_problem(state), _store_problem(state))
    problems = [text for text in answers if text]
    return PlainTextResponse(
        f"{'; '.join(problems) or 'ready'}\n", status_code=503 if problems else 200, headers=_FRESH
    )


@router.get("/metrics", response_description="The metrics.")
async def metrics(state: Resources) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(generate_latest(state.metrics.registry), headers={**_FRESH, "Content-Type": CONTENT_TYPE_LATEST})


async def _redis_problem(state: State) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await state.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return "Redis does not answer"
    return None


async def _store_problem(state: State) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await state.store.extent(state.campus.boundary.id, Kind.CAR, Width.MINUTE)
    except (Unavailable, TimeoutError):
        return "the occupancy store does not answer"
    return None
