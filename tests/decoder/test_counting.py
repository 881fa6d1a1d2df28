"""Each window counts each device once: what Python's sets say, whatever comes twice, late, or in another order."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from core.kinds import DEFAULT_KINDS
from core.messages import Position
from core.windows import Width, Window, window_start
from decoder.batch import Batch
from state.devices import newest_key
from state.presence import presence_now
from state.seen import seen_key
from state.slots import partition_of, tag
from tests.conftest import NOON, eventually
from tests.decoder.conftest import TTL, effects_of, position
from tests.decoder.counters import counted_windows
from tests.kinds_of_tests import CAR

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SPRING, AUTUMN = 1_774_746_000_000, 1_792_890_000_000
"""29 March and 25 October 2026, 01:00 UTC: Dublin's clocks change, so these days have 23 and 25 hours."""
ZONES = ["Europe/Dublin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham", "Etc/GMT-14"]
EVERYTHING = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

times = st.one_of(
    # Close together: so that minutes, five minutes, hours and days have several, and their borders are met.
    st.builds(lambda at, steps: at + steps * MINUTE_MS, st.sampled_from([NOON, SPRING, AUTUMN]), st.integers(-90, 90)),
    st.builds(
        lambda at, steps: at + steps * 7 * MINUTE_MS, st.sampled_from([NOON, SPRING, AUTUMN]), st.integers(-500, 500)
    ),
)
sightings = st.lists(
    st.builds(
        lambda device, at, zones, kind: position(f"{device}-{kind}", at, *sorted(zones), kind=kind),
        st.sampled_from("abc"),
        times,
        st.sets(st.sampled_from(["main", "schuman", "a-zone-of-20-letters"]), max_size=2),
        st.sampled_from(DEFAULT_KINDS.ids),
    ),
    max_size=40,
)


def expected(positions: Iterable[Position], zone: ZoneInfo) -> dict[str, int]:
    windows: dict[str, set[str]] = defaultdict(set)
    for each in positions:
        for width in Width:
            for name in each.zones:
                start = window_start(width, each.observed_at, zone)
                windows[Window(width, start, name, each.kind).member].add(each.device)
    return {member: len(devices) for member, devices in windows.items()}


def batch_of(positions: list[Position], partitions: int) -> Batch:
    return Batch(positions=positions, partitions=[partition_of(each.device, partitions) for each in positions])


@settings(max_examples=150, deadline=None, suppress_health_check=EVERYTHING)
@given(
    positions=sightings,
    zone=st.sampled_from(ZONES),
    partitions=st.sampled_from([1, 3]),
    work=st.sampled_from([60, 4000]),
    data=st.data(),
)
async def test_counters_are_those_of_sets_in_any_order_and_pieces_and_with_repetitions(
    redis_client: Redis,
    positions: list[Position],
    zone: str,
    partitions: int,
    work: int,
    data: st.DataObject,
) -> None:
    await redis_client.flushall()
    again = data.draw(st.lists(st.sampled_from(positions), max_size=10)) if positions else []
    shuffled = list(data.draw(st.permutations(positions + again)))
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(shuffled))] * 3)))
    effects = effects_of(redis_client, partitions=partitions, zone=zone)
    with patch("state.effect_parts.MAX_WORK", work):
        for first, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
            await effects.apply(batch_of(shuffled[first:end], partitions), now=NOON)
    assert await counted_windows(redis_client, ZoneInfo(zone)) == expected(positions, ZoneInfo(zone))


async def test_any_two_minutes_near_borders_count_right_whichever_comes_first(redis_client: Redis) -> None:
    """A device for each pair: of the first and last of five minutes, of hours, and of sixths of a day."""
    minutes = [0, 1, 4, 5, 9, 54, 55, 59, 60, 64, 115, 119, 120, 235, 239, 240, 244]
    pairs = [(f"{first}-{second}", first, second) for first in minutes for second in minutes]
    effects = effects_of(redis_client)
    firsts = [position(device, NOON + first * MINUTE_MS) for device, first, _ in pairs]
    seconds = [position(device, NOON + second * MINUTE_MS) for device, _, second in pairs]
    # Beside one that is there, with others after it; and nothing of these is lost.
    thirds = [position(device, NOON + (first + 1) * MINUTE_MS) for device, first, _ in pairs]
    for some in (firsts, seconds, thirds, seconds, firsts):
        await effects.apply(Batch(positions=some), now=NOON)
    assert await counted_windows(redis_client) == expected(firsts + seconds + thirds, ZoneInfo("Europe/Dublin"))


