"""What is gathered for a file: for how long, how much, and what becomes of it where somebody dies or goes away."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.messages import encode_positions
from decoder.gathering import GatheringGroup, array_length
from runtime.service import Stop
from state import group as group_module
from state.group import Entry
from tests.conftest import POSITIONS, eventually
from tests.decoder.conftest import HandClock
from tests.decoder.exported import appended, some

GROUP = "export-parquet"


@pytest.fixture(autouse=True)
def _blocks_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "BLOCK_MS", 1)


@pytest.fixture
def seconds() -> HandClock:
    return HandClock(0)


Make = Callable[..., GatheringGroup]


@pytest.fixture
async def gathering(service_redis: Redis, seconds: HandClock) -> Make:
    def make(**given: object) -> GatheringGroup:
        options: dict[str, object] = {"every": 120.0, "most": 10, "claim_after_ms": 30_000, "seconds": seconds} | given
        return GatheringGroup(client=service_redis, stream=POSITIONS, group=GROUP, consumer="a", **options)  # type: ignore[arg-type]

    await make().create()
    return make


async def deliveries(group: GatheringGroup) -> list[int]:
    return [leftover.deliveries for leftover in await group.own(100)]


async def has_read(group: GatheringGroup, count: int) -> bool:
    return len(await group.own(100)) == count


async def test_where_nothing_arrives_nothing_is_waited_for(gathering: Make) -> None:
    assert await gathering().read(50) == []


async def test_entries_are_gathered_until_they_hold_enough(redis_client: Redis, gathering: Make) -> None:
    group = gathering()
    reading = asyncio.ensure_future(group.read(50))
    await appended(redis_client, *some(6))
    await eventually(lambda: has_read(group, 1))
    assert not reading.done()
    await appended(redis_client, *some(4, first=6))
    entries = await reading
    assert (len(entries), group.size(entries)) == (2, 10)


async def test_entries_are_gathered_until_time_is_up(redis_client: Redis, gathering: Make, seconds: HandClock) -> None:
    group = gathering()
    seconds.now = 1000
    await appended(redis_client, *some(1))
    reading = asyncio.ensure_future(group.read(50))
    await eventually(lambda: has_read(group, 1))
    seconds.now = 1119
    await appended(redis_client, *some(1))
    await eventually(lambda: has_read(group, 2))
    assert not reading.done()
    seconds.now = 1120
    assert len(await reading) == 2
    assert await group.read(50) == []


async def test_whoever_is_in_a_hurry_has_at_once_what_there_is(redis_client: Redis, gathering: Make) -> None:
    await appended(redis_client, *some(1))
    assert len(await gathering(hurry=lambda: True).read(50)) == 1


async def test_whoever_is_to_stop_has_at_once_what_there_is(redis_client: Redis, gathering: Make) -> None:
    group, stop = gathering(), Stop()
    group.end_with(stop)
    await appended(redis_client, *some(1))
    reading = asyncio.ensure_future(group.read(50))
    await eventually(lambda: has_read(group, 1))
    stop.set()
    assert len(await reading) == 1


async def test_what_is_gathered_is_told_to_be_in_hand_and_not_that_it_is_done(
    redis_client: Redis, gathering: Make, seconds: HandClock
) -> None:
    group = gathering()
    await appended(redis_client, *some(1))
    reading = asyncio.ensure_future(group.read(50))
    await eventually(lambda: has_read(group, 1))
    # Somebody had it before: that is forgotten once it does no harm.
    await redis_client.xclaim(POSITIONS, GROUP, "a", 0, [(await group.own(1))[0].entry_id], retrycount=4)

    async def is_forgotten() -> bool:
        return await deliveries(group) == [1]

    seconds.now = 10
    await eventually(is_forgotten)
    seconds.now = 120
    assert len(await reading) == 1
    assert await has_read(group, 1)


async def test_what_somebody_else_has_taken_over_is_not_taken_back(
    redis_client: Redis, gathering: Make, seconds: HandClock
) -> None:
    group = gathering()
    for number in range(2):
        await appended(redis_client, *some(1, first=number))
    reading = asyncio.ensure_future(group.read(50))
    await eventually(lambda: has_read(group, 2))
    [first, second] = await group.own(2)
    await redis_client.xclaim(POSITIONS, GROUP, "b", 0, [first.entry_id])
    await redis_client.xclaim(POSITIONS, GROUP, "a", 0, [second.entry_id], retrycount=4)

    async def has_kept() -> bool:
        return await deliveries(group) == [1]

    seconds.now = 10
    await eventually(has_kept)
    seconds.now = 120
    assert [entry_id for entry_id, _ in await reading] == [second.entry_id]
    of_others = await redis_client.xpending_range(POSITIONS, GROUP, "-", "+", 10, consumername="b")
    assert [each["message_id"] for each in of_others] == [first.entry_id]


async def test_what_was_gathered_when_redis_went_away_is_handed_on_later(
    redis_client: Redis, gathering: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = gathering()
    await appended(redis_client, *some(6))
    read, answers = group_module.Group.read, 0

    async def once(self: group_module.Group, count: int) -> list[Entry]:
        nonlocal answers
        answers += 1
        if answers == 2:
            raise UnavailableError("Redis does not answer")
        return await read(self, count)

    monkeypatch.setattr(group_module.Group, "read", once)
    with pytest.raises(UnavailableError):
        await group.read(50)
    await appended(redis_client, *some(4, first=6))
    assert group.size(await group.read(50)) == 10


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_how_many_positions_an_entry_has_is_known_without_reading_them(count: int) -> None:
    assert array_length(encode_positions(some(1) * count)) == count


@pytest.mark.parametrize("packed", [b"", b"\xc0", b"\x81\xa1a\x01", b"\xdc", b"{}"])
def test_what_is_no_array_has_none(packed: bytes) -> None:
    assert array_length(packed) == 0
