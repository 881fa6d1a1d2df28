"""A Redis that goes away now and then, of the kind that CAMPUS_TEST_REDIS names, and keeps what it promised.

One Redis syncs each write before it answers, and comes back. Of a cluster, and of a primary with replicas, whoever has
the data is killed, and a replica takes over: what was written must have reached it (`DURABILITY=replicated`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Protocol

from tests.oracle.durable import IN_FLIGHT_SECONDS, durable_redis
from tests.redis_servers.chosen import chosen
from tests.redis_servers.cluster import RedisCluster, redis_cluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.sentinel import SentinelSet, sentinel_set


class Disturbed(Protocol):
    """One, several or a cluster of them."""

    url: str
    durability: str
    """The DURABILITY that loses nothing by what happens to it."""
    replicas: int
    """And how many replicas that takes: all that may take over."""

    async def outage(self, random: Random) -> None:
        """Take it away, mostly without a warning, and return when it is back with all that it had promised."""


class DisturbedCluster:
    """A cluster of which masters are killed."""

    durability = "replicated"
    replicas = 1

    def __init__(self, cluster: RedisCluster) -> None:
        self.url = cluster.url
        self._cluster = cluster

    async def outage(self, random: Random) -> None:
        """Kill a master. Its replica takes over, and it comes back as a replica of that one."""
        await asyncio.sleep(random.uniform(0, IN_FLIGHT_SECONDS))
        await asyncio.to_thread(self._fail_over, random.randrange(3))

    def _fail_over(self, number: int) -> None:
        # Else it might be the only one that has it all.
        self._cluster.until_well()
        gone = self._cluster.masters[number]
        gone.kill()
        self._cluster.until_taken_over(gone)
        gone.start()


class DisturbedSentinels:
    """A primary that is killed, with replicas and sentinels."""

    durability = "replicated"
    replicas = 2

    def __init__(self, servers: SentinelSet) -> None:
        self.url = servers.url
        self._servers = servers

    async def outage(self, random: Random) -> None:
        """Kill the primary. A replica takes over, and it comes back as a replica of that one."""
        await asyncio.sleep(random.uniform(0, IN_FLIGHT_SECONDS))
        await asyncio.to_thread(self._fail_over)

    def _fail_over(self) -> None:
        self._servers.heal()
        gone = self._servers.kill_primary()
        self._servers.until_taken_over(gone)
        gone.start()


@asynccontextmanager
async def disturbed_redis(folder: Path) -> AsyncIterator[Disturbed]:
    """A running one; it ends with the context. `folder` is for the files of one Redis, and has a short path."""
    if chosen() == "single":
        async with durable_redis(folder) as redis:
            yield redis
        return
    with ExitStack() as stack:
        if chosen() == "cluster":
            yield DisturbedCluster(await asyncio.to_thread(stack.enter_context, redis_cluster(redis_executable())))
        else:
            yield DisturbedSentinels(await asyncio.to_thread(stack.enter_context, sentinel_set(redis_executable())))
