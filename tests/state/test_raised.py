"""Numbers that tell of a change are another one afterwards, whatever somebody has put there."""

import pytest
from redis.asyncio import Redis

from state.lua import lua

NUMBER = "some:{campus}"


async def raise_it(client: Redis) -> None:
    await client.register_script(lua("raise") + "raise(KEYS[1])")(keys=[NUMBER])


@pytest.mark.parametrize("garbage", [b"", b"x", b"\xff", b"1.5", b"-7", b"9" * 400, b"9223372036854775807"])
async def test_what_is_no_number_begins_anew(redis_client: Redis, garbage: bytes) -> None:
    await redis_client.set(NUMBER, garbage)
    await raise_it(redis_client)
    first = int(await redis_client.get(NUMBER) or 0)
    await raise_it(redis_client)
    assert int(await redis_client.get(NUMBER) or 0) == first + 1
    assert first > 0


async def test_what_is_one_goes_up_by_one(redis_client: Redis) -> None:
    for number in (b"1", b"2", b"3"):
        await raise_it(redis_client)
        assert await redis_client.get(NUMBER) == number