@pytest.mark.parametrize("zone", [*ZONES, "Australia/Sydney"])
async def test_around_midnight_of_any_zone_days_count_right_in_winter_and_in_summer(
    redis_client: Redis, zone: str
) -> None:
    """Where clocks are an hour or half an hour off, the day of the keys has minutes of two dates."""
    starts = [window_start(Width.DAY, NOON + days * DAY_MS, ZoneInfo(zone)) for days in (-60, 0, 120, 237)]
    steps = [(first, second) for first in range(-125, 126, 25) for second in (-95, -35, -5, 5, 35, 65)]
    effects = effects_of(redis_client, zone=zone)
    firsts, seconds = (
        [position(f"{start}-{pair}", start + pair[index] * MINUTE_MS) for start in starts for pair in steps]
        for index in (0, 1)
    )
    for some in (firsts, seconds):
        await effects.apply(Batch(positions=some), now=NOON)
    assert await counted_windows(redis_client, ZoneInfo(zone)) == expected(firsts + seconds, ZoneInfo(zone))


@settings(max_examples=40, deadline=None, suppress_health_check=EVERYTHING)
@given(positions=sightings, partitions=st.sampled_from([1, 3]))
async def test_two_decoders_that_apply_the_same_batches_at_once_count_as_one(
    redis_client: Redis, positions: list[Position], partitions: int
) -> None:
    await redis_client.flushall()
    with patch("state.effect_parts.MAX_WORK", 60):
        await asyncio.gather(
            *(
                effects_of(redis_client, partitions=partitions).apply(batch_of(some, partitions), now=NOON)
                for some in (positions, positions[::-1], positions)
            )
        )
    dublin = ZoneInfo("Europe/Dublin")
    assert await counted_windows(redis_client, dublin) == expected(positions, dublin)


async def test_where_a_counter_cannot_be_raised_nothing_is_counted_and_the_next_attempt_counts_once(
    redis_client: Redis,
) -> None:
    """A key of another type is met after other counters were raised."""
    effects = effects_of(redis_client)
    batch = Batch(positions=[position(device, NOON, "main", "schuman") for device in "abc"])
    for key in ("count:{0}:m82054:schuman:car", "count:{0}:d20513:campus:car", "count:{0}:d20513:schuman:car"):
        await redis_client.set(key, "x")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await effects.apply(batch, now=NOON)
        await redis_client.delete(key)
        assert set((await counted_windows(redis_client)).values()) <= {0}
        assert not await redis_client.keys("seen:*")
        assert not await redis_client.keys("newest:*")
    for _ in range(2):
        await effects.apply(batch, now=NOON)
    assert await counted_windows(redis_client) == expected(batch.positions, ZoneInfo("Europe/Dublin"))


async def test_a_counter_that_is_no_number_begins_anew(redis_client: Redis) -> None:
    await redis_client.hset("count:{0}:d20513:campus:car", "h12", "many")
    await effects_of(redis_client).apply(Batch(positions=[position("a", NOON)]), now=NOON)
    assert set((await counted_windows(redis_client)).values()) == {1}


async def test_what_a_device_was_seen_in_is_not_looked_at_again_within_a_minute_and_its_zones(
    redis_client: Redis,
) -> None:
    """It would be written anew, for here it is lost each time."""
    effects = effects_of(redis_client)

    async def looks(*positions: Position) -> bool:
        for key in await redis_client.keys("seen:*"):
            await redis_client.delete(key)
        await effects.apply(Batch(positions=list(positions)), now=NOON)
        return bool(await redis_client.keys("seen:*"))

    assert await looks(position("a", NOON, "main"))
    assert not await looks(position("a", NOON + 30_000, "main"))
    assert await looks(position("a", NOON + 40_000, "schuman"))
    assert await looks(position("a", NOON + 60_000, "schuman"))
    assert await looks(position("a", NOON + 60_000, "main"), position("a", NOON + 61_000, "schuman"))


_LIVES = "local found = {} for index, key in ipairs(KEYS) do found[index] = redis.call('PTTL', key) end return found"


async def test_all_that_is_kept_of_a_day_ends_in_one_moment_48_hours_after_it(redis_client: Redis) -> None:
    effects = effects_of(redis_client)
    await effects.apply(Batch(positions=[position("a", NOON, "main")]), now=NOON)
    later = [position("b", NOON + HOUR_MS, "schuman"), position("a", NOON + 6 * HOUR_MS)]
    await effects.apply(Batch(positions=later), now=NOON + 6 * HOUR_MS)
    keys = [key for pattern in ("count:*", "seen:*", "life:*") for key in await redis_client.keys(pattern)]
    lives = cast("list[int]", await redis_client.eval(_LIVES, len(keys), *keys))
    assert len(keys) == 10
    assert len(set(lives)) == 1
    # Noon is twelve hours before the end of the day.
    assert 59 * HOUR_MS < lives[0] <= 60 * HOUR_MS
    assert await redis_client.zrange("lives:{0}", 0, -1) == [b"20513"]


