"""Which minutes were counted: by the clock while anything can come in, and by what windows hold."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS, KindId
from decoder.coverage import CoverageRecorder
from decoder.metrics import DecoderMetrics
from geofence import Campus, load_campus
from state.campus import StoredCampus, replace_campus
from state.coverage import RecordedMinutes
from tests.conftest import NOON
from tests.decoder.conftest import HandClock
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import OccupancyPoint, TimeseriesSettings, TimeseriesStore, Width, Window, open_store

HOUR = 3_600_000
MINUTE = 60_000
FIRST_MINUTE = 1 << 59
"""NOON is a whole hour."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    async with open_store(TimeseriesSettings(data_dir=tmp_path)) as opened:
        await opened.setup()
        yield opened


@pytest.fixture
def clock() -> HandClock:
    clock = HandClock()
    clock.now = NOON
    return clock


def recorder(client: Redis, store: TimeseriesStore, clock: HandClock, campus: Campus | None = None) -> CoverageRecorder:
    return CoverageRecorder(
        kinds=DEFAULT_KINDS,
        client=client,
        store=store,
        file=campus or load_campus(None),
        clock=clock,
        metrics=DecoderMetrics(),
        dead_letters_max=10,
    )


async def covered(store: TimeseriesStore, zone: str, kind: KindId) -> dict[int, int]:
    return {each.hour: each.minutes for each in await store.coverage(kind, start=0, end=10**15, zone=zone)}


