"""What clients have spent, noted by all processes."""

import pytest
from redis.asyncio import Redis

from state.rate_limits import spend


@pytest.fixture(autouse=True)
async def still(redis_client: Redis) -> None:
    """Redis's own clock runs: limits of hours do not feel it."""
    await redis_client.flushall()


async def test_what_was_spent_adds_up_and_comes_back(redis_client: Redis) -> None:
    assert await spend(redis_client, "requests", {"one": 600.0, "other": 60.0}, whole=3600.0) == {
        "one": pytest.approx(600.0, abs=5),
        "other": pytest.approx(60.0, abs=5),
    }
    assert await spend(redis_client, "requests", {"one": 900.0}, whole=3600.0) == {"one": pytest.approx(1500.0, abs=5)}
    assert await redis_client.pttl("spent:{campus}:requests:one") == pytest.approx(1_500_000, abs=5000)


async def test_limits_do_not_know_of_one_another(redis_client: Redis) -> None:
    await spend(redis_client, "requests", {"one": 600.0}, whole=3600.0)
    assert await spend(redis_client, "positions", {"one": 60.0}, whole=3600.0) == {"one": pytest.approx(60.0, abs=5)}


async def test_nobody_waits_for_more_than_two_limits(redis_client: Redis) -> None:
    await spend(redis_client, "requests", {"one": 3600.0}, whole=3600.0)
    await spend(redis_client, "requests", {"one": 3600.0}, whole=3600.0)
    assert await spend(redis_client, "requests", {"one": 3600.0}, whole=3600.0) == {"one": pytest.approx(7200.0, abs=5)}


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"tomorrow", b"1e300"])
async def test_what_is_no_time_keeps_nobody_out_for_ever(redis_client: Redis, garbage: bytes) -> None:
    await redis_client.set("spent:{campus}:requests:one", garbage)
    (seconds,) = (await spend(redis_client, "requests", {"one": 1.0}, whole=3600.0)).values()
    assert 0 < seconds <= 7200.0


async def test_many_clients_are_noted_in_parts(redis_client: Redis) -> None:
    spent = {f"client-{number}": 600.0 for number in range(1201)}
    found = await spend(redis_client, "requests", spent, whole=3600.0)
    assert found.keys() == spent.keys()
    assert await redis_client.dbsize() == 1201
