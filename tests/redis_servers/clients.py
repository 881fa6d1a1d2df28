"""A client for tests that talk to Redis themselves, whatever form the address of it has: redis-py's own."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import redis
import redis.asyncio

_CLUSTER = "redis+cluster://"
_SENTINEL = "redis+sentinel://"


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of one Redis, a cluster or the primary that sentinels name; answers are bytes.

    That of a cluster is another class with the same commands: a transaction, or a command of several keys, is for one
    slot; a pipeline without a transaction is for any.
    """
    if url.startswith(_CLUSTER):
        from redis.asyncio.cluster import ClusterNode, RedisCluster  # noqa: PLC0415 - two of the same name

        class Cluster(RedisCluster):
            async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
                if args[0] in {"CLIENT PAUSE", "CONFIG RESETSTAT", "CONFIG SET", "KEYS"}:
                    # redis-py would ask one of them.
                    options.setdefault("target_nodes", RedisCluster.PRIMARIES)
                return await super().execute_command(*args, **options)

        nodes = [ClusterNode(host, port) for host, port in _addresses(url, _CLUSTER)]
        async with Cluster(startup_nodes=nodes) as cluster:
            yield cast("redis.asyncio.Redis", cluster)
    elif url.startswith(_SENTINEL):
        from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415 - the same

        sentinel = Sentinel(_addresses(url, _SENTINEL))  # type: ignore[no-untyped-call]
        client = sentinel.master_for(url.rpartition("/")[2])
        try:
            yield cast("redis.asyncio.Redis", client)
        finally:
            await client.aclose()
            for each in sentinel.sentinels:
                await each.aclose()
    else:
        async with redis.asyncio.Redis.from_url(url) as client:
            yield client


async def calls(client: Any) -> Counter[str]:  # noqa: ANN401 - one of two classes
    """How often each command was called, by its name in small letters; in a cluster, at all masters together."""
    found: Counter[str] = Counter()
    if isinstance(client, redis.asyncio.Redis):
        told = [await client.info("commandstats")]
    else:
        told = list((await client.info("commandstats", target_nodes=client.PRIMARIES)).values())
    for each in told:
        found.update({name.removeprefix("cmdstat_"): int(about["calls"]) for name, about in cast("Any", each).items()})
    return found


@contextmanager
def blocking_client_of(url: str) -> Iterator[redis.Redis]:
    """The same, for tests without an event loop."""
    if url.startswith(_CLUSTER):
        from redis.cluster import ClusterNode, RedisCluster  # noqa: PLC0415 - the same

        nodes = [ClusterNode(host, port) for host, port in _addresses(url, _CLUSTER)]  # type: ignore[no-untyped-call]
        cluster = RedisCluster(startup_nodes=nodes)
        try:
            yield cast("redis.Redis", cluster)
        finally:
            cluster.close()
    elif url.startswith(_SENTINEL):
        from redis.sentinel import Sentinel  # noqa: PLC0415 - the same

        sentinel = Sentinel(_addresses(url, _SENTINEL))  # type: ignore[no-untyped-call]
        with sentinel.master_for(url.rpartition("/")[2]) as client:  # type: ignore[no-untyped-call]
            yield cast("redis.Redis", client)
        for each in sentinel.sentinels:
            each.close()
    else:
        with redis.Redis.from_url(url) as client:
            yield client


def _addresses(url: str, scheme: str) -> list[tuple[str, int]]:
    named = url.removeprefix(scheme).partition("/")[0].split(",")
    return [(host, int(port)) for host, _, port in (each.rpartition(":") for each in named)]
