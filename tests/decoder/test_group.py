from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from core.errors import Reason, UnavailableError
from core.messages import DeadLetter
from state.group import Entry, Group, Leftover
from tests.conftest import NOON, RAW, TOTALS, entries
from tests.decoder.conftest import dead_letters

OBSERVE_GROUP = "observe"

GroupOf = Callable[[str], Group]


def claiming(client: Redis, consumer: str, *, after_ms: int) -> Group:
    return Group(client=client, stream=RAW, group=OBSERVE_GROUP, consumer=consumer, claim_after_ms=after_ms)


async def long_ago(client: Redis, consumer: str, entries: list[Entry]) -> None:
    """Let Redis believe that entries were delivered two minutes ago."""
    ids = [entry_id for entry_id, _ in entries]
    await client.xclaim(RAW, OBSERVE_GROUP, consumer, 0, ids, idle=120_000, justid=True)  # type: ignore[arg-type]


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
    group = group_of("same")
    await filled(redis_client, group, 3)
    (done, _), unfinished = await group.read(2)
    await group.acknowledge([done])
    (leftover,) = await group_of("same").own(10)
    assert await group_of("same").claim(leftover) == unfinished


async def test_what_a_dead_consumer_left_is_taken_over(redis_client: Redis, group_of: GroupOf) -> None:
    await filled(redis_client, group_of("dead"), 2)
    left = await group_of("dead").read(10)
    heir = group_of("heir")
    assert [await heir.claim(leftover) for leftover in await heir.abandoned(10)] == left


async def test_only_a_claim_counts_as_a_delivery(redis_client: Redis, group_of: GroupOf) -> None:
    group = group_of("a")
    await filled(redis_client, group, 3)
    await group.read(3)
    for expected in (1, 2, 3):
        first, *others = await group.own(10)
        assert (first.deliveries, [other.deliveries for other in others]) == (expected, [1, 1])
        await group.look(first)
        await group.claim(first)


async def test_abandoned_entries_are_found_behind_any_number_of_others(redis_client: Redis, group_of: GroupOf) -> None:
    """XAUTOCLAIM looks at ten times its count and gives up: it would never come to the last two."""
    heir = claiming(redis_client, "heir", after_ms=60_000)
    await filled(redis_client, heir, 52)
    await group_of("alive").read(50)
    left = await group_of("dead").read(2)
    await long_ago(redis_client, "dead", left)
    assert [leftover.entry_id for leftover in await heir.abandoned(1)] == [left[0][0]]
    assert [leftover.entry_id for leftover in await heir.abandoned(5)] == [entry_id for entry_id, _ in left]


async def test_of_two_who_take_over_the_same_entry_one_has_it(redis_client: Redis, group_of: GroupOf) -> None:
    one, two = (claiming(redis_client, name, after_ms=60_000) for name in ("one", "two"))
    await filled(redis_client, one, 1)
    await long_ago(redis_client, "dead", await group_of("dead").read(1))
    (leftover,) = await one.abandoned(5)
    assert await two.claim(leftover) is not None
    assert await one.claim(leftover) is None


async def test_what_was_cut_off_by_hand_is_no_leftover_for_long(redis_client: Redis, group_of: GroupOf) -> None:
    group = group_of("a")
    await filled(redis_client, group, 1)
    ((entry_id, _),) = await group.read(1)
    await redis_client.xdel(RAW, entry_id)
    (leftover,) = await group.own(5)
    assert await group.look(leftover) == (entry_id, {})
    # Redis 7 forgets it; Redis 6 hands it on without fields, to be acknowledged.
    assert await group.claim(leftover) in (None, (entry_id, {}))


async def test_an_entry_in_hand_is_not_taken_over_and_one_given_back_is_at_once(redis_client: Redis) -> None:
    holder, heir = (claiming(redis_client, name, after_ms=60_000) for name in ("holder", "heir"))
    await filled(redis_client, holder, 1)
    left = await holder.read(1)
    (leftover,) = await holder.own(1)
    await holder.claim(leftover)
    await long_ago(redis_client, "holder", left)
    assert await heir.abandoned(5)
    await holder.keep([left[0][0]])
    assert not await heir.abandoned(5)
    await holder.give_back([left[0][0]])
    (again,) = await heir.abandoned(5)
    assert again.deliveries == 1
    await holder.acknowledge([left[0][0]])
    await holder.keep([left[0][0]])
    assert not await holder.own(5)


