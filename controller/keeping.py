"""The keeper as a process: Toxiproxy, a small API for the controller, and servers that answer a status."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from pydantic import Field, field_validator

from controller.keeper import Keeper, KeptFault, Place, places_of
from controller.toxiproxy import running_toxiproxy
from core.closed_connection import told_as_os_error
from core.errors import UnavailableError
from core.faults import MAX_FAULTS, STATUSES, Fault, problems_of
from core.unreadable import UNREADABLE
from runtime.service import Stop
from runtime.serving import serving
from runtime.settings import CommonSettings, Port

MAX_BODY = 65_536
_READ_BYTES = 65_536
_READ_SECONDS = 5.0


class KeeperSettings(CommonSettings):
    """Where the keeper stands."""

    keeper_host: str = Field(default="127.0.0.1", description="Address of its API, for the controller alone.")
    keeper_port: Port = Field(default=8475, description="Port of its API.")
    toxiproxy: Path = Field(default=Path("toxiproxy-server"), description="The program of Toxiproxy.")
    toxiproxy_port: Port = Field(default=8474, description="Port of Toxiproxy's own API, on the loopback network.")
    faults_proxies: str = Field(
        description="Between what it stands: decoder>redis=0.0.0.0:16379=redis:6379, joined by commas: the two parts, "
        "where the first finds it, and where the second is."
    )

    @field_validator("faults_proxies")
    @classmethod
    def _are_places(cls, value: str) -> str:
        places_of(value)
        return value

    def places(self) -> dict[str, Place]:
        """FAULTS_PROXIES."""
        return places_of(self.faults_proxies)


async def keep(settings: KeeperSettings, stop: Stop) -> None:
    """Keep faults until `stop`. Raises UnavailableError where Toxiproxy ends, or does not do as it is told."""
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession())
        statuses = {status: await resources.enter_async_context(answering(status)) for status in STATUSES}
        toxiproxy, ended = await resources.enter_async_context(
            running_toxiproxy(str(settings.toxiproxy), session, port=settings.toxiproxy_port)
        )
        keeper = Keeper(toxiproxy, settings.places(), statuses=statuses, monotonic=time.monotonic)
        await resources.enter_async_context(_api(keeper, settings))
        running = [asyncio.ensure_future(keeper.run()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait([*running, ended], return_when=asyncio.FIRST_COMPLETED)
            if running[0].done():
                await running[0]
            if ended.done() and not stop.is_set():
                raise UnavailableError(f"Toxiproxy has ended with {ended.result()}: so does its keeper")
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def _api(keeper: Keeper, settings: KeeperSettings) -> AsyncIterator[None]:
    """`GET` and `PUT /faults`, and `/healthz`. PUT answers those that cannot be made; all others are."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def told(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(keeper.faults()), content_type="application/json")

    async def put(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            faults = msgspec.json.decode(body, type=list[KeptFault])
        except UNREADABLE as error:
            return web.Response(text=f"these are no faults: {error}\n", status=422)
        if wrong := problems_of([_as_asked(fault) for fault in faults[: MAX_FAULTS + 1]]):
            return web.Response(text="".join(f"{each}\n" for each in wrong), status=422)
        return web.Response(body=msgspec.json.encode(keeper.want(faults)), content_type="application/json")

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes([web.get("/healthz", healthz), web.get("/faults", told), web.put("/faults", put)])
    runner = web.AppRunner(app, access_log=None)
    async with serving(runner, settings.keeper_host, settings.keeper_port, setting="KEEPER_HOST, KEEPER_PORT"):
        yield


def _as_asked(fault: KeptFault) -> Fault:
    """The same as whoever asked for it wrote it, to be checked by the same rules."""
    values = msgspec.structs.asdict(fault)
    del values["seconds_left"]
    return Fault(**values, until=0, by="")


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[str]:
    """A server that answers every request over HTTP with a status; its `host:port`."""
    body = b"a fault on purpose\n"
    fields = ("Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close")
    head = "\r\n".join((f"HTTP/1.1 {status} Fault", *fields, "", ""))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await reader.read(_READ_BYTES)
                with told_as_os_error():
                    writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
