"""The peer: a FastAPI endpoint that gives the same bytes each time, served as the API is.

python -m bench.api.constant PORT BYTES               FastAPI alone
python -m bench.api.constant PORT BYTES --middlewares  with those that every request to the API passes
"""

import time
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.middleware import Middleware
from starlette.responses import Response

from api.auth import Access, Keys
from api.http.head_middleware import HeadAsGet
from api.http.limits import BodyLimited, RateLimited
from api.http.metrics import ApiMetrics, Measured
from api.http.problems import Defects
from api.http.server import Http, Server, collect_less
from core.clock import system_clock
from runtime.buckets import Buckets
from runtime.listening import listening_socket
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import CommonSettings

PATH = "/constant"
MAX_BODY = 1024 * 1024


def main(
    port: Annotated[int, typer.Argument(help="Where to listen.")],
    size: Annotated[int, typer.Argument(help="Bytes of the body.")],
    *,
    middlewares: Annotated[bool, typer.Option("--middlewares", help="Those of the API before it.")] = False,
) -> None:
    """Serve the constant until SIGTERM."""
    run(lambda stop: _serve(port, size, stop, middlewares=middlewares), CommonSettings(log_level="warning"), name="api")


async def _serve(port: int, size: int, stop: Stop, *, middlewares: bool) -> None:
    app = FastAPI(middleware=_middlewares() if middlewares else None)
    body = b'"%b"' % (b"x" * (size - 2))

    @app.get(PATH)
    async def constant() -> Response:
        return Response(body, media_type="application/json")

    # As in api/__main__.py.
    server = Server(
        uvicorn.Config(
            app, http=Http, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False
        )
    )
    with listening_socket("127.0.0.1", port, setting="PORT") as listener:

        async def answer(_: Stop) -> None:
            await server.serve(sockets=[listener])

        async def end(stop: Stop) -> None:
            await stop.wait()
            server.should_exit = True

        collect_less()
        await work_until_stopped({"answer": answer, "end": end}, stop)


def _middlewares() -> list[Middleware]:
    # As in api/application.py; no request has a key, so nobody is asked for one.
    access = Access(keys=Keys(Redis(), clock=system_clock), public_occupancy=True)
    buckets = Buckets(rate=1_000_000, burst=1_000_000, seconds=time.monotonic)
    return [
        Middleware(HeadAsGet),
        Middleware(Measured, metrics=ApiMetrics()),
        Middleware(Defects),
        Middleware(RateLimited, take=buckets.take, whose=access.client_of),
        Middleware(BodyLimited, most=MAX_BODY),
    ]


if __name__ == "__main__":
    typer.run(main)
