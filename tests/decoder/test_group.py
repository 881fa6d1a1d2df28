from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from core import streams
from core.errors import Unavailable
from decoder.group import Group
from tests.conftest import entries

RAW = streams.raw(0)
GroupOf = Callable[[str], Group]


async def filled(client: Redis, group: Group, count: int) -> None:
    await group.create()
    for number in range(count):
        await client.xadd(RAW, {"n": number})


async def test_a_group_may_be_created_again(group_of: GroupOf) -> None:
    await group_of("a").create()
    await group_of("b").create()


async def test_entries_from_before_the_group_are_read(redis_client: Redis, group_of: GroupOf) -> None:
    await redis_client.xadd(RAW, {"n": 1})
    await group_of("a").create()
    assert [fields for _, fields in await group_of("a").read(10)] == [{b"n": b"1"}]


async def test_two_consumers_share_the_entries(redis_client: Redis, group_of: GroupOf) -> None:
    one, two = group_of("one"), group_of("two")
    await filled(redis_client, one, 4)
    read = [*await one.read(2), *await two.read(10)]
    assert [fields[b"n"] for _, fields in read] == [b"0", b"1", b"2", b"3"]


async def test_a_process_finds_what_one_of_its_name_left(redis_client: Redis, group_of: GroupOf) -> None:
    await filled(redis_client, group_of("same"), 3)
    first, *_ = await group_of("same").read(2)
    await group_of("same").acknowledge([first[0]])
    assert [fields[b"n"] for _, fields in await group_of("same").own(10)] == [b"1"]


async def test_what_a_dead_consumer_left_is_taken_over(redis_client: Redis, group_of: GroupOf) -> None:
    await filled(redis_client, group_of("dead"), 2)
    left = await group_of("dead").read(10)
    assert await group_of("heir").abandoned(10) == left


async def test_what_is_done_is_cut_off_and_what_is_pending_is_kept(redis_client: Redis, group_of: GroupOf) -> None:
    group = group_of("a")
    await filled(redis_client, group, 5)
    read = await group.read(3)
    await group.acknowledge([read[0][0], read[2][0]])
    await group.trim()
    # The second is pending, so it stays, and what came after it; the last two have not been read at all.
    assert [fields[b"n"] for fields in await entries(redis_client, RAW)] == [b"1", b"2", b"3", b"4"]
    await group.acknowledge([read[1][0]])
    await group.trim()
    assert [fields[b"n"] for fields in await entries(redis_client, RAW)] == [b"3", b"4"]
    await group.acknowledge([entry_id for entry_id, _ in await group.read(10)])
    await group.trim()
    assert not await entries(redis_client, RAW)


async def test_a_second_group_keeps_what_it_has_not_read(redis_client: Redis, group_of: GroupOf) -> None:
    group = group_of("a")
    await filled(redis_client, group, 2)
    await redis_client.xgroup_create(RAW, "statistics", id="0")
    await group.acknowledge([entry_id for entry_id, _ in await group.read(10)])
    await group.trim()
    assert len(await entries(redis_client, RAW)) == 2


async def test_a_redis_that_is_away_is_unavailable() -> None:
    async with Redis.from_url("unix:///nowhere/redis.sock") as client:
        group = Group(client=client, stream=RAW, group="g", consumer="c", claim_after_ms=0)
        for call in (group.create(), group.read(1), group.own(1), group.abandoned(1), group.trim()):
            with pytest.raises(Unavailable):
                await call
