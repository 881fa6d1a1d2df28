"""Hashes whose keys rotate: what a decoder makes of positions around the midnight at which another key begins."""

import asyncio
import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.device_keys import KeyKeeper
from decoder.devices import DeviceHasher
from decoder.effects import Effects
from decoder.metrics import DecoderMetrics
from geofence import Geofence
from runtime.devices import DestroyedKeyError, MissingKeyError
from runtime.epochs import DeviceKey, Rotation
from runtime.service import Stop
from state.device_keys import DeviceKeys
from state.presence import presence_now
from tests.conftest import eventually
from tests.decoder.conftest import LIBRARY, TTL, HandClock, effects_of
from tests.decoder.counters import counted_windows
from tests.kinds_of_tests import CAR
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports, until

DUBLIN = ZoneInfo("Europe/Dublin")
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
MONDAY = int(datetime.fromisoformat("2026-12-07T00:00:00+00:00").timestamp() * 1000)
KEYS = [DeviceKey(MONDAY - 7 * DAY, MONDAY, b"1" * 32), DeviceKey(MONDAY, MONDAY + 7 * DAY, b"2" * 32)]
OUTSIDE = (-8.6, 52.7)


def hasher(keys: Sequence[DeviceKey] = KEYS, *, key: bytes = b"k" * 32) -> DeviceHasher:
    made = DeviceHasher(key, rotates=True)
    made.take_up(keys, destroyed_until=KEYS[0].start)
    return made


def batch_decoder(fence: Geofence, *, by_source: bool = False, keys: Sequence[DeviceKey] = KEYS) -> BatchDecoder:
    return BatchDecoder(
        kinds=DEFAULT_KINDS, fence=fence, hasher=hasher(keys), partitions=1, presence_ttl=TTL, by_source=by_source
    )


def sent(
    at: int,
    *,
    place: tuple[float, float] = LIBRARY,
    received_at: int | None = None,
    role: str = "anonymous",
    user: str = "",
    device: str = "my-car",
) -> RawMessage:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(place)},
        "properties": {"device_id": device, "timestamp": at},
    }
    payload = base64.b64encode(json.dumps(feature).encode())
    return RawMessage("car-iotp", user, role, at if received_at is None else received_at, payload)


def test_a_hash_is_of_the_week_of_the_position_and_of_both_secrets() -> None:
    one = hasher()
    week = one.hash(CAR, "bus", at=MONDAY - 1)
    assert one.hash(CAR, "bus", at=MONDAY - 7 * DAY) == week
    others = {
        one.hash(CAR, "bus", at=MONDAY),
        hasher(key=b"o" * 32).hash(CAR, "bus", at=MONDAY - 1),
        hasher([KEYS[0]._replace(secret=b"3" * 32)]).hash(CAR, "bus", at=MONDAY - 1),
        DeviceHasher(b"k" * 32).hash(CAR, "bus"),
    }
    assert len(others | {week}) == 5
    assert {len(each) for each in others} == {32}


def test_a_time_without_a_key_has_no_hash() -> None:
    with pytest.raises(MissingKeyError):
        hasher().hash(CAR, "bus", at=MONDAY + 7 * DAY)
    with pytest.raises(DestroyedKeyError):
        hasher().hash(CAR, "bus", at=MONDAY - 7 * DAY - 1)
    with pytest.raises(ValueError, match="is of a time"):
        hasher().hash(CAR, "bus")


@pytest.mark.parametrize("rotates", [False, True])
def test_no_choice_of_an_id_makes_the_device_of_another_source(*, rotates: bool) -> None:
    one = hasher() if rotates else DeviceHasher(b"k" * 32)
    names = ["a", "gateway:g\0a", "a\0gateway:g", "gateway:ga"]
    hashes = [one.hash(CAR, name, source=source, at=MONDAY) for name in names for source in ("", "gateway:g", "key:1")]
    assert len(set(hashes)) == 12


