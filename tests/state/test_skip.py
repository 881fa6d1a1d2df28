"""A group that passes over what it has not taken, and one that is removed: nothing of another group is lost."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from state import group as group_module
from state.group import Group
from tests.conftest import POSITIONS, entries

ARCHIVE, PARQUET = "archive", "export-parquet"
GroupOf = Callable[[str], Group]


@pytest.fixture
def group_named(service_redis: Redis) -> GroupOf:
    def make(name: str) -> Group:
        return Group(client=service_redis, stream=POSITIONS, group=name, consumer="a", claim_after_ms=0)

    return make


async def filled(client: Redis, count: int, *groups: Group) -> None:
    for group in groups:
        await group.create()
    for number in range(1, count + 1):
        await client.xadd(POSITIONS, {"n": number}, id=f"{number}-0")


async def numbers(client: Redis) -> list[int]:
    return [int(fields[b"n"]) for fields in await entries(client, POSITIONS)]


async def read_all(group: Group) -> list[int]:
    return [int(fields[b"n"]) for _, fields in await group.read(1000)]


async def test_what_is_pending_and_what_nobody_has_read_is_passed_over_up_to_an_entry_with_it(
    redis_client: Redis, group_named: GroupOf
) -> None:
    group = group_named(PARQUET)
    await filled(redis_client, 6, group)
    await group.read(2)
    assert await group.skip_before("4-0") == 4
    assert await numbers(redis_client) == [5, 6]
    assert await group.own(10) == []
    assert await read_all(group) == [5, 6]


async def test_what_is_younger_and_pending_stays_so(redis_client: Redis, group_named: GroupOf) -> None:
    group = group_named(PARQUET)
    await filled(redis_client, 4, group)
    await group.read(3)
    assert await group.skip_before("2-0") == 2
    assert [leftover.entry_id for leftover in await group.own(10)] == [b"3-0"]
    assert await read_all(group) == [4]


async def test_nothing_is_passed_over_twice(redis_client: Redis, group_named: GroupOf) -> None:
    group = group_named(PARQUET)
    await filled(redis_client, 2, group)
    assert [await group.skip_before("2-0") for _ in range(2)] == [2, 0]


async def test_another_group_still_has_what_one_passes_over(redis_client: Redis, group_named: GroupOf) -> None:
    archive, parquet = group_named(ARCHIVE), group_named(PARQUET)
    await filled(redis_client, 3, archive, parquet)
    assert await parquet.skip_before("3-0") == 3
    assert await numbers(redis_client) == [1, 2, 3]
    assert await read_all(archive) == [1, 2, 3]


@pytest.mark.parametrize("read", [0, 3, 5, 10])
async def test_more_than_one_script_passes_over_is_done_by_several(
    redis_client: Redis, group_named: GroupOf, monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    monkeypatch.setattr(group_module, "SKIPPED_AT_ONCE", 3)
    group = group_named(PARQUET)
    await filled(redis_client, 10, group)
    if read:
        await group.read(read)
    assert await group.skip_before("9-0") == 9
    assert await numbers(redis_client) == [10]


async def test_before_it_passes_over_it_can_be_seen_what(redis_client: Redis, group_named: GroupOf) -> None:
    group = group_named(PARQUET)
    await filled(redis_client, 5, group)
    assert await group.before("3-0", 2) == [(b"1-0", {b"n": b"1"}), (b"2-0", {b"n": b"2"})]
    read = await group.read(2)
    await group.acknowledge([read[0][0]])
    assert [entry_id for entry_id, _ in await group.before("4-0", 10)] == [b"2-0", b"3-0", b"4-0"]
    await group.acknowledge([read[1][0]])
    assert [entry_id for entry_id, _ in await group.before("4-0", 10)] == [b"3-0", b"4-0"]
    await group.skip_before("4-0")
    assert await group.before("4-0", 10) == []


async def test_of_a_group_that_is_removed_nothing_is_kept_any_more(redis_client: Redis, group_named: GroupOf) -> None:
    archive, parquet = group_named(ARCHIVE), group_named(PARQUET)
    await filled(redis_client, 3, archive, parquet)
    await archive.acknowledge([entry_id for entry_id, _ in await archive.read(2)])
    assert await numbers(redis_client) == [1, 2, 3]
    assert await parquet.destroy()
    assert await numbers(redis_client) == [3]
    assert not await parquet.destroy()
    assert [each["name"] for each in await redis_client.xinfo_groups(POSITIONS)] == [b"archive"]


async def test_where_there_is_no_stream_there_is_no_group_to_remove_and_none_is_made(
    redis_client: Redis, group_named: GroupOf
) -> None:
    assert not await group_named(PARQUET).destroy()
    assert not await redis_client.exists(POSITIONS)


async def test_leftovers_are_claimed_together_but_those_that_are_finished(
    redis_client: Redis, group_named: GroupOf
) -> None:
    group = group_named(PARQUET)
    await filled(redis_client, 4, group)
    await group.read(3)
    leftovers = await group.own(10)
    await group.acknowledge([b"2-0"])
    claimed = await group.claim_together(leftovers)
    assert [entry for entry in claimed if entry[1]] == [(b"1-0", {b"n": b"1"}), (b"3-0", {b"n": b"3"})]
    assert [leftover.deliveries for leftover in await group.own(10)] == [2, 2]
    assert await group.claim_together([]) == []


async def test_more_than_one_command_is_told_of_are_kept_and_acknowledged(
    redis_client: Redis, group_named: GroupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "AT_ONCE", 2)
    group = group_named(PARQUET)
    await filled(redis_client, 5, group)
    read = [entry_id for entry_id, _ in await group.read(5)]
    await group.claim_together(await group.own(10))
    await group.keep(read)
    assert [leftover.deliveries for leftover in await group.own(10)] == [1] * 5
    await group.acknowledge(read)
    assert await numbers(redis_client) == []
