"""Clients with ids of their own that publish at a steady pace, and come back when they are cut off."""

import asyncio
import random
from collections.abc import Sequence

from bench.broker.connection import HOST, LIMIT_SECONDS, BrokenError
from bench.broker.packets import CONNACK, DISCONNECT, PUBACK_BYTES, Ring, connect
from tests.conftest import eventually

BACKOFF_SECONDS = 1.0
"""A client that was cut off comes back after up to so long, by chance: not all at once."""
_RING = 1000


class Client:
    """One device: a connection that is made again whenever it is lost."""

    def __init__(self, name: str, port: int, ring: Ring, chance: random.Random) -> None:
        self.name = name
        self.local_port = 0
        self.up = asyncio.Event()
        self.lost = 0
        self.sent = 0
        self._connect = connect(name)
        self._port, self._ring, self._chance = port, ring, chance
        self._task = asyncio.create_task(self._stay())
        self._writer: asyncio.StreamWriter

    async def publish(self) -> None:
        """One position, if it is connected."""
        if self.up.is_set():
            self._writer.write(self._ring.cut(self.sent, 1))
            self.sent += 1

    async def leave(self) -> None:
        """Say goodbye, and stay away."""
        if self.up.is_set():
            self._writer.write(DISCONNECT)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _stay(self) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(HOST, self._port)
                self.local_port = self._writer.get_extra_info("sockname")[1]
                try:
                    self._writer.write(self._connect)
                    if await reader.readexactly(len(CONNACK)) != CONNACK:
                        raise BrokenError("a client was refused")
                    self.up.set()
                    while await reader.readexactly(PUBACK_BYTES):
                        pass
                finally:
                    self.up.clear()
                    self._writer.transport.abort()
            except (OSError, asyncio.IncompleteReadError):
                self.lost += 1
                await asyncio.sleep(self._chance.uniform(0, BACKOFF_SECONDS))


class Crowd:
    """Clients of a seed; `more` lets further ones come."""

    def __init__(self, port: int, seed: int) -> None:
        self.clients: list[Client] = []
        self._port = port
        self._chance = random.Random(seed)  # noqa: S311 - when somebody comes back is no secret
        self._ring = Ring("car-iotp", _RING)

    async def more(self, names: Sequence[str]) -> None:
        """Let clients of these ids connect, and wait until all are."""
        self.clients += [Client(name, self._port, self._ring, self._chance) for name in names]
        await self.all_up()

    async def all_up(self) -> None:
        """Wait until each client is connected. Raises TimeoutError."""
        async with asyncio.timeout(4 * LIMIT_SECONDS):
            for client in self.clients:
                await client.up.wait()

    @property
    def lost(self) -> int:
        """How often any of them was cut off."""
        return sum(client.lost for client in self.clients)

    async def until_lost(self, count: int) -> None:
        """Wait until they have been cut off so often."""

        async def so_often() -> bool:
            return self.lost >= count

        await eventually(so_often)

    async def publish(self, rounds: int, every: float) -> None:
        """Each client publishes `rounds` times, `every` so many seconds; clients are spread over that time."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(rounds):
            for client in self.clients:
                due += every / len(self.clients)
                await asyncio.sleep(due - loop.time())
                await client.publish()

    async def leave(self) -> None:
        """All go."""
        await asyncio.gather(*(client.leave() for client in self.clients))
        self.clients.clear()
