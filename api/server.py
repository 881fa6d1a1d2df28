"""uvicorn, as the API runs it: signals are the runtime's, and a stream may reach its own connection."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

GC_OBJECTS = 20_000
"""New objects, less those that have gone, after which cycles are looked for."""
_CONNECTION = "campus.connection"


def collect_less() -> None:
    """Spend less on looking for cycles; to be called once, when all is open that stays open.

    What is there by now need not be looked through, and an answer about history is hundreds of objects, none of them in
    a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)


class Server(uvicorn.Server):
    """uvicorn, without its signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class Http(H11Protocol):
    """uvicorn's HTTP/1.1, with the connection among the extensions of a request's scope.

    ASGI has no way to end a connection whose client does not read: closing one waits until all is read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        """Begin to serve one connection."""
        super().connection_made(transport)
        app = self.app

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_CONNECTION] = transport
            await app(scope, receive, send)

        self.app = with_connection


def connection_of(scope: Scope) -> asyncio.Transport | None:
    """The connection of a request; None where the server is another one, as in tests."""
    return cast("asyncio.Transport | None", scope.get("extensions", {}).get(_CONNECTION))
