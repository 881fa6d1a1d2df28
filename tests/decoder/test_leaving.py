"""Who reports from outside is not counted any more, at once, and nothing tells where it went."""

import base64
import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from decoder.batch import Batch, BatchDecoder
from decoder.effects import Effects
from decoder.housekeeping import Housekeeping
from state.devices import away_key, away_keys, newest_key, newest_value
from state.effect_parts import Outside
from state.presence import presence_key, presence_now
from tests.conftest import NOON
from tests.decoder.conftest import HASHER, TTL, Apply, HandClock, dead_letters, position, raw
from tests.kinds_of_tests import CAR

AHEAD_MS = 300_000

AWAY = (-8.66, 52.63)
HOUR_MS = 3_600_000
TAG = "{0}"
Seen = Position | Outside


def outside(device: str, at: int) -> Outside:
    return Outside(CAR, device, at)


def batch_of(seen: list[Seen]) -> Batch:
    inside = [each for each in seen if isinstance(each, Position)]
    away: dict[str, Outside] = {}
    for each in seen:
        if isinstance(each, Outside) and each.observed_at > getattr(away.get(each.device), "observed_at", -1):
            away[each.device] = each
    return Batch(positions=inside, outside=list(away.values()))


def expected(seen: list[Seen]) -> dict[str, int]:
    """Devices by zone: of each device the newest counts; of the same time, inside, and the greater zones."""
    newest: dict[str, tuple[int, str]] = {}
    for each in seen:
        zones = ",".join(each.zones) if isinstance(each, Position) else ""
        newest[each.device] = max(newest.get(each.device, (NOON - TTL * 1000, "")), (each.observed_at, zones))
    counts: dict[str, int] = {}
    for at, zones in newest.values():
        for zone in zones.split(",") if zones and at > NOON - TTL * 1000 else ():
            counts[zone] = counts.get(zone, 0) + 1
    return counts


async def counted(client: Redis, *zones: str, now: int = NOON) -> dict[str, int]:
    present = await presence_now(client, ["campus", *zones], DEFAULT_KINDS, now=now, ttl=TTL, partitions=1)
    return {zone: kinds[CAR].devices for zone, kinds in present.items() if kinds[CAR].devices}


ages = st.integers(0, 8).map(lambda age: NOON - age * 60_000)
devices = st.sampled_from(["a", "b"])
sightings = st.lists(
    st.builds(position, devices, ages, st.sampled_from(["main", "schuman"])) | st.builds(outside, devices, ages),
    max_size=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=sightings, data=st.data())
async def test_in_any_order_and_pieces_those_count_whose_newest_position_is_inside(
    redis_client: Redis, apply: Apply, seen: list[Seen], data: st.DataObject
) -> None:
    await redis_client.flushall()
    again = data.draw(st.lists(st.sampled_from(seen), max_size=3)) if seen else []
    shuffled = data.draw(st.permutations(seen + again))
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(shuffled))] * 2)))
    for some in (shuffled[:first], shuffled[first:second], shuffled[second:]):
        await apply(batch_of(list(some)))
    assert await counted(redis_client, "main", "schuman") == expected(seen)


async def test_who_leaves_is_gone_with_the_place_where_it_was(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON - 1000, "main"), position("b", NOON - 1000, "main")]))
    await apply(Batch(outside=[outside("a", NOON)]))
    assert await counted(redis_client, "main") == {"campus": 1, "main": 1}
    assert await redis_client.zscore(presence_key(TAG, "main", CAR), "a") is None
    assert not await redis_client.exists(newest_key(TAG, "a"))


async def test_of_who_is_outside_stays_a_time_that_lapses_under_a_name_of_its_own(
    redis_client: Redis, apply: Apply
) -> None:
    """The hash that its documents have, when it is on the campus, is in no key and no value."""
    device = HASHER.hash(CAR, "bus")
    await apply(Batch(outside=[outside(device, NOON - 1000)]))
    away = HASHER.away(device)
    keys = {key.decode() for key in cast("list[bytes]", await redis_client.keys("*"))}
    assert keys == {"raw:{0}", f"away:{{0}}:{away[0]}"}
    assert await redis_client.zrange(away_key(TAG, away), 0, -1, withscores=True) == [(away.encode(), NOON - 1000)]
    assert 0 < await redis_client.pttl(away_key(TAG, away)) <= (TTL + 300) * 1000
    assert (len(away), away in device) == (16, False)


async def test_a_time_outside_is_removed_once_it_does_not_matter(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(outside=[outside(str(number), NOON - 1000 + number) for number in range(40)]))
    clock = HandClock(NOON - 1000 + TTL * 1000 + 20)
    housekeeping = Housekeeping(
        kinds=DEFAULT_KINDS,
        client=redis_client,
        partitions=1,
        zones=list,
        presence_ttl=TTL,
        forget_after=60,
        dead_letters_keep=1000,
        clock=clock,
    )
    await housekeeping.tidy()
    assert sum([await redis_client.zcard(key) for key in away_keys(TAG)]) == 19


