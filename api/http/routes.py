"""/healthz: for the proxy in front. All else for those who run the API is on a port of its own (`runtime.ops`)."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

router = APIRouter(tags=["operations"], default_response_class=PlainTextResponse)


@router.get("/healthz", response_description="It does: ok.")
async def healthz() -> Response:
    """Whether the process works at all."""
    return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})
