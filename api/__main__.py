"""`python -m api`: the REST interface and the live map."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
import uvicorn

from api.application import create_app
from api.metrics import ApiMetrics
from api.settings import ApiSettings
from api.state import State
from core.clock import system_clock
from core.errors import BadSettings
from core.listening import listening_socket
from core.redis import open_redis
from core.runtime import Stop, run, work_until_stopped
from core.settings import load_or_exit
from geofence import Campus, InvalidCampus, load_campus
from timeseries import open_store

DRAIN_SECONDS = 2
"""How long answers in hand may take after SIGTERM; less than the runtime's own limit."""

app = typer.Typer(add_completion=False, help=__doc__)
_log = structlog.stdlib.get_logger("api")


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers: signals are the runtime's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: ApiSettings, stop: Stop) -> None:
    """Answer until `stop`. Neither Redis nor the occupancy store need be there: /readyz says what is away."""
    # Its lines about itself say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    campus = _campus(settings)
    async with open_redis(settings) as client, open_store(settings) as store:
        state = State(
            settings=settings, campus=campus, redis=client, store=store, metrics=ApiMetrics(), clock=system_clock
        )
        server = _Server(
            uvicorn.Config(
                create_app(state),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        with listening_socket(settings.api_host, settings.api_port, setting="API_HOST, API_PORT") as listener:

            async def answer(_: Stop) -> None:
                await server.serve(sockets=[listener])

            async def end(stop: Stop) -> None:
                await stop.wait()
                server.should_exit = True

            _log.info("listening", url=f"http://{settings.api_host}:{settings.api_port}/", zones=len(campus.zones))
            await work_until_stopped({"answer": answer, "end": end}, stop)
    _log.info("stopped")


def _campus(settings: ApiSettings) -> Campus:
    try:
        return load_campus(settings.campus_file)
    except InvalidCampus as error:
        raise BadSettings(f"CAMPUS_FILE: {error}") from error


@app.command()
def main() -> None:
    """Serve REST and the live map until SIGTERM.

    Settings come from the environment: API_PORT, REDIS_URL, DATA_DIR, CAMPUS_FILE, TIMESERIES_STORE, ...

    Example: API_PORT=9000 python -m api, then open http://127.0.0.1:9000/ and http://127.0.0.1:9000/docs
    """
    settings = load_or_exit(ApiSettings)
    run(lambda stop: serve(settings, stop), settings)


if __name__ == "__main__":
    app()
