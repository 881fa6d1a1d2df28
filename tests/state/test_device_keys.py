"""Secrets of device hashes: made ahead, by whoever is first, and deleted when no position of their time may come."""

import asyncio
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from runtime.epochs import DeviceKey, Rotation, name_of
from state.device_keys import DEVICE_KEYS, DeviceKeys

DUBLIN = ZoneInfo("Europe/Dublin")
HOUR = 3_600_000
DAY = 24 * HOUR
TUESDAY = int(datetime.fromisoformat("2026-12-01T15:00:00+00:00").timestamp() * 1000)


def names(keys: list[DeviceKey]) -> list[str]:
    return [name_of(key.start, DUBLIN) for key in keys]


@pytest.fixture
def keys(service_redis: Redis) -> DeviceKeys:
    return DeviceKeys(service_redis)


async def test_there_are_keys_from_the_oldest_position_that_may_come_to_the_end_of_the_next_time(
    keys: DeviceKeys,
) -> None:
    made = await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    assert names(made) == ["2026-11-16", "2026-11-23", "2026-11-30", "2026-12-07"]
    assert all(one.end == other.start for one, other in pairwise(made))
    assert len({key.secret for key in made}) == 4
    assert {len(key.secret) for key in made} == {32}
    assert await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY) == made == await keys.read()


async def test_of_several_who_make_keys_at_once_all_have_the_same(service_redis: Redis) -> None:
    made = await asyncio.gather(
        *(DeviceKeys(service_redis).prepare(Rotation.DAY, DUBLIN, now=TUESDAY) for _ in range(5))
    )
    assert len(made[0]) == 11
    assert all(each == made[0] for each in made)


async def test_a_key_is_deleted_nine_days_after_its_end_and_is_not_made_again(keys: DeviceKeys) -> None:
    made = await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    # That of the week from 16 to 22 November is over at the midnight before the 23rd.
    assert await keys.destroy(now=made[0].end + 9 * DAY - 1) == []
    assert await keys.destroy(now=made[0].end + 9 * DAY) == [made[0]]
    assert names(await keys.prepare(Rotation.WEEK, DUBLIN, now=made[0].end + 9 * DAY)) == [
        *("2026-11-23", "2026-11-30", "2026-12-07"),
    ]
    assert names(await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY + 7 * DAY, wanted=[made[0].start])) == [
        *("2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"),
    ]


async def test_a_time_that_somebody_misses_gets_a_key_however_far_ahead_it_is(keys: DeviceKeys) -> None:
    made = await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY, wanted=[TUESDAY + 70 * DAY])
    assert names(made)[-2:] == ["2026-12-07", "2027-02-08"]


async def test_by_hand_a_key_begins_at_the_next_midnight_of_which_all_hear_in_time(keys: DeviceKeys) -> None:
    await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    at = await keys.rotate(Rotation.WEEK, DUBLIN, now=TUESDAY)
    assert (at, await keys.rotate(Rotation.WEEK, DUBLIN, now=TUESDAY + 8 * HOUR)) == (TUESDAY + 9 * HOUR,) * 2
    assert await keys.rotate(Rotation.WEEK, DUBLIN, now=TUESDAY + 9 * HOUR - 60_000) == TUESDAY + 33 * HOUR
    found = await keys.read()
    assert names(found) == ["2026-11-16", "2026-11-23", "2026-11-30", "2026-12-02", "2026-12-03"]
    assert all(one.end == other.start for one, other in pairwise(found))


async def test_another_rotation_holds_from_where_the_keys_end_and_sooner_by_hand(keys: DeviceKeys) -> None:
    weeks = await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    assert await keys.prepare(Rotation.DAY, DUBLIN, now=TUESDAY) == weeks
    await keys.rotate(Rotation.DAY, DUBLIN, now=TUESDAY)
    await keys.prepare(Rotation.DAY, DUBLIN, now=TUESDAY + DAY)
    assert names(await keys.read())[2:] == ["2026-11-30", "2026-12-02", "2026-12-03"]
    await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY + DAY)
    assert names(await keys.read())[2:] == ["2026-11-30", "2026-12-02", "2026-12-03", "2026-12-04", "2026-12-07"]


async def test_by_hand_no_key_is_left_that_was_made_ahead(keys: DeviceKeys) -> None:
    *_, ahead = await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    monday = TUESDAY + 5 * DAY + 9 * HOUR
    assert ahead.start == monday
    await keys.rotate(Rotation.DAY, DUBLIN, now=TUESDAY)
    of_week = await keys.prepare(Rotation.DAY, DUBLIN, now=monday)
    assert names(of_week)[-2:] == ["2026-12-07", "2026-12-08"]
    assert ahead.secret not in {key.secret for key in of_week}
    # On the eve of a time that has its key already, too.
    await keys.rotate(Rotation.DAY, DUBLIN, now=monday)
    assert of_week[-1].secret not in {key.secret for key in await keys.read()}


@pytest.mark.parametrize("field", [(b"x", b"1:" + b"ab" * 32), (b"1", b"9:ab"), (b"9", b"1:" + b"ab" * 32)])
async def test_what_is_no_key_is_named_and_no_other_is_made_in_its_place(
    keys: DeviceKeys, redis_client: Redis, field: tuple[bytes, bytes]
) -> None:
    await redis_client.hset(DEVICE_KEYS, *field)
    with pytest.raises(UnavailableError, match=r"device-keys:\{campus\} .* delete that field"):
        await keys.prepare(Rotation.WEEK, DUBLIN, now=TUESDAY)
    assert await redis_client.hgetall(DEVICE_KEYS) == dict([field])
