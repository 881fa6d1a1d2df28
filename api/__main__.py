"""`python -m api`: the REST interface and the live map."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial

import structlog
import typer
import uvicorn

import documents
import timeseries
from api.application import create_app
from api.auth import audit_command, keys_command
from api.http.metrics import ApiMetrics
from api.http.request_id import RequestIds
from api.http.server import Http, Server, collect_less
from api.http.traced import Shown
from api.live import poller
from api.live.lease import Lease
from api.live.mirror import Mirror
from api.readiness import documents_remark, readiness_problem
from api.rooms import open_rooms
from api.settings import ApiSettings
from api.zones import FollowedCampus
from api.zones.campus import EVERY_SECONDS
from core.clock import system_clock
from core.errors import BadSettingsError
from geofence import Campus, InvalidCampusError, load_campus
from runtime import command
from runtime.devices import device_hasher
from runtime.failures import Failures
from runtime.listening import listening_socket
from runtime.ops import serve_ops
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import load_or_exit
from runtime.tracing import open_tracing
from state.client import open_redis
from state.keys_redis import open_keys_redis
from state.layout import once_agreed
from state.sealing import open_sealing
from state.server import RedisWatch
from state.traces import Notes

DRAIN_SECONDS = 2
"""How long answers in hand may take after SIGTERM; less than the runtime's own limit."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(keys_command.app, name="keys")
app.command("audit")(audit_command.show)
_log = structlog.stdlib.get_logger("api")


async def serve(settings: ApiSettings, stop: Stop) -> None:
    """Answer until `stop`. Neither Redis nor the occupancy store need be there: /readyz says what is away."""
    # Its lines about itself say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    kinds = settings.kinds()
    campus = _campus(settings)
    hasher = device_hasher(settings)
    has_keys = settings.who_is_who.rotates or settings.has_keys_redis
    metrics = ApiMetrics()
    async with (
        # Who this is may not read presence, unless counts are told as they are.
        open_redis(settings, "api-open" if settings.policy.is_open else "api") as client,
        open_keys_redis(settings, "api") if has_keys else nullcontext() as keys,
        open_sealing(settings, client, "api", is_open=settings.policy.is_open),
        # Where counts are not told as they are, this process reads none that is true.
        timeseries.open_store(settings, released=not settings.policy.is_open) as store,
        documents.open_store(settings) as positions,
        open_tracing(settings, service="api", node=settings.service_node, registry=metrics.registry) as tracing,
    ):
        failures = Failures("api", metrics.registry)
        watch = RedisWatch(
            client=client,
            registry=metrics.registry,
            limit_share=settings.redis_memory_share,
            reserve=settings.redis_reserve,
        )
        rooms = open_rooms(
            settings=settings,
            kinds=kinds,
            followed=FollowedCampus(client=client, file=campus),
            redis=client,
            watch=watch,
            store=store,
            documents=positions,
            hasher=hasher,
            metrics=metrics,
            clock=system_clock,
            keys=keys,
        )
        metrics.follow(
            kinds=kinds.ids,
            newest=lambda: rooms.occupancy.snapshots.input.newest,
            snapshot_at=lambda: rooms.live.change_log.latest.at if rooms.live.change_log.latest else None,
            clock=system_clock,
        )
        mirror = Mirror(rooms.live, Lease(client), redis=client, settings=settings) if settings.mirror else None
        traced = (tracing, Shown(Notes(client))) if tracing else None
        answers = create_app(rooms, settings=settings, metrics=metrics, traced=traced)
        config = uvicorn.Config(
            RequestIds(answers, trusted=settings.trusted_proxies),
            http=Http,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            # Who the client is, for the rate limit, is what API_TRUSTED_PROXIES say, and nobody else: see `RequestIds`.
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        ready = partial(readiness_problem, rooms, failures)

        async def answer(stop: Stop) -> None:
            server = Server(config)

            async def end() -> None:
                await stop.wait()
                server.should_exit = True

            with listening_socket(settings.api_host, settings.api_port, setting="API_HOST, API_PORT") as listener:
                _log.info("listening", url=f"http://{settings.api_host}:{settings.api_port}/", zones=len(campus.zones))
                ending = asyncio.create_task(end())
                try:
                    await server.serve(sockets=[listener])
                finally:
                    ending.cancel()

        collect_less()
        stages: dict[str, Callable[[Stop], Awaitable[None]]] = {
            "answer": answer,
            "campus": partial(rooms.zones.followed.run, every=EVERY_SECONDS),
            "poller": partial(poller.run, rooms.live),
            "redis": watch.run,
            "results": rooms.live.results.run,
        }
        if mirror:
            stages["mirror"] = mirror.run
        if traced:
            stages["traces"] = traced[1].run
        for limit in filter(None, (rooms.requests, rooms.ingest.limit)):
            stages[f"limit of {limit.name}"] = limit.run
        stages |= {
            name: once_agreed(client, settings.partitions, stages[name]) for name in stages.keys() - {"answer", "redis"}
        }

        async def remark() -> str | None:
            found = (await documents_remark(rooms), mirror.shortage if mirror else None)
            return "; ".join(filter(None, found)) or None

        failures.expects(stages)
        async with serve_ops(settings, service="api", ready=ready, remark=remark, registry=metrics.registry):
            await work_until_stopped(stages, stop, failures)
    _log.info("stopped")


def _campus(settings: ApiSettings) -> Campus:
    try:
        return load_campus(settings.campus_file)
    except InvalidCampusError as error:
        raise BadSettingsError(f"CAMPUS_FILE: {error}") from error


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Serve REST and the live map until SIGTERM; `keys` changes who may do what, `audit` shows who has read positions.

    Settings come from the environment: API_PORT, REDIS_URL, DATA_DIR, CAMPUS_FILE, TIMESERIES_STORE, ...

    Example: API_PORT=9000 python -m api, then open http://127.0.0.1:9000/ and http://127.0.0.1:9000/docs
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_or_exit(ApiSettings)
    run(lambda stop: serve(settings, stop), settings, name="api")


if __name__ == "__main__":
    command.run(app, name="api")