async def test_an_entry_becomes_a_dead_letter_once(redis_client: Redis, group_of: GroupOf) -> None:
    group = group_of("a")
    await filled(redis_client, group, 1)
    ((entry_id, _),) = await group.read(1)
    letter = DeadLetter(Reason.POISON, "it kills", "car-iotp", NOON, payload=None)
    assert await group.dead_letter(entry_id, letter, 10)
    assert not await group.dead_letter(entry_id, letter, 10)
    assert await dead_letters(redis_client) == [letter]
    assert await redis_client.hgetall(TOTALS) == {b"dead:poison": b"1"}
    assert not await group.own(5)
    assert not await entries(redis_client, RAW)


async def test_consumers_are_removed_when_they_are_gone_and_nothing_is_pending_for_them(
    redis_client: Redis, group_of: GroupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(redis_client, group_of("holder"), 1)
    await group_of("holder").read(1)
    await redis_client.xgroup_createconsumer(RAW, OBSERVE_GROUP, "gone")
    assert await group_of("alive").dismiss() == []
    monkeypatch.setattr("state.group.GONE_AFTER_MS", -1)
    assert await group_of("alive").dismiss() == ["gone"]
    consumers = await redis_client.xinfo_consumers(RAW, OBSERVE_GROUP)
    assert [consumer["name"] for consumer in consumers] == [b"holder"]
    assert len(await group_of("holder").own(5)) == 1


async def test_what_is_acknowledged_is_cut_off_at_once_and_what_is_pending_is_kept(
    redis_client: Redis, group_of: GroupOf
) -> None:
    group = group_of("a")
    await filled(redis_client, group, 5)
    read = await group.read(3)
    await group.acknowledge([read[0][0], read[2][0]])
    # The second is pending, so it stays, and what came after it; the last two have not been read at all.
    assert [fields[b"n"] for fields in await entries(redis_client, RAW)] == [b"1", b"2", b"3", b"4"]
    await group.acknowledge([read[1][0]])
    assert [fields[b"n"] for fields in await entries(redis_client, RAW)] == [b"3", b"4"]
    await group.acknowledge([entry_id for entry_id, _ in await group.read(10)])
    assert not await entries(redis_client, RAW)


async def test_what_a_second_group_has_not_acknowledged_stays_until_it_has(
    redis_client: Redis, group_of: GroupOf
) -> None:
    group = group_of("a")
    await filled(redis_client, group, 2)
    await redis_client.xgroup_create(RAW, "statistics", id="0")
    read = [entry_id for entry_id, _ in await group.read(10)]
    await group.acknowledge(read)
    assert len(await entries(redis_client, RAW)) == 2
    await redis_client.xreadgroup("statistics", "s", {RAW: ">"})
    await redis_client.xack(RAW, "statistics", *read)
    await group.trim()
    assert not await entries(redis_client, RAW)


async def test_a_redis_that_is_away_is_unavailable(away_redis: Redis) -> None:
    group = Group(client=away_redis, stream=RAW, group="g", consumer="c", claim_after_ms=0)
    leftover = Leftover(b"1-0", 1, 0)
    letter = DeadLetter(Reason.POISON, "it kills", "", NOON, payload=None)
    for call in (
        group.create(),
        group.read(1),
        group.own(1),
        group.abandoned(1),
        group.claim(leftover),
        group.claim_together([leftover]),
        group.before("1-0", 1),
        group.skip_before("1-0"),
        group.destroy(),
        group.look(leftover),
        group.keep([b"1-0"]),
        group.dead_letter(b"1-0", letter, 1),
        group.acknowledge([b"1-0"]),
        group.trim(),
        group.dismiss(),
    ):
        with pytest.raises(UnavailableError):
            await call