def test_all_hashes_of_a_device_are_those_of_each_key_and_source_and_that_of_before() -> None:
    found = hasher().hashes(CAR, "bus", keys=KEYS, sources=["gateway:g"])
    assert found == [
        DeviceHasher(b"k" * 32).hash(CAR, "bus"),
        DeviceHasher(b"k" * 32).hash(CAR, "bus", source="gateway:g"),
        *(
            hasher().hash(CAR, "bus", source=source, at=at)
            for at in (MONDAY - 1, MONDAY)
            for source in ("", "gateway:g")
        ),
    ]


def test_a_late_position_has_the_hash_of_its_own_week(fence: Geofence) -> None:
    late, new = batch_decoder(fence).decode([sent(MONDAY - DAY, received_at=MONDAY + DAY), sent(MONDAY)]).positions
    assert [late.device, new.device] == [hasher().hash(CAR, "my-car", at=at) for at in (MONDAY - 1, MONDAY)]


def test_what_waited_until_its_key_was_destroyed_is_a_dead_letter_without_a_word_of_it(fence: Geofence) -> None:
    old = sent(MONDAY - 8 * DAY, received_at=MONDAY - 2 * DAY)
    batch = batch_decoder(fence).decode([old, sent(MONDAY)])
    assert len(batch.positions) == 1
    (letter,) = batch.dead
    assert (letter.reason, letter.payload, letter.user, letter.topic) == (Reason.TOO_OLD, None, "", "car-iotp")
    assert (batch.totals["positions"], batch.totals["outside"], batch.taken) == (1, 0, 2)


def test_who_sends_is_a_part_of_who_a_device_is_only_where_that_is_wanted(fence: Geofence) -> None:
    messages = [
        sent(MONDAY, role="car", user="my-car"),
        sent(MONDAY + 1, role="gateway", user="g"),
        sent(MONDAY + 2, role="gateway", user="key:0123456789abcdef"),
        sent(MONDAY + 3),
    ]
    apart = batch_decoder(fence, by_source=True).decode(messages)
    assert len({position.device for position in apart.positions}) == 4
    assert apart.positions[0].device == hasher().hash(CAR, "my-car", at=MONDAY)
    assert apart.sources == {"", "gateway:g", "key:0123456789abcdef", "anonymous"}
    together = batch_decoder(fence).decode(messages)
    assert len({position.device for position in together.positions}) == 1
    assert together.sources == set()


async def present(client: Redis, now: int) -> int:
    found = await presence_now(client, ["campus"], DEFAULT_KINDS, now=now, ttl=TTL, partitions=1)
    return found["campus"][CAR].devices


async def counted(client: Redis, width: str, start: int) -> int:
    return (await counted_windows(client)).get(f"{width}:{start}:campus:car", 0)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_device_that_sends_before_and_after_midnight_is_present_once(
    redis_client: Redis, fence: Geofence, *, at_once: bool
) -> None:
    decoder, effects = batch_decoder(fence), effects_of(redis_client)
    messages = [sent(MONDAY - MINUTE), sent(MONDAY + MINUTE), sent(MONDAY - MINUTE + 1)]
    for part in [messages] if at_once else [[each] for each in messages]:
        await effects.apply(decoder.decode(part), now=MONDAY + MINUTE)
    assert await present(redis_client, MONDAY + MINUTE) == 1


async def test_no_window_counts_a_device_twice_for_another_key(redis_client: Redis, fence: Geofence) -> None:
    decoder, effects = batch_decoder(fence), effects_of(redis_client)
    for at in (MONDAY - 2 * MINUTE, MONDAY - MINUTE, MONDAY, MONDAY + 1):
        await effects.apply(decoder.decode([sent(at)]), now=MONDAY)
    hour = 60 * MINUTE
    assert [await counted(redis_client, width, MONDAY - span) for width, span in (("1h", hour), ("1d", DAY))] == [1, 1]
    assert [await counted(redis_client, width, MONDAY) for width in ("1m", "5m", "1h", "1d")] == [1] * 4


