import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from core.errors import BadSettingsError, UnavailableError
from runtime.settings import CommonSettings
from state.calls import redis_errors
from state.client import MAX_CONNECTIONS, open_redis


async def test_more_commands_than_connections_wait_for_their_turn(redis_server: str) -> None:
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        answers = await asyncio.gather(*(client.get("key") for _ in range(4 * MAX_CONNECTIONS)))
        assert answers == [None] * (4 * MAX_CONNECTIONS)


async def test_an_address_that_is_none_names_its_setting() -> None:
    with pytest.raises(BadSettingsError, match="REDIS_URL"):
        async with open_redis(CommonSettings(redis_url="http://localhost")):
            pass


async def test_a_redis_that_is_full_is_unavailable_and_not_a_defect(redis_client: Redis) -> None:
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(UnavailableError, match="takes nothing at present"), redis_errors():
            await redis_client.set("key", "value")
    finally:
        await redis_client.config_set("maxmemory", 0)


async def test_a_command_that_is_wrong_is_a_defect(redis_client: Redis) -> None:
    await redis_client.set("key", "value")
    with pytest.raises(ResponseError), redis_errors():
        await redis_client.incr("key")
