"""The fixtures of real servers; tests/conftest.py brings them to every test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from runtime.settings import CommonSettings
from state.client import open_redis
from state.server import masters
from tests.redis_servers.chosen import chosen
from tests.redis_servers.clients import client_of
from tests.redis_servers.cluster import RedisCluster, redis_cluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.sentinel import SentinelSet, sentinel_set
from tests.redis_servers.single import single_redis


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Redis of this worker's own: what CAMPUS_TEST_REDIS names, by default one server."""
    match chosen():
        case "cluster":
            yield request.getfixturevalue("workers_cluster").url
        case "sentinel":
            yield request.getfixturevalue("workers_sentinels").url
        case _:
            with single_redis(redis_executable()) as url:
                yield url


@pytest.fixture
async def redis_client(redis_server: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis; answers are bytes."""
    async with client_of(redis_server) as client:
        await client.flushall()
        yield client


@pytest.fixture(params=["single", "cluster"])
async def limited_redis(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """The services' client of an empty Redis, and of an empty cluster; `limit_memory` is taken back afterwards."""
    fixture = "cluster" if request.param == "cluster" else "redis_server"
    found = request.getfixturevalue(fixture)
    async with open_redis(CommonSettings(redis_url=found.url if fixture == "cluster" else found)) as client:
        await client.flushall()
        yield client
        await limit_memory(client, 0)


async def limit_memory(client: Redis, maxmemory: int) -> None:
    """Set `maxmemory` of each master, in bytes; 0 is no limit."""
    for master in await masters(client):
        await master.config_set("maxmemory", maxmemory)


@pytest.fixture
async def service_redis(redis_server: str, redis_client: Redis) -> AsyncIterator[Redis]:
    """The same Redis, empty, by the client that services have."""
    del redis_client  # it empties Redis
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        yield client


@pytest.fixture
async def away_redis() -> AsyncIterator[Redis]:
    """The client that services have, of a Redis that is not there."""
    async with open_redis(CommonSettings(redis_url="unix:///nowhere/redis.sock")) as client:
        yield client


@pytest.fixture(scope="session")
def workers_cluster() -> Iterator[RedisCluster]:
    """This worker's own cluster, of six."""
    with redis_cluster(redis_executable()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def workers_sentinels() -> Iterator[SentinelSet]:
    """This worker's own primary, replicas and sentinels."""
    with sentinel_set(redis_executable()) as servers:
        yield servers


@pytest.fixture
def cluster(workers_cluster: RedisCluster) -> RedisCluster:
    """An empty cluster that is well; the test may kill and pause its members, and move its slots."""
    workers_cluster.reset()
    return workers_cluster


@pytest.fixture
def sentinels(workers_sentinels: SentinelSet) -> SentinelSet:
    """An empty primary with replicas and sentinels that are well; the test may kill and pause them."""
    workers_sentinels.reset()
    return workers_sentinels
