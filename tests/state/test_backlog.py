from contextlib import suppress

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from core.errors import UnavailableError
from state.backlog import Backlog, read_backlogs
from state.oldest import read_ages
from tests.conftest import RAW
from tests.redis_servers.clients import calls

WINDOWS = "windows:{campus}"
ARCHIVE = Backlog("positions:{0}", "archive", 0, 0, 0, None)


async def publish(client: Redis, count: int) -> None:
    for number in range(count):
        await client.xadd(RAW, {"n": number})


async def numbers(client: Redis) -> list[tuple[str, int, int]]:
    found = await read_backlogs(client, 1)
    return [(backlog.group, backlog.undelivered, backlog.pending) for backlog in found if backlog.stream == RAW]


async def test_before_anything_was_published_every_stage_has_nothing_to_do(redis_client: Redis) -> None:
    assert await read_backlogs(redis_client, 1) == [Backlog("raw:{0}", "observe", 0, 0, 0, None), ARCHIVE]


async def test_what_was_published_before_the_first_decoder_waits_for_it(redis_client: Redis) -> None:
    await publish(redis_client, 3)
    assert await numbers(redis_client) == [("observe", 3, 0)]


async def test_each_group_has_a_backlog_of_its_own(redis_client: Redis) -> None:
    await publish(redis_client, 5)
    for name in ("observe", "statistics"):
        await redis_client.xgroup_create(RAW, name, id="0")
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=3)
    assert await numbers(redis_client) == [("observe", 2, 3), ("statistics", 5, 0)]


async def test_the_oldest_is_the_oldest_that_is_not_finished(redis_client: Redis) -> None:
    seconds, _ = await redis_client.time()
    for age in (300, 200, 100):
        await redis_client.xadd(RAW, {"n": age}, id=f"{(seconds - age) * 1000}-0")
    await redis_client.xgroup_create(RAW, "observe", id="0")

    async def oldest() -> float | None:
        return (await read_ages(redis_client, 1))[0].oldest_seconds

    def about(age: float) -> object:
        return pytest.approx(age, abs=30)

    assert await oldest() == about(300)
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=2)
    assert await oldest() == about(300)
    await redis_client.xack(RAW, "observe", f"{(seconds - 300) * 1000}-0")
    assert await oldest() == about(200)
    await redis_client.xack(RAW, "observe", f"{(seconds - 200) * 1000}-0")
    assert await oldest() == about(100)
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=2)
    await redis_client.xack(RAW, "observe", f"{(seconds - 100) * 1000}-0")
    assert await oldest() is None


async def test_without_reading_an_entry_the_age_is_that_of_what_is_pending(redis_client: Redis) -> None:
    seconds, _ = await redis_client.time()
    for age in (300, 200, 100):
        await redis_client.xadd(RAW, {"n": age}, id=f"{(seconds - age) * 1000}-0")

    async def found() -> tuple[float | None, float | None]:
        backlog = (await read_backlogs(redis_client, 1))[0]
        return backlog.oldest_seconds, backlog.delivered_seconds

    def about(age: float) -> object:
        return pytest.approx(age, abs=30)

    await redis_client.config_resetstat()
    assert await found() == (None, None)
    await redis_client.xgroup_create(RAW, "observe", id="0")
    assert await found() == (None, None)
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=2)
    assert await found() == (about(300), about(200))
    await redis_client.xack(RAW, "observe", f"{(seconds - 300) * 1000}-0", f"{(seconds - 200) * 1000}-0")
    # What is undelivered is younger than that.
    assert await found() == (None, about(200))
    assert not {"xrange", "xrevrange", "xread"} & set(await calls(redis_client))


async def test_where_redis_does_not_know_the_lag_the_length_of_the_stream_says_it(redis_client: Redis) -> None:
    """As Redis 6 never does, and Redis 7 not after an XDEL among what is not delivered."""
    await publish(redis_client, 5)
    await redis_client.xgroup_create(RAW, "observe", id="0")
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=2)
    *_, (last_but_one, _), _ = await redis_client.xrange(RAW) or []
    await redis_client.xdel(RAW, last_but_one or b"")
    assert await numbers(redis_client) == [("observe", 2, 2)]


async def test_a_lag_that_redis_has_wrong_is_no_more_than_what_there_is(redis_client: Redis) -> None:
    """As after a restart: its append-only file does not say how many entries a group has read."""
    await publish(redis_client, 5)
    await redis_client.xgroup_create(RAW, "observe", id="0")
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=4)
    (*_, (last, _), _) = await redis_client.xrange(RAW) or []
    # Redis 6 knows no lag, and so none that is wrong.
    with suppress(ResponseError):
        await redis_client.xgroup_setid(RAW, "observe", last or b"", entries_read=1)
        [group] = await redis_client.xinfo_groups(RAW)
        assert group["lag"] == 4
    assert await numbers(redis_client) == [("observe", 1, 4)]


async def test_what_exports_windows_has_a_backlog_beside_them(redis_client: Redis) -> None:
    async def found() -> list[tuple[str, int, int, float | None]]:
        return [
            (each.group, each.undelivered, each.pending, each.oldest_seconds)
            for each in await read_ages(redis_client, 1)
            if each.stream == WINDOWS
        ]

    def about(age: float) -> object:
        return pytest.approx(age, abs=30)

    assert await found() == []
    seconds, _ = await redis_client.time()
    for age in (300, 200, 100):
        await redis_client.xadd(WINDOWS, {"n": age}, id=f"{(seconds - age) * 1000}-0")
    assert await found() == []
    for name in ("export-kafka", "export-parquet"):
        await redis_client.xgroup_create(WINDOWS, name, id="0")
    await redis_client.xreadgroup("export-parquet", "a", {WINDOWS: ">"}, count=2)
    assert await found() == [("export-kafka", 3, 0, about(300)), ("export-parquet", 1, 2, about(300))]
    await redis_client.xack(WINDOWS, "export-parquet", f"{(seconds - 300) * 1000}-0", f"{(seconds - 200) * 1000}-0")
    # Redis 6 knows no lag: what is finished is counted there until the stream is cut off behind it.
    knows_lag = "lag" in (await redis_client.xinfo_groups(WINDOWS))[0]
    left, nothing = (1, 0) if knows_lag else (3, 3)
    assert await found() == [("export-kafka", 3, 0, about(300)), ("export-parquet", left, 0, about(100))]
    await redis_client.xreadgroup("export-parquet", "a", {WINDOWS: ">"})
    await redis_client.xack(WINDOWS, "export-parquet", f"{(seconds - 100) * 1000}-0")
    assert await found() == [("export-kafka", 3, 0, about(300)), ("export-parquet", nothing, 0, None)]


async def test_a_redis_that_is_away_is_unavailable(away_redis: Redis) -> None:
    with pytest.raises(UnavailableError):
        await read_backlogs(away_redis, 1)
