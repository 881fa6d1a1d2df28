"""Waiting for what was there to pass through the decoders, without a look at what is in it."""

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from state import passed
from state.passed import until_passed
from tests.conftest import RAW
from tests.redis_servers.clients import calls

POSITIONS = "positions:{0}"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed, "LOOK_SECONDS", 0.001)


async def has_passed(client: Redis, seconds: float = 0) -> bool:
    return await until_passed(client, 1, asyncio.get_running_loop().time() + seconds)


async def read(client: Redis, count: int) -> list[bytes]:
    found = cast("Any", await client.xreadgroup("observe", "a", {RAW: ">"}, count=count))
    return [entry_id for entry_id, _ in found[0][1]]


async def test_where_there_is_nothing_all_has_passed(redis_client: Redis) -> None:
    assert await has_passed(redis_client)
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    assert await has_passed(redis_client)


@pytest.mark.parametrize("stream", [RAW, POSITIONS])
async def test_what_nobody_reads_has_not(redis_client: Redis, stream: str) -> None:
    await redis_client.xadd(stream, {"b": "x"})
    assert not await has_passed(redis_client)


async def test_an_entry_has_passed_once_it_is_acknowledged(redis_client: Redis) -> None:
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    for _ in range(3):
        await redis_client.xadd(RAW, {"b": "x"})
    assert not await has_passed(redis_client)
    first, second = await read(redis_client, 2)
    assert not await has_passed(redis_client)
    await redis_client.xack(RAW, "observe", first, second)
    await redis_client.xdel(RAW, first, second)
    assert not await has_passed(redis_client)
    [third] = await read(redis_client, 1)
    assert not await has_passed(redis_client)
    await redis_client.xack(RAW, "observe", third)
    await redis_client.xdel(RAW, third)
    assert await has_passed(redis_client)


async def test_what_comes_meanwhile_is_not_waited_for(redis_client: Redis) -> None:
    """Also where it never ends: as soon as one is delivered that came later, those before are only to be finished."""
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    await redis_client.xadd(RAW, {"b": "x"})
    waiting = asyncio.create_task(has_passed(redis_client, 60))
    unfinished: list[bytes] = []
    while not waiting.done():
        await redis_client.xadd(RAW, {"b": "x"})
        unfinished += await read(redis_client, 1)
        if len(unfinished) > 3:
            await redis_client.xack(RAW, "observe", unfinished.pop(0))
    assert await waiting
    assert unfinished


async def test_what_is_in_hand_is_waited_for_while_others_go_on(redis_client: Redis) -> None:
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    await redis_client.xadd(RAW, {"b": "x"})
    [slow] = await read(redis_client, 1)
    waiting = asyncio.create_task(has_passed(redis_client, 60))
    for _ in range(50):
        await redis_client.xadd(RAW, {"b": "x"})
        await redis_client.xack(RAW, "observe", *await read(redis_client, 1))
    assert not waiting.done()
    await redis_client.xack(RAW, "observe", slow)
    assert await waiting


async def test_ids_that_run_ahead_of_the_clock_prove_nothing(redis_client: Redis) -> None:
    """As after a clock that was set back: what came last before is newer than what comes now."""
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    seconds, _ = await redis_client.time()
    ahead = (seconds + 3600) * 1000
    for number in range(2):
        await redis_client.xadd(RAW, {"b": "x"}, id=f"{ahead}-{number}")
    await redis_client.xack(RAW, "observe", *await read(redis_client, 1))
    await redis_client.xdel(RAW, f"{ahead}-0")
    assert not await has_passed(redis_client, 0.05)
    await redis_client.xack(RAW, "observe", *await read(redis_client, 1))
    await redis_client.xdel(RAW, f"{ahead}-1")
    assert await has_passed(redis_client)


async def test_no_entry_is_read(redis_client: Redis) -> None:
    await redis_client.xgroup_create(RAW, "observe", id="0", mkstream=True)
    await redis_client.xadd(RAW, {"b": "x"})
    await redis_client.config_resetstat()
    assert not await has_passed(redis_client)
    assert not {"xrange", "xrevrange", "xread"} & set(await calls(redis_client))


async def test_a_target_of_the_export_is_waited_for_where_somebody_exports_to_it(redis_client: Redis) -> None:
    await redis_client.xgroup_create(POSITIONS, "archive", id="0", mkstream=True)
    await redis_client.xgroup_create(POSITIONS, "export-kafka", id="0")
    await redis_client.xgroup_create(POSITIONS, "somebody-elses", id="0")
    entry_id = await redis_client.xadd(POSITIONS, {"d": "x"})
    for group in ("archive", "export-kafka"):
        assert not await has_passed(redis_client)
        await redis_client.xreadgroup(group, "a", {POSITIONS: ">"})
        assert not await has_passed(redis_client)
        await redis_client.xack(POSITIONS, group, entry_id)
    # Behind both the stream is cut off.
    await redis_client.xdel(POSITIONS, entry_id)
    assert await has_passed(redis_client)
