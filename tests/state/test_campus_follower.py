"""The campus in Redis, followed by whoever needs its zones."""

import time

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from runtime.settings import CommonSettings
from state.campus import StoredCampus, replace_campus
from state.campus_follower import CampusFollower, UnusableCampusError
from state.client import open_redis


def made(stored: StoredCampus) -> str:
    """What a test makes of a campus: its text, which must not be empty."""
    if not stored.geojson:
        raise ValueError("it is empty")
    return stored.geojson.decode()


def follower(client: Redis) -> CampusFollower[str]:
    return CampusFollower(client, file="the file", version="of the file", make=made)


async def put(client: Redis, version: str, text: bytes, *, replaces: str) -> None:
    assert await replace_campus(
        client, StoredCampus(version, text), replaces=replaces, changed=[], partitions=1, kinds=DEFAULT_KINDS
    )


async def test_the_file_holds_until_there_is_a_campus_in_redis(redis_client: Redis) -> None:
    campus = follower(redis_client)

    assert (await campus.look(), campus.version) == ("the file", "of the file")
    await put(redis_client, "2", b"another", replaces="of the file")
    assert (await campus.look(), campus.version) == ("another", "2")


async def test_one_that_cannot_be_used_is_named_and_what_was_known_stays(redis_client: Redis) -> None:
    campus = follower(redis_client)
    await put(redis_client, "2", b"another", replaces="of the file")
    await campus.look()
    await put(redis_client, "3", b"", replaces="2")

    with pytest.raises(UnusableCampusError, match="it is empty"):
        await campus.look()
    assert (campus.view, campus.version) == ("another", "2")


async def test_one_that_takes_longer_to_read_than_redis_may_take_is_taken_up(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.campus_follower.LOOK_SECONDS", 0.5)

    def slowly(stored: StoredCampus) -> str:
        time.sleep(0.6)
        return made(stored)

    campus = CampusFollower(redis_client, file="the file", version="of the file", make=slowly)
    await put(redis_client, "2", b"another", replaces="of the file")

    assert await campus.look() == "another"


async def test_without_redis_it_is_unavailable() -> None:
    async with open_redis(CommonSettings(redis_url="unix:///nowhere/redis.sock")) as away:
        with pytest.raises(UnavailableError):
            await follower(away).look()
