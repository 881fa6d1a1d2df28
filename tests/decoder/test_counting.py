"""Each window counts each device once: what Python's sets say, whatever comes twice, late, or in another order."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from unittest.mock import patch
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.messages import Kind, Position
from core.windows import Width, Window, window_start
from decoder.batch import Batch
from state.slots import partition_of
from tests.conftest import NOON
from tests.decoder.conftest import effects_of, position
from tests.decoder.counters import counted_windows

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
        st.sampled_from(Kind),
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
