import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from state.presence import Presence, presence_key, presence_now
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE

NOBODY = Presence(devices=0, observed_at=None)


async def test_a_device_is_present_for_the_ttl_after_its_newest_position(redis_client: Redis) -> None:
    await redis_client.zadd(presence_key("{0}", "main", "car"), {"a": NOON - 300_000, "b": NOON - 299_999, "c": NOON})
    now = await presence_now(redis_client, ["main", "campus"], DEFAULT_KINDS, now=NOON, ttl=300, partitions=1)
    assert now == {
        "main": {CAR: Presence(devices=2, observed_at=NOON), MOBILE: NOBODY},
        "campus": {CAR: NOBODY, MOBILE: NOBODY},
    }


async def test_a_redis_that_is_away_is_unavailable(away_redis: Redis) -> None:
    with pytest.raises(UnavailableError, match="Redis does not answer"):
        await presence_now(away_redis, ["main"], DEFAULT_KINDS, now=NOON, ttl=300, partitions=1)