async def test_a_minute_is_recorded_for_all_zones_and_kinds_while_a_broker_lives(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    recording = recorder(redis_client, store, clock)
    for minute in (0, 1, 5):
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        clock.now = NOON + minute * MINUTE + 59_999
        await recording.step()

    for zone in ("campus", "kemmy", "car-park-west"):
        for kind in DEFAULT_KINDS.ids:
            assert await covered(store, zone, kind) == {
                NOON: FIRST_MINUTE | FIRST_MINUTE >> 1 | FIRST_MINUTE >> 5,
            }
    assert len(await store.coverage(CAR, start=NOON, end=NOON + 1)) == 23
    assert await store.coverage_extent("kemmy", CAR) == (NOON, NOON)


async def test_nothing_is_recorded_while_no_broker_lives(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    await recorder(redis_client, store, clock).step()

    assert await store.coverage_extent("campus", CAR) is None


async def test_a_window_with_a_device_records_its_minute_for_its_kind_whenever_it_comes(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    long_ago = NOON - 7 * 365 * 24 * HOUR
    await RecordedMinutes(redis_client).mark([(CAR, long_ago + 58 * MINUTE), (CAR, long_ago + 59 * MINUTE + 1)])
    await recorder(redis_client, store, clock).step()

    assert await covered(store, "kemmy", CAR) == {long_ago: 0b11}
    assert await covered(store, "kemmy", MOBILE) == {}


async def test_what_is_marked_after_redis_has_forgotten_is_joined_with_what_is_stored(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    long_ago = NOON - 100 * 24 * HOUR
    for minute in (0, 59):
        await RecordedMinutes(redis_client).mark([(CAR, long_ago + minute * MINUTE)])
        await recorder(redis_client, store, clock).step()
        await redis_client.delete(f"coverage:{{campus}}:{long_ago}:car")

    assert await covered(store, "kemmy", CAR) == {long_ago: FIRST_MINUTE | 1}


async def test_any_number_of_recorders_in_any_order_record_the_same(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    two = [recorder(redis_client, store, clock) for _ in range(2)]
    for minute in (3, 1, 2, 1, 3):
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        clock.now = NOON + minute * MINUTE
        for each in two:
            await each.step()

    assert await covered(store, "campus", MOBILE) == {NOON: 0b0111 << 56}
    assert await redis_client.scard("coverage:dirty:{campus}") == 0


async def test_an_hour_is_written_again_only_for_a_minute_that_is_new(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    """Windows of the same minute are written many times, and an hour has a point for each zone."""
    recording = recorder(redis_client, store, clock)
    minutes = RecordedMinutes(redis_client)
    await minutes.mark([(CAR, NOON), (CAR, NOON + MINUTE)])
    assert await recording.step() == 1
    await minutes.mark([(CAR, NOON + MINUTE + 30_000)])
    assert await recording.step() == 0
    await minutes.mark([(CAR, NOON + 2 * MINUTE), (CAR, NOON)])
    assert await recording.step() == 1

    assert await covered(store, "kemmy", CAR) == {NOON: 0b111 << 57}


async def test_a_change_while_an_hour_is_written_is_written_as_well(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    recording = recorder(redis_client, store, clock)
    await RecordedMinutes(redis_client).mark([(CAR, NOON)])
    original = store.write_coverage

    async def meanwhile(hours: object) -> None:
        store.write_coverage = original  # type: ignore[method-assign]
        await RecordedMinutes(redis_client).mark([(CAR, NOON + MINUTE)])
        await original(hours)  # type: ignore[arg-type]

    store.write_coverage = meanwhile  # type: ignore[method-assign]
    await recording.step()
    assert await covered(store, "kemmy", CAR) == {NOON: FIRST_MINUTE}
    await recording.step()

    assert await covered(store, "kemmy", CAR) == {NOON: FIRST_MINUTE | FIRST_MINUTE >> 1}


async def test_the_zones_are_those_that_the_campus_has_at_the_time(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    file = load_campus(None)
    recording = recorder(redis_client, store, clock, file)
    await RecordedMinutes(redis_client).mark([(CAR, NOON)])
    await recording.step()
    fewer = Campus(boundary=file.boundary, zones=file.zones[1:])
    geojson = msgspec.json.encode(fewer.as_feature_collection())
    stored = StoredCampus("2", geojson)
    assert await replace_campus(
        redis_client, stored, replaces=file.version, changed=[], partitions=1, kinds=DEFAULT_KINDS
    )
    await RecordedMinutes(redis_client).mark([(CAR, NOON + HOUR)])
    await recording.step()

    assert list(await covered(store, file.zones[0].id, CAR)) == [NOON]
    assert list(await covered(store, file.zones[1].id, CAR)) == [NOON, NOON + HOUR]


async def test_a_mark_that_no_decoder_made_becomes_a_dead_letter_once_and_the_rest_goes_on(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    await redis_client.sadd("coverage:dirty:{campus}", "nonsense", b"\xff:car", "3600000:bicycle")
    await RecordedMinutes(redis_client).mark([(CAR, NOON)])
    for _ in range(2):
        await recorder(redis_client, store, clock).step()

    assert await covered(store, "campus", CAR) == {NOON: FIRST_MINUTE}
    assert await redis_client.xlen("dead:{campus}") == 3
    assert await redis_client.scard("coverage:dirty:{campus}") == 0


async def test_hours_with_devices_of_the_version_before_count_as_recorded(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    window = Window(Width.HOUR, NOON, "campus", CAR)
    empty = Window(Width.HOUR, NOON + HOUR, "campus", CAR)
    await store.write([OccupancyPoint(window, 3), OccupancyPoint(empty, 0)])
    recording = recorder(redis_client, store, clock)
    await recording.adopt()
    # Only where there is none yet.
    await store.write([OccupancyPoint(empty, 1)])
    await recording.adopt()

    for kind in DEFAULT_KINDS.ids:
        assert await covered(store, "kemmy", kind) == {NOON: 2**60 - 1}


async def test_however_many_hours_wait_a_step_takes_two_hundred_and_all_are_written_in_the_end(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    hours = [NOON - number * HOUR for number in range(450)]
    await RecordedMinutes(redis_client).mark([(CAR, hour) for hour in hours])
    recording = recorder(redis_client, store, clock)

    assert [await recording.step() for _ in range(4)] == [200, 200, 50, 0]

    assert await covered(store, "campus", CAR) == dict.fromkeys(hours, FIRST_MINUTE)
