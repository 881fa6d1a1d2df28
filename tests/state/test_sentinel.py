"""A real primary with replicas and sentinels: killed, standing still, and sentinels that are away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import MAX_CONNECTIONS, open_redis
from state.codes import RedisUnavailableError
from state.server import masters, redis_state
from tests.conftest import eventually, holds
from tests.redis_servers.process import RedisProcess
from tests.redis_servers.sentinel import SentinelSet


@pytest.fixture
async def client(sentinels: SentinelSet) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=sentinels.url)) as client:
        yield client


async def test_calls_go_to_the_primary_as_to_any_redis(client: Redis, sentinels: SentinelSet) -> None:
    await client.set("a", 1)
    assert sentinels.primary.command("GET", "a") == "1"
    answers = await asyncio.gather(*(client.incr("a") for _ in range(4 * MAX_CONNECTIONS)))
    assert max(answers) == 1 + 4 * MAX_CONNECTIONS
    assert await masters(client) == [client]
    assert (await redis_state(client)).run_id == sentinels.primary.info("server")["run_id"]


async def test_a_primary_that_was_given_up_and_lives_gets_no_writes_any_more(
    client: Redis, sentinels: SentinelSet
) -> None:
    # Before those tests that pause a Sentinel: it starts no failover for half a minute then.
    given_up = sentinels.primary
    await client.set("n", 0)
    sentinels.sentinels[0].command("SENTINEL FAILOVER", "campus")

    async def written_to_another() -> bool:
        try:
            await client.incr("n")
        except UnavailableError:
            return False
        another = next((each for each in sentinels.servers if each is not given_up and is_primary(each)), None)
        return another is not None and await client.get("n") == another.command("GET", "n").encode()

    await eventually(written_to_another)
    # A Sentinel tells it after eight seconds.
    assert is_primary(given_up)


async def test_callers_of_a_primary_that_is_killed_wait_and_go_on(client: Redis, sentinels: SentinelSet) -> None:
    count = 0
    codes: set[str | None] = set()
    going = True

    async def add() -> None:
        nonlocal count
        while going:
            try:
                await client.sadd("set", count)
            except RedisUnavailableError as error:
                codes.add(error.code)
                await asyncio.sleep(0.05)
            else:
                count += 1

    adding = asyncio.create_task(add())
    try:
        await eventually(holds(lambda: count > 10))
        gone = await asyncio.to_thread(sentinels.kill_primary)
        await asyncio.to_thread(sentinels.until_taken_over, gone)
        then = count
        await eventually(holds(lambda: count > then + 10))
    finally:
        going = False
        await adding
    assert codes <= {None, "READONLY"}
    assert codes
    await asyncio.to_thread(sentinels.reset)


async def test_a_primary_that_stands_still_is_left_behind_and_is_a_replica_when_it_comes_back(
    sentinels: SentinelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.calls.READ_TIMEOUT_SECONDS", 0.5)
    async with open_redis(CommonSettings(redis_url=sentinels.url)) as client:
        await client.set("n", 0)
        frozen = await asyncio.to_thread(lambda: sentinels.primary)
        frozen.pause()
        with pytest.raises(UnavailableError):
            await client.incr("n")

        async def counted() -> bool:
            try:
                return bool(await client.incr("n"))
            except UnavailableError:
                return False

        await eventually(counted, limit=30)
        frozen.resume()
        await eventually(holds(lambda: frozen.info("replication")["role"] == "slave"), limit=30)
        assert await counted()


async def test_one_sentinel_that_answers_is_enough(client: Redis, sentinels: SentinelSet) -> None:
    sentinels.sentinels[0].pause()
    sentinels.sentinels[1].kill()
    await client.set("a", 1)
    sentinels.sentinels[2].pause()
    assert await client.get("a") == b"1"
    async with open_redis(CommonSettings(redis_url=sentinels.url)) as other:
        with pytest.raises(UnavailableError, match="Sentinel names no primary"):
            await other.get("a")


async def test_a_service_that_sentinel_does_not_know_is_said(sentinels: SentinelSet) -> None:
    url = sentinels.url.rpartition("/")[0] + "/another"
    async with open_redis(CommonSettings(redis_url=url)) as client:
        with pytest.raises(UnavailableError, match="Sentinel names no primary: 'another' is not known"):
            await cast("Any", client.get("a"))


async def test_the_newest_of_most_answers_counts(sentinels: SentinelSet) -> None:
    async with open_redis(CommonSettings(redis_url=sentinels.url)) as client:
        asked = cast("Any", client.connection_pool).sentinel_manager
        sentinels.sentinels[0].pause()
        found = await asyncio.gather(*(asked.discover_master("campus") for _ in range(20)))
        assert set(found) == {("127.0.0.1", sentinels.primary.port)}


def is_primary(server: RedisProcess) -> bool:
    return server.info("replication")["role"] == "master"