async def test_who_comes_back_leaves_no_word_of_having_been_outside(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(outside=[outside("a", NOON - 1000)]))
    await apply(Batch(positions=[position("a", NOON, "main")]))
    assert not await redis_client.keys("away:*")
    assert await counted(redis_client, "main") == {"campus": 1, "main": 1}


async def test_who_was_outside_too_long_ago_to_matter_leaves_nothing(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(outside=[outside("a", NOON - TTL * 1000)]))
    assert not await redis_client.keys("away:*")


def test_a_batch_names_each_device_outside_once_and_no_place(decoder: BatchDecoder) -> None:
    def fix(at: int) -> dict[str, Any]:
        return {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(AWAY)},
            "properties": {"device_id": "bus", "timestamp": at},
        }

    document = {"type": "FeatureCollection", "features": [fix(NOON - 1000), fix(NOON), fix(NOON - 2000)]}
    batch = decoder.decode([raw(base64.b64encode(json.dumps(document).encode()))])
    assert batch.outside == [Outside(CAR, HASHER.hash(CAR, "bus"), NOON)]
    assert batch.totals == {"messages": 1, "outside": 3}


async def test_a_time_an_hour_ahead_is_unknown_once_the_clock_is_right(redis_client: Redis, apply: Apply) -> None:
    """The device moves at its next position, and is not counted where it was."""
    ahead = newest_value(NOON + HOUR_MS, -8.57, 52.67, "campus,main")
    await redis_client.set(newest_key(TAG, "a"), ahead)
    for zone in ("campus", "main"):
        await redis_client.zadd(presence_key(TAG, zone, CAR), {"a": NOON + HOUR_MS})
    assert await counted(redis_client, "main", "schuman") == {}
    await apply(Batch(positions=[position("a", NOON, "schuman")]))
    assert await counted(redis_client, "main", "schuman") == {"campus": 1, "schuman": 1}
    assert await redis_client.zscore(presence_key(TAG, "main", CAR), "a") is None


async def test_a_time_outside_an_hour_ahead_is_unknown_once_the_clock_is_right(
    redis_client: Redis, apply: Apply
) -> None:
    away = HASHER.away("a")
    await redis_client.zadd(away_key(TAG, away), {away: NOON + HOUR_MS})
    await apply(Batch(outside=[outside("a", NOON - 1000)]))
    assert await redis_client.zscore(away_key(TAG, away), away) == NOON - 1000
    await redis_client.zadd(away_key(TAG, away), {away: NOON + HOUR_MS})
    await apply(Batch(positions=[position("a", NOON, "main")]))
    assert await counted(redis_client, "main") == {"campus": 1, "main": 1}


@pytest.mark.parametrize(("ahead", "present"), [(AHEAD_MS, {"campus": 1}), (AHEAD_MS + 1, {})])
async def test_five_minutes_ahead_a_clock_may_be(
    redis_client: Redis, apply: Apply, ahead: int, present: dict[str, int]
) -> None:
    await apply(Batch(positions=[position("a", NOON + ahead)]))
    assert await counted(redis_client) == present
    assert len(await redis_client.keys("newest:*")) == len(present)


async def test_who_was_there_by_a_clock_ahead_can_leave(redis_client: Redis, apply: Apply) -> None:
    ahead = newest_value(NOON + HOUR_MS, -8.57, 52.67, "campus")
    await redis_client.set(newest_key(TAG, "a"), ahead)
    await redis_client.zadd(presence_key(TAG, "campus", CAR), {"a": NOON + HOUR_MS})
    await apply(Batch(outside=[outside("a", NOON)]))
    assert not await redis_client.keys("presence:*")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x01",
        b"garbage",
        b"\x01" + bytes(24),
        msgspec.msgpack.encode((NOON, -8.57, 52.67, "campus")),
        b"\xff" * 40,
    ],
)
async def test_a_newest_position_that_cannot_be_read_is_a_dead_letter_once_and_the_rest_goes_on(
    redis_client: Redis, apply: Apply, value: bytes
) -> None:
    await redis_client.set(newest_key(TAG, "a"), value)
    old = [position("a", NOON - TTL * 2000), position("b", NOON)]
    await apply(Batch(positions=old))
    await apply(Batch(positions=old))
    (letter,) = await dead_letters(redis_client)
    assert (letter.reason, letter.payload, letter.topic) == (Reason.MALFORMED_ENTRY, None, "")
    assert await redis_client.hget("totals:{0}", "dead:malformed_entry") == b"1"
    assert await counted(redis_client) == {"campus": 1}


async def test_who_is_told_of_what_cannot_be_read(redis_client: Redis, effects: Effects) -> None:
    await redis_client.set(newest_key(TAG, "a"), "garbage")
    assert await effects.apply(Batch(positions=[position("a", NOON)]), now=NOON) == (1, [], 0)
