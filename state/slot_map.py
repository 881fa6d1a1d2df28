"""Which master of a Redis Cluster has which slot, and the connections to each of them.

The map is one server's view (CLUSTER SLOTS). It is asked for again, of whichever server answers first, once something
says that it is not right any more: a master that does not answer, MOVED, CLUSTERDOWN. What MOVED says itself is noted
at once. Nothing here waits for a cluster to become whole: callers do, and each of their attempts looks again.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any, cast

from redis.exceptions import ResponseError

from state.address import Host
from state.calls import ERRORS, Client, Pool
from state.codes import RedisUnavailableError, unavailable
from state.slots import SLOTS

ASK_SECONDS = 1.0
"""How long one server may take to tell its map, before the next is asked."""
NOT_OFTENER_SECONDS = 0.1
"""How long a map is left alone after it was read, whatever is said about it."""


class Master:
    """One master, and the connections to it."""

    def __init__(self, host: Host, pool: Pool) -> None:
        self.host = host
        self.pool = pool
        self.client = Client(connection_pool=pool)
        """Raises UnavailableError by itself, as every client of ours does."""


class SlotMap:
    """The masters of a cluster, by slot."""

    def __init__(self, *, seeds: Iterable[Host], pool: Callable[[str, int], Pool]) -> None:
        """`seeds` are some of its servers, masters or not; `pool` makes the connections to a host and port."""
        self._seeds = tuple(seeds)
        self._pool = pool
        self._masters: dict[Host, Master] = {}
        self._slots: list[Host | None] = [None] * SLOTS
        self._servers: list[Host] = []
        """All of them, replicas too, as of the last map."""
        self._left: list[Pool] = []
        """Connections to servers that are masters no more, as long as one of them is in use."""
        self._stale = True
        self._doubted: set[Host] = set()
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def master(self, slot: int) -> Master:
        """Who has a slot. Raises UnavailableError where nobody is known to.

        Only whoever asks for a master that is doubted waits for the map: the others have nothing to do with it.
        """
        if self._stale and (reading := self._begin()) is not None:
            host = self._slots[slot]
            if host is None or host in self._doubted:
                await asyncio.shield(reading)
        if (host := self._slots[slot]) is None:
            self.doubt()
            raise RedisUnavailableError(f"no master of the Redis Cluster has slot {slot}", code="CLUSTERDOWN")
        return self.at(host)

    async def masters(self) -> list[Master]:
        """All masters that have slots, in the order of their slots. Raises UnavailableError where no server answers."""
        # Who asks a server and not a key is told by nobody that another one is the master now.
        self.doubt()
        await self._look()
        return [self.at(host) for host in dict.fromkeys(host for host in self._slots if host is not None)]

    async def replicas(self) -> list[Master]:
        """The other servers of the cluster. Raises UnavailableError where no server answers."""
        await self._look()
        return [self.at(host) for host in self._servers if host not in set(self._slots)]

    def at(self, host: Host) -> Master:
        """The server at an address, a master mostly."""
        if host not in self._masters:
            self._masters[host] = Master(host, self._pool(*host))
        return self._masters[host]

    def moved(self, slot: int, host: Host) -> None:
        """Note what a server has said: that slot is at `host` now."""
        self._slots[slot] = host
        self.doubt()

    def doubt(self, host: Host | None = None) -> None:
        """The map may not be right, and above all not about `host`: look before the next call."""
        self._stale = True
        if host is not None:
            self._doubted.add(host)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._reading is not None:
            self._reading.cancel()
        masters, self._masters = list(self._masters.values()), {}
        for pool in [*self._left, *(master.pool for master in masters)]:
            await pool.disconnect()

    async def _look(self) -> None:
        if self._stale and (reading := self._begin()) is not None:
            await asyncio.shield(reading)

    def _begin(self) -> "asyncio.Task[None] | None":
        """Read the map; None where that has just been done."""
        if self._reading is None:
            if asyncio.get_running_loop().time() - self._read_at < NOT_OFTENER_SECONDS:
                return None
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_heard)
        return self._reading

    async def _read(self) -> None:
        try:
            known = random.sample(self._servers, len(self._servers))
            error: Exception | None = None
            for host in dict.fromkeys([*known, *self._seeds]):
                try:
                    async with asyncio.timeout(ASK_SECONDS):
                        told = await self._ask(host)
                except (*ERRORS, TimeoutError) as failed:
                    error = failed
                    continue
                if told:
                    await self._take(told, host)
                    return
                error = RedisUnavailableError(f"{host[0]}:{host[1]} has no slots of a cluster yet", code="CLUSTERDOWN")
            raise _no_answer(error)
        finally:
            self._reading = None
            self._read_at = asyncio.get_running_loop().time()

    async def _ask(self, host: Host) -> list[Any]:
        """CLUSTER SLOTS, over a connection of its own: those to a master may all be waiting for it."""
        pool = self._pool(*host)
        try:
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's own
            try:
                await connection.send_command("CLUSTER", "SLOTS")
                return cast("list[Any]", await connection.read_response())
            finally:
                await connection.disconnect(nowait=True)
        finally:
            await pool.disconnect()

    async def _take(self, told: list[Any], asked: Host) -> None:
        slots: list[Host | None] = [None] * SLOTS
        servers: dict[Host, None] = {}
        for first, last, *of_range in told:
            hosts = [_host(server, asked) for server in of_range]
            servers |= dict.fromkeys(hosts)
            slots[int(first) : int(last) + 1] = [hosts[0]] * (int(last) + 1 - int(first))
        self._slots, self._servers = slots, list(servers)
        self._stale = False
        self._doubted.clear()
        # A slot that is on its way may be asked for where the map does not have it: such a master stays a while.
        self._left += [self._masters.pop(host).pool for host in list(self._masters) if host not in servers]
        for pool in self._left:
            await pool.disconnect(inuse_connections=False)
        self._left = [pool for pool in self._left if pool.is_in_use]


def _heard(reading: "asyncio.Task[None]") -> None:
    """Whoever waited has its error; nobody may have."""
    if not reading.cancelled():
        reading.exception()


def _host(server: list[Any], asked: Host) -> Host:
    """Its address; a server that does not know its own says nothing, or `?`."""
    name = server[0].decode() if isinstance(server[0], bytes) else server[0]
    return (name if name and name != "?" else asked[0]), int(server[1])


def _no_answer(error: Exception | None) -> Exception:
    if isinstance(error, ResponseError) and "cluster support disabled" in str(error):
        return RedisUnavailableError(
            "REDIS_URL names a Redis that is no cluster: let it begin with redis:// or rediss://", code="ERR"
        )
    if isinstance(error, ERRORS) and (found := unavailable(error)) is not None:
        return found
    return RedisUnavailableError(f"no server of the Redis Cluster answers: {error}", code=None)
