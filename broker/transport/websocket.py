"""MQTT over WebSocket (MQTT 3.1.1, 6): a connection sees what the frames carry as if it came over TCP."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import cast

from broker.transport import websocket_frames as frames
from broker.transport.relay import Relay
from broker.transport.websocket_frames import FrameReader
from broker.transport.websocket_handshake import HandshakeRefusedError, accept, split_request

CLOSE_SECONDS = 5.0
"""How long the last bytes may take to leave, and the client to answer our closing frame."""


class _State(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    CLOSING = auto()
    """We have said good-bye, and the client has not."""
    OVER = auto()
    """Nothing that comes is looked at, and nothing more is written."""


class WebSocketProtocol(Relay, asyncio.Protocol):
    """To the socket below it a protocol, to the connection above it a transport.

    The connection is there before the handshake, so that the limits on connections and on the time to CONNECT hold for
    that, too.
    """

    __slots__ = ("_frames", "_inner", "_rest", "_state", "_timer")

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._inner = factory()
        self._frames: FrameReader | None = None
        self._rest = b""
        self._state = _State.HANDSHAKE
        self._timer: asyncio.TimerHandle | None = None

    # --- the protocol of the socket -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client that has yet to ask for WebSocket."""
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(cast("asyncio.BaseTransport", self))

    def data_received(self, data: bytes) -> None:
        """Bytes of HTTP, or of frames."""
        if self._state is _State.HANDSHAKE:
            data = self._shake_hands(data)
        if data and self._frames is not None and self._state is not _State.OVER:
            self._feed(self._frames, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._state = _State.OVER
        if self._timer is not None:
            self._timer.cancel()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._inner.resume_writing()

    # --- the transport of the connection ------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes in a frame of their own."""
        if self._state is _State.OPEN:
            self._transport.write(frames.binary(data))

    def close(self) -> None:
        """Say good-bye, and leave when the client has answered, or has taken too long."""
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._transport.write(frames.closing(frames.NORMAL))
            self._limit_time()
            # The answer has to be read, also where nothing else was.
            self._transport.resume_reading()
        elif self._state is _State.HANDSHAKE:
            self._leave(b"")

    def abort(self) -> None:
        """Close at once."""
        self._state = _State.OVER
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._state is not _State.OPEN or self._transport.is_closing()

    # --- what comes of it ---------------------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> bytes:
        """The frames that came along with the end of the request."""
        self._rest += data
        try:
            found = split_request(self._rest)
            if found is None:
                return b""
            request, self._rest = found[0], b""
            answer = accept(request)
        except HandshakeRefusedError as refused:
            self._rest = b""
            self._leave(refused.answer)
            return b""
        self._transport.write(answer)
        self._frames = FrameReader()
        self._state = _State.OPEN
        return found[1]

    def _feed(self, reader: FrameReader, data: bytes) -> None:
        fed = reader.feed(data)
        if fed.payload and self._state is _State.OPEN:
            self._inner.data_received(fed.payload)
        if fed.close is not None:
            # After our own closing frame none follows (RFC 6455, 5.5.1).
            self._leave(frames.closing(fed.close) if self._state is _State.OPEN else b"")
        elif fed.ping is not None and self._state is _State.OPEN:
            self._transport.write(frames.pong(fed.ping))

    def _leave(self, last: bytes) -> None:
        if self._state is _State.OVER:
            return
        self._state = _State.OVER
        if last:
            self._transport.write(last)
        self._transport.close()
        self._limit_time()

    def _limit_time(self) -> None:
        # A client that reads nothing would keep what was written last, and its socket, for ever.
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
