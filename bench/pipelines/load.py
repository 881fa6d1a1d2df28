"""Devices that publish at a steady rate by the clock, whatever comes back, and know what was acknowledged."""

import asyncio
import base64
import json
import struct
from collections.abc import Callable
from typing import Self

from bench.broker.connection import HOST, LIMIT_SECONDS
from bench.broker.packets import CONNACK, PUBACK_BYTES, connect, publish

PLACE = (-8.5690, 52.6777)
"""Longitude and latitude of a place in a building of the campus that the product brings."""
START_SECONDS = 60.0
_IDS = 65_535
_TICK_SECONDS = 0.01


class Load:
    """Some connections that share the messages. Each message is a position of its own: a device and a time."""

    def __init__(self, port: int, topic: str, first_ms: int, connections: int = 10) -> None:
        """`first_ms` is the time of the first position, in ms since the epoch; each is a millisecond later."""
        self.acknowledged = 0
        self.sent = 0
        self._port, self._topic, self._first, self._count = port, topic, first_ms, connections
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        self._connections = [_Connection(self._port, f"load-{number}", self._heard) for number in range(self._count)]
        for connection in self._connections:
            await connection.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            await connection.close()

    async def restart(self, first_ms: int) -> None:
        """Wait for what is under way, and count from nothing, with other times."""
        await self.settled()
        self.sent = self.acknowledged = 0
        self._first = first_ms

    async def run(self, rate: float, seconds: float) -> None:
        """Send for so long; a server that stalls finds more waiting, not less."""
        loop = asyncio.get_running_loop()
        started, begun = loop.time(), self.sent
        while (now := loop.time() - started) < seconds:
            while self.sent - begun < now * rate:
                self.send()
            await asyncio.sleep(_TICK_SECONDS)

    def send(self) -> None:
        """One position now."""
        number = self.sent
        self.sent += 1
        payload = position(f"phone-{number % 1000}", self._first + number)
        self._connections[number % len(self._connections)].send(self._topic, payload)

    async def settled(self) -> None:
        """Wait until all that was sent is acknowledged. Raises TimeoutError."""
        async with asyncio.timeout(2 * LIMIT_SECONDS):
            for connection in self._connections:
                await connection.settled()

    def _heard(self, count: int) -> None:
        self.acknowledged += count


def position(device: str, at: int) -> bytes:
    """Base64 of one feature at `PLACE`; `at` is ms since the epoch."""
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": PLACE},
        "properties": {"device_id": device, "timestamp": at, "accuracy": 4.5},
    }
    return base64.b64encode(json.dumps(feature).encode())


class _Connection:
    def __init__(self, port: int, name: str, heard: Callable[[int], None]) -> None:
        self._port, self._connect, self._heard = port, connect(name), heard
        self._under_way: set[int] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._next = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None]

    async def open(self) -> None:
        """Connect; what is in front of brokers may be up before they are. Raises TimeoutError."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._opened():  # noqa: ASYNC110 - brokers set no event of ours
                await asyncio.sleep(0.1)
        self._task = asyncio.create_task(self._listen())

    async def _opened(self) -> bool:
        try:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
            self._writer.write(self._connect)
            return await self._reader.readexactly(len(CONNACK)) == CONNACK
        except (OSError, asyncio.IncompleteReadError):
            return False

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.transport.abort()

    def send(self, topic: str, payload: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionError("the broker closed a connection")
        self._next = self._next % _IDS + 1
        if self._next in self._under_way:
            raise ConnectionError("65,535 messages of one connection were not acknowledged")
        self._under_way.add(self._next)
        self._none.clear()
        self._writer.write(publish(topic, payload, packet_id=self._next))

    async def settled(self) -> None:
        await self._none.wait()

    async def _listen(self) -> None:
        rest = b""
        while data := await self._reader.read(65_536):
            rest += data
            whole = len(rest) // PUBACK_BYTES * PUBACK_BYTES
            before = len(self._under_way)
            self._under_way -= {struct.unpack_from("!H", rest, start + 2)[0] for start in range(0, whole, PUBACK_BYTES)}
            self._heard(before - len(self._under_way))
            rest = rest[whole:]
            if not self._under_way:
                self._none.set()
        raise ConnectionError("the broker closed a connection")
