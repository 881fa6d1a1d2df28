import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.messages import DeadLetter
from runtime.settings import CommonSettings
from state.campus import ZoneChange, zone_changes
from state.client import open_redis
from state.status import read_status
from state.totals import lifetime_counts
from state.unreadable import remove_unreadable
from tests.conftest import entries

CHANGES = "campus:{campus}:changes"
TOPICS = "mirror:topics:{campus}"


@pytest.fixture
async def client(redis_client: Redis, redis_server: str) -> AsyncIterator[Redis]:
    del redis_client  # it empties Redis
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        yield client


async def test_it_is_removed_with_a_letter_that_keeps_nothing_of_it(client: Redis) -> None:
    await client.sadd(TOPICS, b"\xff", "v1/zones")
    await remove_unreadable(client, "mirror:topics", "SREM", TOPICS, b"\xff")
    assert await client.smembers(TOPICS) == {b"v1/zones"}
    (letter,) = [DeadLetter.decode(fields) for fields in await entries(client, "dead:{campus}")]
    assert letter.reason is Reason.MALFORMED_ENTRY
    assert letter.detail == "what is in mirror:topics cannot be read: no service of this version wrote it"
    assert letter.payload is None
    assert (await read_status(client, 1)).totals == {"dead:malformed_entry": 1}


async def test_of_several_who_meet_it_at_once_one_leaves_a_letter(client: Redis) -> None:
    await client.sadd(TOPICS, b"\xff")
    await asyncio.gather(*(remove_unreadable(client, "mirror:topics", "SREM", TOPICS, b"\xff") for _ in range(20)))
    assert len(await entries(client, "dead:{campus}")) == 1
    assert (await read_status(client, 1)).totals == {"dead:malformed_entry": 1}


def test_what_is_no_count_is_left_out_of_the_counts() -> None:
    totals = {b"positions": b"2", b"messages": b"1", b"\xff": b"3", b"outside": b"many"}
    assert list(lifetime_counts(totals).items()) == [("messages", 1), ("positions", 2)]


async def test_changes_of_zones_that_nobody_of_ours_wrote_are_left_out(client: Redis) -> None:
    fields: dict[Any, Any] = {"zone": "main", "at": 1, "by": "key", "before": ""}
    await client.xadd(CHANGES, fields)
    await client.xadd(CHANGES, {"zone": "main"})
    await client.xadd(CHANGES, {**fields, "at": "noon"})
    await client.xadd(CHANGES, cast("Any", {**fields, "zone": b"\xff"}))
    assert await zone_changes(client, "main") == [ZoneChange("main", 1, "key", None)]