async def test_a_device_that_left_after_midnight_is_present_under_neither_hash(
    redis_client: Redis, fence: Geofence
) -> None:
    decoder, effects = batch_decoder(fence), effects_of(redis_client)
    await effects.apply(decoder.decode([sent(MONDAY - MINUTE)]), now=MONDAY)
    assert await present(redis_client, MONDAY) == 1
    batch = decoder.decode([sent(MONDAY + MINUTE, place=OUTSIDE)])
    assert (batch.totals["outside"], len(batch.outside)) == (1, 2)
    await effects.apply(batch, now=MONDAY + MINUTE)
    assert await present(redis_client, MONDAY + MINUTE) == 0


async def test_a_device_that_has_not_sent_since_midnight_is_present_as_long_as_on_any_other_day(
    redis_client: Redis, fence: Geofence, effects: Effects
) -> None:
    await effects.apply(batch_decoder(fence).decode([sent(MONDAY - MINUTE)]), now=MONDAY)
    assert await present(redis_client, MONDAY + (TTL - 61) * 1000) == 1
    assert await present(redis_client, MONDAY + (TTL - 59) * 1000) == 0


def test_an_hour_later_nothing_is_done_for_the_hash_of_before(fence: Geofence) -> None:
    assert batch_decoder(fence).decode([sent(MONDAY + 60 * MINUTE)]).outside == []


def keeper(client: Redis, clock: HandClock, one: DeviceHasher) -> KeyKeeper:
    return KeyKeeper(
        client=client, hasher=one, rotation=Rotation.WEEK, zone=DUBLIN, clock=clock, metrics=DecoderMetrics()
    )


async def test_a_decoder_takes_up_keys_that_another_has_made(service_redis: Redis) -> None:
    clock, one, other = HandClock(MONDAY), DeviceHasher(b"k" * 32, rotates=True), DeviceHasher(b"k" * 32, rotates=True)
    await keeper(service_redis, clock, one).look()
    await keeper(service_redis, clock, other).look()
    for at in (MONDAY - 9 * DAY, MONDAY - 1, MONDAY, MONDAY + 8 * DAY):
        assert one.hash(CAR, "bus", at=at) == other.hash(CAR, "bus", at=at)


async def test_where_keys_rotate_no_more_those_that_are_left_are_destroyed_and_none_is_made(
    service_redis: Redis,
) -> None:
    clock, stop = HandClock(MONDAY), Stop()
    await keeper(service_redis, clock, DeviceHasher(b"k" * 32, rotates=True)).look()
    oldest, *others = await DeviceKeys(service_redis).read()
    clock.now = oldest.end + 9 * DAY
    never = KeyKeeper(
        client=service_redis,
        hasher=DeviceHasher(b"k" * 32),
        rotation=Rotation.NEVER,
        zone=DUBLIN,
        clock=clock,
        metrics=DecoderMetrics(),
    )

    async def destroyed() -> bool:
        return await DeviceKeys(service_redis).read() == others

    async with asyncio.TaskGroup() as group:
        group.create_task(never.run(stop))
        await eventually(destroyed)
        stop.set()


async def test_a_destroyed_key_is_in_no_file_of_its_redis_and_nobody_can_hash_with_it(tmp_path: Path) -> None:
    process = RedisProcess(
        redis_executable(), tmp_path / "keys", free_ports(1)[0], "--appendonly", "yes", "--appendfsync", "always"
    )
    process.start()
    try:
        async with Redis.from_url(f"redis://{process.address}") as client:
            clock, one = HandClock(MONDAY), DeviceHasher(b"k" * 32, rotates=True)
            keeping = keeper(client, clock, one)
            await keeping.look()
            oldest, *others = await DeviceKeys(client).read()

            def in_files(key: DeviceKey) -> bool:
                text = key.secret.hex().encode()
                return any(text in path.read_bytes() for path in process.folder.rglob("*") if path.is_file())

            assert in_files(oldest)
            clock.now = oldest.end + 9 * DAY
            await keeping.look()
            until(lambda: not in_files(oldest), "the key is gone")
            assert all(in_files(key) for key in others)
            with pytest.raises(DestroyedKeyError):
                one.hash(CAR, "bus", at=oldest.end - 1)
    finally:
        process.stop()
