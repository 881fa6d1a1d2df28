"""A load over MQTT: QoS 1, each connection with as much under way as is due. Bytes of its own: a library costs more."""

import asyncio
import secrets
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from simulator.load.frames import Frames, UpgradeError, framed
from simulator.load.measured import Measured
from simulator.login import Login

CONNECT_SECONDS = 20.0
GOODBYE_SECONDS = 2.0
"""What is still to be written has so long at the end."""
KEEP_ALIVE_SECONDS = 600
_CONNACK, _PUBACK = 0x20, 0x40
_IDS = 65_535
_CONNECTING_AT_ONCE = 20


class Message(NamedTuple):
    """What is published."""

    topic: str
    payload: bytes


class LoadError(Exception):
    """The load cannot begin; the message is one sentence."""


class MqttLoad:
    """Connections to one server. `elapsed` is the load's clock, seconds."""

    def __init__(self, messages: Sequence[Message], measured: Measured, elapsed: Callable[[], float]) -> None:
        """`messages` are sent in turn, again and again."""
        self._packets = [_publish(message) for message in messages]
        self._measured = measured
        self._elapsed = elapsed
        self._connections: list[_Connection] = []

    async def open(
        self,
        count: int,
        *,
        host: str,
        port: int,
        login: Login,
        tls: ssl.SSLContext | None = None,
        websocket: bool = False,
    ) -> None:
        """Connect so often; nothing stays open where that fails. Raises LoadError.

        `tls` says whom to trust, where the server speaks TLS; over WebSocket its path is `/mqtt`.
        """
        try:
            await self._open(count, host=host, port=port, login=login, tls=tls, websocket=websocket)
        except BaseException:
            await self._end()
            raise

    async def _open(
        self, count: int, *, host: str, port: int, login: Login, tls: ssl.SSLContext | None, websocket: bool
    ) -> None:
        turn = asyncio.Semaphore(_CONNECTING_AT_ONCE)

        async def one() -> None:
            async with turn:
                frames = Frames(f"{host}:{port}") if websocket else None
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._measured, self._elapsed, frames), host, port, ssl=tls
                )
                self._connections.append(connection)
                connection.begin(login)
                await connection.let_in

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                async with asyncio.TaskGroup() as group:
                    for _ in range(count):
                        group.create_task(one())
        except TimeoutError as error:
            raise LoadError(
                f"MQTT at {host}:{port} has not let {count} connections in within {CONNECT_SECONDS:g} s"
            ) from error
        except ExceptionGroup as errors:
            first = errors.exceptions[0]
            if not isinstance(first, OSError | LoadError):
                raise
            raise LoadError(f"MQTT at {host}:{port}: {first}") from first

    def send(self, number: int, due: float) -> None:
        """Publish a message now, whatever is still under way."""
        head, tail = self._packets[number % len(self._packets)]
        self._connections[number % len(self._connections)].publish(head, tail, due)

    @property
    def under_way(self) -> int:
        """Messages without an answer."""
        return sum(len(connection.waiting) for connection in self._connections)

    async def close(self) -> None:
        """End all connections; what has no answer is told as that."""
        now = self._elapsed()
        for connection in self._connections:
            for due in connection.waiting.values():
                self._measured.was_not_answered(due, now)
        await self._end()

    async def _end(self) -> None:
        for connection in self._connections:
            connection.end()
        # A server that reads nothing more must not keep what is still to be written, and the connection with it.
        if self._connections:
            ended = [connection.ended for connection in self._connections]
            await asyncio.wait(ended, timeout=GOODBYE_SECONDS)
            for connection in self._connections:
                connection.abort()
            await asyncio.wait(ended, timeout=GOODBYE_SECONDS)


class _Connection(asyncio.Protocol):
    def __init__(self, measured: Measured, elapsed: Callable[[], float], frames: Frames | None) -> None:
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once nothing is left of the connection."""
        self.waiting: dict[int, float] = {}
        """When each message was due, by packet id."""
        self._measured = measured
        self._elapsed = elapsed
        self._frames = frames
        self._first = b""
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._next = 0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Other loops have transports of their own, which do not inherit from this one.
        self._transport = cast("asyncio.Transport", transport)

    def begin(self, login: Login) -> None:
        if self._frames is None:
            self._write(_connect(login))
        elif self._transport is not None:
            self._first = _connect(login)
            self._transport.write(self._frames.request)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data if self._frames is None else framed(data))

    def publish(self, head: bytes, tail: bytes, due: float) -> None:
        now = self._elapsed()
        self._measured.was_sent(due, now)
        if self._transport is None or self._transport.is_closing() or len(self.waiting) >= _IDS:
            self._measured.was_not_answered(due, now)
            return
        self._next = self._next % _IDS + 1
        while self._next in self.waiting:
            self._next = self._next % _IDS + 1
        self.waiting[self._next] = due
        self._write(head + struct.pack("!H", self._next) + tail)

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            data = self._unframed(self._frames, data)
        received = self._received + data
        now = self._elapsed()
        # Answers to a publisher have two bytes after their length, or none.
        start = 0
        while start + 2 <= len(received) and start + 2 + received[start + 1] <= len(received):
            kind, body = received[start] & 0xF0, received[start + 2 : start + 2 + received[start + 1]]
            start += 2 + received[start + 1]
            if kind == _PUBACK:
                due = self.waiting.pop(int.from_bytes(body[:2]), None)
                if due is not None:
                    self._measured.was_answered(due, now, "PUBACK")
            elif kind == _CONNACK and not self.let_in.done():
                if body[1:2] == b"\0":
                    self.let_in.set_result(None)
                else:
                    self.let_in.set_exception(LoadError(f"refuses the connection with code {body[1]}"))
        self._received = received[start:]

    def _unframed(self, frames: Frames, data: bytes) -> bytes:
        was_open = frames.open
        try:
            content = frames.taken(data)
        except UpgradeError as error:
            if not self.let_in.done():
                self.let_in.set_exception(LoadError(str(error)))
            self.abort()
            return b""
        if frames.open and not was_open:
            self._write(self._first)
        if frames.pongs and self._transport is not None:
            self._transport.write(frames.pongs)
            frames.pongs = b""
        return content

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(None)
        if self.let_in.cancelled():
            return
        if not self.let_in.done():
            self.let_in.set_exception(LoadError("the connection is closed before it is answered"))
        if self._closing:
            return
        self._measured.broken[str(error) if error else "closed by the server"] += 1
        now = self._elapsed()
        for due in self.waiting.values():
            self._measured.was_not_answered(due, now)
        self.waiting.clear()

    def end(self) -> None:
        self._closing = True
        self._write(b"\xe0\0")
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _connect(login: Login) -> bytes:
    flags, fields = 0x02, _text(f"load-{secrets.token_hex(6)}".encode())
    if login.username is not None:
        flags |= 0x80
        fields += _text(login.username.encode())
    if login.password is not None:
        flags |= 0x40
        fields += _text(login.password.encode())
    body = _text(b"MQTT") + bytes([4, flags]) + struct.pack("!H", KEEP_ALIVE_SECONDS) + fields
    return b"\x10" + _length(len(body)) + body


def _publish(message: Message) -> tuple[bytes, bytes]:
    """A PUBLISH at QoS 1 before and after its packet id."""
    topic = _text(message.topic.encode())
    return b"\x32" + _length(len(topic) + 2 + len(message.payload)) + topic, message.payload


def _text(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _length(number: int) -> bytes:
    found = bytearray()
    while True:
        number, digit = divmod(number, 128)
        found.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(found)