async def test_a_day_that_is_over_lives_for_48_hours_from_when_it_was_first_counted_in(redis_client: Redis) -> None:
    await effects_of(redis_client).apply(Batch(positions=[position("a", NOON - 100 * DAY_MS)]), now=NOON)
    (life,) = await redis_client.keys("life:*")
    assert 47 * HOUR_MS < await redis_client.pttl(life) <= 48 * HOUR_MS


async def test_where_a_life_has_ended_counting_begins_anew_and_so_does_what_devices_were_seen_in(
    redis_client: Redis,
) -> None:
    """The day is given a life that is short enough to wait for."""
    effects = effects_of(redis_client)
    batch = Batch(positions=[position(device, NOON - 5 * DAY_MS) for device in "ab"])
    for _ in range(3):
        with patch("state.effect_parts.KEEP_MS", 300):
            await effects.apply(batch, now=NOON)
            await effects.apply(batch, now=NOON)

        async def ended() -> bool:
            return not any([await redis_client.keys(pattern) for pattern in ("count:*", "seen:*", "life:*")])

        await eventually(ended)
    await effects.apply(Batch(positions=batch.positions[:1]), now=NOON)
    assert set((await counted_windows(redis_client)).values()) == {1}


async def test_an_open_window_is_due_after_rollup_every_and_one_that_has_ended_at_once(redis_client: Redis) -> None:
    effects = effects_of(redis_client, rollup_every=10)
    await effects.apply(Batch(positions=[position("a", NOON - 55_000), position("a", NOON + 5000)]), now=NOON + 5000)
    due = dict(cast("Any", await redis_client.zrange("dirty:{0}", 0, -1, withscores=True)))
    assert due[f"1m:{NOON - MINUTE_MS}:campus:car".encode()] == NOON + 5000
    assert due[f"1m:{NOON}:campus:car".encode()] == NOON + 15_000
    # A mark that is there stays as it is.
    await effects.apply(Batch(positions=[position("b", NOON + 9000)]), now=NOON + 9000)
    assert dict(cast("Any", await redis_client.zrange("dirty:{0}", 0, -1, withscores=True))) == due


@pytest.mark.parametrize("partitions", [1, 3, 16])
async def test_devices_are_counted_in_their_partitions_and_all_lies_there(redis_client: Redis, partitions: int) -> None:
    devices = [f"device-{number}" for number in range(40)]
    batch = batch_of([position(device, NOON, "main") for device in devices], partitions)
    batch.positions[7] = position(devices[7], NOON - HOUR_MS, "main", place=(-8.1, 52.0))
    again = batch_of([position(devices[7], NOON, "main"), position(devices[8], NOON + 1, "main")], partitions)
    effects = effects_of(redis_client, partitions=partitions)
    await effects.apply(batch, now=NOON)
    applied = await effects.apply(again, now=NOON)
    assert applied.implausible == []
    jump = batch_of([position(each, NOON + 5, "main", place=(-8.1, 52.0)) for each in devices[8:11]], partitions)
    assert (await effects.apply(jump, now=NOON)).implausible == [0, 1, 2]
    present = await presence_now(redis_client, ["main"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=partitions)
    assert present["main"][CAR].devices == 40
    for device in devices:
        hash_tag = tag(partition_of(device, partitions), partitions)
        assert await redis_client.exists(newest_key(hash_tag, device), seen_key(hash_tag, 20513, device)) == 2
    assert len(await redis_client.keys("lives:*")) == len({partition_of(device, partitions) for device in devices})


async def test_a_zone_that_devices_leave_is_asked_for_where_the_batch_does_not_name_it(redis_client: Redis) -> None:
    """More sets than are remembered: each device comes from a zone of its own."""
    count = 60
    with patch("state.effects.SETS_REMEMBERED", 10):
        effects = effects_of(redis_client)
        there = [position(f"device-{number}", NOON - 1000, f"zone-{number}") for number in range(count)]
        await effects.apply(Batch(positions=there), now=NOON)
        here = [position(f"device-{number}", NOON, "main") for number in range(count)]
        await effects.apply(Batch(positions=here), now=NOON)
    assert sorted(await redis_client.keys("presence:*")) == [b"presence:{0}:campus:car", b"presence:{0}:main:car"]
    touched = cast("Any", await redis_client.zrange("touched:{0}", 0, -1, withscores=True))
    assert (len(touched), {number for _, number in touched}) == (count + 2, {2})
