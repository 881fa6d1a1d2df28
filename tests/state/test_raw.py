"""Appending to `raw`, reading it by messages, and what is said to wait in it."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.messages import RawMessage
from state.backlog import read_backlogs
from state.entries import Entry, encode_entry, group_of
from state.group import Leftover
from state.raw import Finisher, Part, Raw, keys_of
from state.raw_group import RawGroup
from state.status import read_status
from tests.conftest import NOON, RAW, TOTALS
from tests.raw_streams import append, append_each, raw_messages


def message(number: int = 0) -> RawMessage:
    return RawMessage("car-iotp", "", "anonymous", NOON, b"%d" % number)


def entry_of(count: int) -> Entry:
    return encode_entry([group_of(message(number)) for number in range(count)])


@pytest.fixture
async def group(redis_client: Redis) -> RawGroup:
    made = RawGroup(client=redis_client, partition=0, partitions=1, consumer="a", claim_after_ms=0)
    await made.create()
    return made


async def waiting(client: Redis) -> int:
    return next(each.waiting for each in await read_backlogs(client, 1) if each.group == "observe")


async def test_messages_wait_from_their_append_until_they_are_finished(redis_client: Redis, group: RawGroup) -> None:
    raw = Raw(client=redis_client, partitions=1)
    finisher = Finisher(client=redis_client, partitions=1, dead_letters_max=10)
    assert await raw.append(0, [entry_of(3), entry_of(4)], most=0) == (7, True)
    assert await waiting(redis_client) == 7
    first, second = [entry_id for entry_id, _ in await group.read(100)]
    assert await finisher.finish(0, [Part(first, 0, None, 3), Part(second, 0, 1, 1)], totals=Counter()) is None
    assert await waiting(redis_client) == 3
    assert await finisher.finish(0, [Part(second, 0, None, 4)], totals=Counter(messages=4)) == {second: 1}
    assert await waiting(redis_client) == 3
    assert await finisher.finish(0, [Part(second, 1, None, 3)], totals=Counter(messages=3)) is None
    assert (await waiting(redis_client), await redis_client.xlen(RAW)) == (0, 0)
    assert (await read_status(redis_client, 1)).totals == {"accepted": 7, "finished": 7, "messages": 3}


async def test_nothing_is_appended_where_more_wait_than_may(redis_client: Redis) -> None:
    raw = Raw(client=redis_client, partitions=1)
    assert await raw.append(0, [entry_of(5)], most=4) == (5, True)
    assert await raw.append(0, [entry_of(1)], most=4) == (5, False)
    assert await raw.append(0, [], most=5) == (5, True)
    assert len(await raw_messages(redis_client)) == 5


async def test_what_somebody_removes_by_hand_holds_up_nobody(redis_client: Redis, group: RawGroup) -> None:
    raw = Raw(client=redis_client, partitions=1)
    await raw.append(0, [entry_of(500)] * 3, most=0)
    await group.read(1)
    await redis_client.delete(RAW)
    assert await raw.append(0, [entry_of(2)], most=10) == (2, True)
    assert await redis_client.hmget(TOTALS, ["accepted", "finished"]) == [b"1502", b"1500"]


async def test_entries_of_the_version_before_wait_as_a_message_each(redis_client: Redis) -> None:
    for number in range(3):
        await redis_client.xadd(RAW, message(number).encode())  # type: ignore[arg-type]
    assert await waiting(redis_client) == 3
    assert await Raw(client=redis_client, partitions=1).append(0, [entry_of(1)], most=2) == (3, False)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.sampled_from([1, 2, 30, 499, 500]), min_size=1, max_size=40), count=st.sampled_from([1, 50, 500])
)
async def test_reads_hold_about_as_many_messages_as_are_wanted_and_all_of_them_in_order(
    redis_client: Redis, sizes: list[int], count: int
) -> None:
    await redis_client.flushall()
    group = RawGroup(client=redis_client, partition=0, partitions=1, consumer="a", claim_after_ms=0)
    await group.create()
    sent = [Entry(size, entry_of(size).batch) for size in sizes]
    await Raw(client=redis_client, partitions=1).append(0, sent, most=0)
    read: list[int] = []
    while sum(read) < sum(sizes):
        found = [group.size([entry]) for entry in await group.read(count)]
        assert sum(found) < count + 16 * 500
        # It is enough, or all there is.
        assert sum(found) >= min(count, sum(sizes) - sum(read))
        read += found
    assert read == sizes


async def test_an_entry_that_is_taken_apart_keeps_its_messages_and_its_count(
    redis_client: Redis, group: RawGroup
) -> None:
    await append(redis_client, *map(message, range(5)))
    ((entry_id, _),) = await group.read(10)
    finisher = Finisher(client=redis_client, partitions=1, dead_letters_max=10)
    await finisher.finish(0, [Part(entry_id, 0, 2, 2)], totals=Counter(messages=2))
    assert await group.split(Leftover(entry_id, 2, 0))
    assert await raw_messages(redis_client) == [message(2), message(3), message(4)]
    assert (await redis_client.xlen(RAW), await waiting(redis_client)) == (3, 3)
    assert not await group.own(10)
    assert not await redis_client.exists(keys_of(0, 1).progress)
    # Nobody does it twice, and not what was finished meanwhile.
    assert not await group.split(Leftover(entry_id, 2, 0))


async def test_an_entry_of_one_message_and_one_that_nobody_can_read_are_not_taken_apart(
    redis_client: Redis, group: RawGroup
) -> None:
    await append_each(redis_client, message())
    await redis_client.xadd(RAW, {"n": 7, "b": "nonsense"})
    for entry_id, _ in await group.read(10):
        assert not await group.split(Leftover(entry_id, 2, 0))
