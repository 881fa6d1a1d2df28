"""uvicorn, as the API runs it: signals are the runtime's, and a stream may reach its own connection."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import h11
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

GC_OBJECTS = 20_000
"""New objects, less those that have gone, after which cycles are looked for."""
LINGER_SECONDS = 2.0
"""How long what a client still sends is thrown away after an answer that did not wait for it."""
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
        self.transport = _Lingering(transport, self.conn)
        app = self.app

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_CONNECTION] = transport
            await app(scope, receive, send)

        self.app = with_connection

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; where that is in the middle of a body, in the place of the application."""
        if self.cycle is not None and not self.cycle.response_complete:
            # It learns that the client has gone, and what it still sends is thrown away: one request has one answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()


class _Lingering(asyncio.Transport):
    """A transport that closes in stages where a client has been answered before it had sent all (RFC 9112, 9.6).

    Closed at once, with bytes that nobody has read, a TCP connection is reset, and the answer is lost on its way.
    """

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection) -> None:
        super().__init__()
        self._transport = transport
        self._conn = conn
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        if self._conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            self._transport.close()
            return
        protocol = cast("asyncio.Protocol", self._transport.get_protocol())
        self._transport.set_protocol(_Leftover(self._transport, protocol))
        self._transport.resume_reading()
        self._transport.write_eof()


class _Leftover(asyncio.Protocol):
    """Throws away what still comes, until the client ends the connection or its time is up."""

    def __init__(self, transport: asyncio.Transport, before: asyncio.Protocol) -> None:
        self._before = before
        self._end = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._before.connection_lost(exc)


def connection_of(scope: Scope) -> asyncio.Transport | None:
    """The connection of a request; None where the server is another one, as in tests."""
    return cast("asyncio.Transport | None", scope.get("extensions", {}).get(_CONNECTION))
