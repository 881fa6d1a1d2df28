"""What the sets of the version before come to: nothing is lost, and who comes again is not counted again."""

from collections import defaultdict
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.clock import system_clock
from core.messages import Position
from runtime.settings import CommonSettings
from state.client import open_redis
from state.layout import agree_on_layout
from state.slots import tag
from state.upgrade.partitions import Repartition
from state.upgrade.run import Migration
from state.upgrade.sets import minutes_of, packed_minutes
from state.windows import day_shift_ms
from tests.conftest import NOON
from tests.decoder.conftest import effects_of
from tests.decoder.counters import counted_windows
from tests.decoder.test_counting import EVERYTHING, ZONES, batch_of, expected, sightings


def sets_of(positions: list[Position], zone: ZoneInfo) -> dict[str, set[str]]:
    """What the version before kept of positions: a set for each window."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in positions:
        for member in expected([each], zone):
            found[member].add(each.device)
    return found


async def bring(url: str, redis_client: Redis, zone: ZoneInfo, partitions: int) -> None:
    async with open_redis(CommonSettings(redis_url=url)) as client:
        migration = Migration(
            source=client,
            target=client,
            partitions=partitions,
            shift_ms=day_shift_ms(zone),
            clock=system_clock,
        )
        await migration.run(await migration.look(), lambda *_: None)
    assert not [key async for key in redis_client.scan_iter("window:*")]


@given(st.sets(st.integers(0, 239), min_size=1))
def test_packed_minutes_are_read_again(minutes: set[int]) -> None:
    bits = sum(1 << minute for minute in minutes)
    assert minutes_of(packed_minutes(bits)) == bits


def test_minutes_are_packed_as_the_effects_write_them() -> None:
    # The first byte is the first five minutes, then a byte for each five of them.
    assert packed_minutes(1 << 0) == bytes([0, 1])
    assert packed_minutes(1 << 7 | 1 << 9 | 1 << 21) == bytes([1, 0b10100, 0, 0, 0b00010])


@settings(max_examples=60, deadline=None, suppress_health_check=EVERYTHING)
@given(
    before=sightings,
    after=sightings,
    zone=st.sampled_from(ZONES),
    partitions=st.sampled_from([1, 3]),
    data=st.data(),
)
async def test_windows_have_the_devices_that_were_in_them_before_and_after_the_upgrade_each_once(
    redis_client: Redis,
    redis_server: str,
    before: list[Position],
    after: list[Position],
    zone: str,
    partitions: int,
    data: st.DataObject,
) -> None:
    await redis_client.flushall()
    campus_zone = ZoneInfo(zone)
    for member, devices in sets_of(before, campus_zone).items():
        await redis_client.sadd(f"window:{member}", *devices)
    await bring(redis_server, redis_client, campus_zone, partitions)
    assert await counted_windows(redis_client, campus_zone) == expected(before, campus_zone)
    again = data.draw(st.lists(st.sampled_from(before), max_size=10)) if before else []
    shuffled = list(data.draw(st.permutations(after + again)))
    await effects_of(redis_client, partitions=partitions, zone=zone).apply(batch_of(shuffled, partitions), now=NOON)
    assert await counted_windows(redis_client, campus_zone) == expected([*before, *after], campus_zone)


@settings(max_examples=30, deadline=None, suppress_health_check=EVERYTHING)
@given(
    positions=st.tuples(sightings, sightings, sightings),
    numbers=st.tuples(*[st.sampled_from([1, 2, 3, 5])] * 3),
    data=st.data(),
)
async def test_another_number_of_partitions_changes_no_count(
    redis_client: Redis,
    redis_server: str,
    positions: tuple[list[Position], list[Position], list[Position]],
    numbers: tuple[int, int, int],
    data: st.DataObject,
) -> None:
    await redis_client.flushall()
    dublin = ZoneInfo("Europe/Dublin")
    seen: list[Position] = []
    was = numbers[0]
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        await agree_on_layout(client, was)
        for partitions, new in zip(numbers, positions, strict=True):
            if partitions != was:
                change = Repartition(
                    client=client,
                    was=was,
                    partitions=partitions,
                    shift_ms=day_shift_ms(dublin),
                    clock=system_clock,
                )
                await change.run()
                was = partitions
            again = data.draw(st.lists(st.sampled_from(seen), max_size=5)) if seen else []
            await effects_of(redis_client, partitions=partitions).apply(batch_of([*new, *again], partitions), now=NOON)
            seen += new
            assert await counted_windows(redis_client, dublin) == expected(seen, dublin)
            tags = {tag(partition, partitions).encode() for partition in range(partitions)}
            kept = [key.split(b":")[1] async for key in redis_client.scan_iter("seen:*")]
            assert set(kept) <= tags
