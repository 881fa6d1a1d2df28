import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from state.rewriting import ask_for_rewriting


async def test_a_wish_that_cannot_be_counted_names_the_key_that_is_in_the_way(redis_client: Redis) -> None:
    assert await ask_for_rewriting(redis_client) == 1
    await redis_client.hset("rewriting:{campus}", "asked", "somebody's")
    with pytest.raises(UnavailableError, match=r"rewriting:\{campus\} .* delete that key"):
        await ask_for_rewriting(redis_client)
