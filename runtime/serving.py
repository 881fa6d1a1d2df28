"""An HTTP server of aiohttp that listens while a context lasts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from runtime.listening import listening_socket


@asynccontextmanager
async def serving(
    runner: web.ServerRunner | web.AppRunner, host: str, port: int, *, setting: str
) -> AsyncIterator[None]:
    """Serve what `runner` has on an address; `setting` names the variables that say which.

    Raises BadSettingsError where the port is taken.
    """
    with listening_socket(host, port, setting=setting) as listener:
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()
