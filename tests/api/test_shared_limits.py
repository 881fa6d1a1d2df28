"""One limit for all API processes, at no round trip for a request."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from api.http.shared_limits import SharedLimits
from runtime.service import Stop
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.api.test_process import client_of, running, until
from tests.conftest import eventually, free_port
from tests.redis_servers.cluster import RedisCluster

HOUR = 3600.0


def limits(client: Redis, *, burst: float = 100.0, elapsed: Callable[[], float] = lambda: 0.0) -> SharedLimits:
    """Those of a process, of as many requests as come back in an hour."""
    return SharedLimits(
        client, "requests", rate=burst / HOUR, burst=burst, hidden=lambda name: name[::-1], elapsed=elapsed
    )


def taken(process: SharedLimits, client: str, times: int) -> int:
    """How many of so many requests of a client are let through."""
    return sum(process.take(client) == 0 for _ in range(times))


def test_a_client_has_its_burst_and_then_what_comes_back(service_redis: Redis) -> None:
    now = 0.0
    process = limits(service_redis, elapsed=lambda: now)
    assert taken(process, "one", 150) == 100
    assert process.take("one") == pytest.approx(36.0)
    now = 36.5
    assert taken(process, "one", 2) == 1
    now = 10 * HOUR
    assert taken(process, "one", 150) == 100
    assert taken(process, "other", 150) == 100


def test_what_costs_more_than_a_burst_takes_all_of_it(service_redis: Redis) -> None:
    process = limits(service_redis)
    assert process.take("one", 1000.0) == 0
    assert process.take("one", 1000.0) == pytest.approx(HOUR)


async def test_what_a_client_has_spent_in_one_process_another_knows(service_redis: Redis) -> None:
    one, other = limits(service_redis), limits(service_redis)
    assert taken(one, "client", 90) == 90
    await one.exchange()
    # It does not know the client yet: the first request is let through, and what comes back tells of the others.
    assert taken(other, "client", 1) == 1
    await other.exchange()
    assert taken(other, "client", 100) == 9


async def test_what_two_processes_let_through_before_they_heard_of_it_has_to_come_back(service_redis: Redis) -> None:
    now = 0.0
    one, other = limits(service_redis, elapsed=lambda: now), limits(service_redis, elapsed=lambda: now)
    assert taken(one, "client", 100) == 100
    assert taken(other, "client", 100) == 100
    await one.exchange()
    await other.exchange()
    now = HOUR - 60
    assert taken(other, "client", 1) == 0
    now = HOUR + 120
    assert taken(other, "client", 100) == 3


async def test_what_is_spent_while_redis_is_told_counts_as_well(service_redis: Redis) -> None:
    process = limits(service_redis)
    taken(process, "client", 50)
    exchange = asyncio.ensure_future(process.exchange())
    await asyncio.sleep(0)
    assert taken(process, "client", 20) == 20
    await exchange
    assert taken(process, "client", 100) == 30


async def test_redis_is_not_told_who_a_client_is(service_redis: Redis) -> None:
    process = limits(service_redis)
    taken(process, "192.0.2.7", 1)
    await process.exchange()
    assert await service_redis.keys("spent:*") == [b"spent:{campus}:requests:7.2.0.291"]


async def test_processes_tell_by_themselves_and_go_on_alone_while_redis_is_away(
    service_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.shared_limits.AWAY_SECONDS", 0.01)
    stop, one, other = Stop(), limits(service_redis), limits(service_redis)
    async with asyncio.TaskGroup() as tasks, open_redis(CommonSettings(redis_url="redis://127.0.0.1:1")) as away:
        monkeypatch.setattr(one, "_redis", away)
        tasks.create_task(one.run(stop))
        tasks.create_task(other.run(stop))
        assert taken(one, "client", 150) == 100
        assert taken(other, "client", 50) == 50

        async def told() -> bool:
            return await service_redis.exists("spent:{campus}:requests:tneilc") == 1

        await eventually(told)
        monkeypatch.setattr(one, "_redis", service_redis)

        async def together() -> bool:
            one.take("another")
            return await service_redis.exists("spent:{campus}:requests:rehtona") == 1

        await eventually(together)
        stop.set()


async def test_on_a_cluster_many_clients_are_told_of_at_once(cluster: RedisCluster) -> None:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as redis:
        one, other = limits(redis), limits(redis)
        for number in range(600):
            assert taken(one, f"client-{number}", 40) == 40
            assert taken(other, f"client-{number}", 40) == 40
        await one.exchange()
        await other.exchange()
        assert [taken(other, f"client-{number}", 100) for number in range(600)] == [20] * 600


async def test_two_processes_of_the_api_share_a_limit(redis_client: Redis, redis_server: str, tmp_path: Path) -> None:
    await redis_client.flushall()
    settings = {
        "REDIS_URL": redis_server,
        "DATA_DIR": str(tmp_path),
        "API_RATE_LIMIT": "0.001",
        "API_RATE_BURST": "30",
    }
    one, other = free_port(), free_port()
    async with (
        running(one, **settings),
        running(other, **settings),
        client_of(one) as asks_one,
        client_of(other) as asks_other,
    ):
        await until(asks_one, "/healthz", 200)
        await until(asks_other, "/healthz", 200)
        statuses = [(await asks_one.get("/v1/zones")).status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]

        # What it lets through until it has heard of the others.
        answered = 0

        async def refused() -> bool:
            nonlocal answered
            answered += (status := (await asks_other.get("/v1/zones")).status_code) == 200
            return status == 429

        await eventually(refused)
        assert answered < 30
