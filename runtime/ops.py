"""What a service tells operators over HTTP: /healthz, /readyz and /metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from runtime.process_metrics import measure_process
from runtime.serving import serving
from runtime.settings import OpsSettings

Ready = Callable[[], Awaitable[str | None] | str | None]
"""Answers None when the service can work, or a sentence that says why it cannot; at once, or once it has looked."""


@asynccontextmanager
async def serve_ops(
    settings: OpsSettings, *, service: str, ready: Ready, registry: CollectorRegistry, remark: Ready = lambda: None
) -> AsyncIterator[None]:
    """Serve health and metrics on OPS_HOST:OPS_PORT while the context lasts; nothing where OPS_PORT is unset.

    `service` is its name in `campus_build_info`; metrics of the process are added to `registry`.
    `remark` is what /readyz says beside "ready", where there is something to be said.
    Raises BadSettingsError where the port is taken.
    """
    if settings.ops_port is None:
        yield
        return
    measure_process(registry, service, settings)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        answer = ready()
        if problem := answer if isinstance(answer, str | None) else await answer:
            return web.Response(text=f"{problem}\n", status=503)
        answer = remark()
        said = answer if isinstance(answer, str | None) else await answer
        return web.Response(text=f"ready, but {said}\n" if said else "ready\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    async with serving(runner, settings.ops_host, settings.ops_port, setting="OPS_HOST, OPS_PORT"):
        yield
