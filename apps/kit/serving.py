"""The REST side of a version: its newest update, its health, and a measure that a canary may compare."""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Response

from apps.kit.updates import Updates, Version

JSON = "application/json"


class Measure:
    """How many seconds old the updates were that people got: lower is better. Sums, so that others can subtract."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.sum_of_squares = 0.0

    def add(self, value: float) -> None:
        """Count one more value."""
        self.count += 1
        self.sum += value
        self.sum_of_squares += value * value


def application(
    version: Version, updates: Updates, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> FastAPI:
    """`GET /apps/{app}/latest`, `/healthz` and `/measure`."""
    served = FastAPI(title=f"{version.app} {version.version}", docs_url=None, redoc_url=None, openapi_url=None)
    measure = Measure()

    @served.get(f"/apps/{version.app}/latest")
    async def latest() -> Response:
        update = updates.latest
        if update is None:
            return Response(f"{version.app} has nothing to say yet: {updates.problem}\n", 503, media_type="text/plain")
        measure.add((now() - update.made_at).total_seconds())
        return Response(update.body(version), media_type=JSON, headers={"Cache-Control": "no-store"})

    @served.get("/healthz")
    async def healthz() -> Response:
        if updates.latest is None:
            return Response(f"{updates.problem}\n", 503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    @served.get("/measure")
    async def measured() -> dict[str, float]:
        return {"count": measure.count, "sum": measure.sum, "sum_of_squares": measure.sum_of_squares}

    return served
