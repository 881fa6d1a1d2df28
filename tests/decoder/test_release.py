"""The stage that tells counts where PRIVACY is not open, with a real Redis and a real store."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from decoder import release as module
from decoder.metrics import DecoderMetrics
from decoder.release import LEAD_MS, Look, Release
from decoder.released_windows import ReleasedWindows
from decoder.stage_retry import StageRetry
from decoder.walks import LOST_MS, Walks, decoded
from disclosure.policy import PrivacySettings
from geofence import load_campus, parse_campus
from runtime.service import Stop
from state.campus import StoredCampus, replace_campus
from state.client import Redis
from state.presence import presence_key, touched_at_key, touched_key
from state.released import WALKS, Released, ReleasedWindow, ReleasedWriter, read_released
from state.slots import tag
from tests.conftest import NOON
from tests.decoder.conftest import HandClock
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, TimeseriesSettings, TimeseriesStore, Width, open_store

POLICY = replace(PrivacySettings(privacy="protected").policy, width=30, campus_width=90)
SLOT = POLICY.slot_ms
FIRST_MINUTE = 1 << 59
"""NOON is a whole hour."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    async with open_store(TimeseriesSettings(data_dir=tmp_path), released=True) as opened:
        await opened.setup()
        yield opened


@pytest.fixture
def clock() -> HandClock:
    clock = HandClock()
    clock.now = NOON
    return clock


def releaser(
    client: Redis,
    clock: Callable[[], int],
    *,
    draw: Callable[[int], int] = lambda _: 0,
    metrics: DecoderMetrics | None = None,
) -> Release:
    return Release(
        client=client,
        kinds=DEFAULT_KINDS,
        policy=POLICY,
        partitions=1,
        ttl=7200,
        timezone=ZoneInfo("Europe/Dublin"),
        file=load_campus(None),
        clock=clock,
        metrics=metrics or DecoderMetrics(),
        draw=draw,
    )


def writer_of(client: Redis, store: TimeseriesStore, clock: HandClock) -> ReleasedWindows:
    return ReleasedWindows(
        client=client,
        store=store,
        kinds=DEFAULT_KINDS,
        file=load_campus(None),
        clock=clock,
        metrics=DecoderMetrics(),
    )


async def phones_in(client: Redis, zone: str, count: int) -> None:
    """So many phones are in a zone now."""
    hash_tag = tag(0, 1)
    await client.delete(presence_key(hash_tag, zone, MOBILE))
    if count:
        await client.zadd(presence_key(hash_tag, zone, MOBILE), {f"{number:032x}": NOON for number in range(count)})
    await client.zadd(touched_key(hash_tag), {f"{zone}:{MOBILE}": int(await client.incr(touched_at_key(hash_tag)))})


async def told(client: Redis, zone: str = "kemmy") -> int:
    released = await read_released(client)
    assert released is not None
    return released.of(zone, MOBILE)


async def walks_of(client: Redis) -> Walks:
    text = await client.get(WALKS)
    assert isinstance(text, bytes)
    walks = decoded(text)
    assert walks is not None
    return walks


async def test_a_slot_is_told_once_with_the_version_of_the_campus(redis_client: Redis, clock: HandClock) -> None:
    release = releaser(redis_client, clock)
    await phones_in(redis_client, "kemmy", 10)
    assert await release.step(NOON)
    released = await read_released(redis_client)
    assert released == (NOON, load_campus(None).version, {"kemmy": {MOBILE: 30}})

    await phones_in(redis_client, "kemmy", 40)
    assert not await release.step(NOON)
    assert await told(redis_client) == 30
    assert await release.step(NOON + SLOT)
    assert await told(redis_client) == 60


async def test_several_processes_go_on_with_the_same_walks(redis_client: Redis, clock: HandClock) -> None:
    one, other = releaser(redis_client, clock), releaser(redis_client, clock)
    await phones_in(redis_client, "kemmy", 10)
    assert await one.step(NOON)
    assert not await other.step(NOON)
    assert await other.step(NOON + SLOT)
    assert not await one.step(NOON + SLOT)
    assert await told(redis_client) == 30


async def test_who_dies_between_looking_and_telling_has_told_nothing(redis_client: Redis, clock: HandClock) -> None:
    dying, other = releaser(redis_client, clock), releaser(redis_client, clock)
    await phones_in(redis_client, "kemmy", 10)
    assert await dying.step(NOON)
    before = await redis_client.get(WALKS)
    await phones_in(redis_client, "kemmy", 40)
    look = await dying.look(NOON + SLOT)
    assert look is not None
    assert await told(redis_client) == 30
    assert await redis_client.get(WALKS) == before
    assert await other.step(NOON + SLOT)
    # And who was only stopped for a while tells nothing, either.
    assert not await dying.tell(look)
    assert await told(redis_client) == 60


async def test_nothing_but_the_walks_holds_a_threshold(redis_client: Redis, clock: HandClock) -> None:
    await releaser(redis_client, clock, draw=lambda _: 23).step(NOON)
    walks = await walks_of(redis_client)
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {23}
    keys = {key async for key in redis_client.scan_iter("rel*")}
    assert keys == {b"released:{campus}", b"release:{campus}"}
    assert await redis_client.hgetall("released:{campus}") == {
        b"at": str(NOON).encode(),
        b"version": load_campus(None).version.encode(),
    }


async def test_walks_that_are_lost_go_on_from_what_was_told(redis_client: Redis, clock: HandClock) -> None:
    await phones_in(redis_client, "kemmy", 10)
    await releaser(redis_client, clock).step(NOON)
    for number, broken in enumerate((None, b"\xff\xfe not ours"), 1):
        await redis_client.delete(WALKS)
        if broken:
            await redis_client.set(WALKS, broken)
        await releaser(redis_client, clock, draw=lambda _: 9).step(NOON + number * SLOT)
        assert await told(redis_client) == 30


@pytest.mark.parametrize("slots", [LOST_MS // SLOT + 1, -LOST_MS // SLOT - 1])
async def test_thresholds_of_long_ago_are_drawn_anew(redis_client: Redis, clock: HandClock, slots: int) -> None:
    await releaser(redis_client, clock, draw=lambda _: 3).step(NOON)
    assert await releaser(redis_client, clock, draw=lambda _: 9).step(NOON + slots * SLOT)
    walks = await walks_of(redis_client)
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {9}


async def test_thresholds_are_drawn_anew_where_redis_has_lost_a_slot(redis_client: Redis, clock: HandClock) -> None:
    draws = [3]
    release = releaser(redis_client, clock, draw=lambda _: draws[0])
    await release.step(NOON)
    before = {key: await redis_client.dump(key) for key in ("released:{campus}", WALKS)}
    await release.step(NOON + SLOT)
    for key, value in before.items():
        assert value is not None
        await redis_client.restore(key, 0, value, replace=True)
    draws[0] = 9
    assert await release.step(NOON + 2 * SLOT)
    walks = await walks_of(redis_client)
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {9}


async def test_who_never_was_the_first_to_tell_draws_anew_where_redis_has_lost_a_slot(
    redis_client: Redis, clock: HandClock
) -> None:
    first, other = releaser(redis_client, clock, draw=lambda _: 3), releaser(redis_client, clock, draw=lambda _: 9)
    await first.step(NOON)
    before = {key: await redis_client.dump(key) for key in ("released:{campus}", WALKS)}
    await first.step(NOON + SLOT)
    look = await other.look(NOON + 2 * SLOT)
    assert look is not None
    await first.step(NOON + 2 * SLOT)
    assert not await other.tell(look)
    # A replica that lacks the newest slots takes over, as the one that told them is gone.
    for key, value in before.items():
        assert value is not None
        await redis_client.restore(key, 0, value, replace=True)
    assert await other.step(NOON + 3 * SLOT)
    walks = await walks_of(redis_client)
    assert {walk.threshold for zone in walks.zones.values() for walk in zone.walks.values()} == {9}


async def test_a_zone_that_is_new_in_redis_tells_nothing_before_the_next_hour(
    redis_client: Redis, clock: HandClock
) -> None:
    release = releaser(redis_client, clock)
    await release.step(NOON)
    campus = load_campus(None)
    kemmy = next(zone for zone in campus.zones if zone.id == "kemmy")
    features = [zone.feature for zone in campus.everything]
    renamed = {**kemmy.feature, "id": "gym", "properties": {"name": "Gym", "role": "zone"}}
    text = campus_text([*features, renamed])
    version = parse_campus(text, "a test").version
    assert await replace_campus(
        redis_client,
        StoredCampus(version, text),
        replaces=campus.version,
        changed=[],
        partitions=1,
        kinds=DEFAULT_KINDS,
    )
    await phones_in(redis_client, "gym", 500)
    assert await release.step(NOON + SLOT)
    released = await read_released(redis_client)
    assert released is not None
    assert (released.version, released.of("gym", MOBILE)) == (version, 0)
    await release.step(NOON + 3_600_000)
    assert await told(redis_client, "gym") == 30


def campus_text(features: list[dict[str, object]]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


class Ticking:
    """Time passes only while somebody waits."""

    def __init__(self, clock: HandClock, stop: Stop, *, until: int) -> None:
        self.clock, self.stop, self.until = clock, stop, until

    async def pause(self, seconds: float, stop: Stop) -> None:
        assert stop is self.stop
        self.clock.now += round(seconds * 1000)
        if self.clock.now >= self.until:
            stop.set()


async def test_it_tells_the_slot_in_which_it_begins_at_once_and_then_each_as_it_begins(
    redis_client: Redis, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, metrics = Stop(), DecoderMetrics()
    release = releaser(redis_client, clock, metrics=metrics)
    looked: list[tuple[int, int]] = []
    said: list[tuple[int, int]] = []
    look, tell = release.look, release.tell

    async def looking(slot: int) -> Look | None:
        looked.append((slot - NOON, clock.now - NOON))
        return await look(slot)

    async def telling(found: Look) -> bool:
        said.append((found.released.at - NOON, clock.now - NOON))
        return await tell(found)

    monkeypatch.setattr(release, "look", looking)
    monkeypatch.setattr(release, "tell", telling)
    monkeypatch.setattr(module, "pause", Ticking(clock, stop, until=NOON + 3 * SLOT).pause)
    clock.now = NOON + 7_000
    await release.run(stop)

    assert said == [(0, 7_000), (SLOT, SLOT), (2 * SLOT, 2 * SLOT), (3 * SLOT, 3 * SLOT)]
    assert looked == [(0, 7_000)] + [(slot * SLOT, slot * SLOT - LEAD_MS) for slot in (1, 2, 3)]
    assert metrics.registry.get_sample_value("decoder_released_slots_total") == 4
    due = metrics.registry.get_sample_value("decoder_release_due_timestamp_seconds")
    assert due == (NOON + 4 * SLOT) / 1000


async def test_a_look_that_took_a_whole_slot_is_told_nobody(
    redis_client: Redis, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    release = releaser(redis_client, clock)
    look = release.look

    async def slow(slot: int) -> Look | None:
        found = await look(slot)
        if slot == NOON + SLOT:
            clock.now = NOON + 2 * SLOT
            await phones_in(redis_client, "kemmy", 10)
        return found

    monkeypatch.setattr(release, "look", slow)
    monkeypatch.setattr(module, "pause", Ticking(clock, stop, until=NOON + 3 * SLOT).pause)
    await release.run(stop)
    released = await read_released(redis_client)
    assert released is not None
    assert released.at == NOON + 3 * SLOT
    assert await told(redis_client) == 30


async def test_redis_that_is_away_is_waited_for(redis_client: Redis, clock: HandClock) -> None:
    metrics = DecoderMetrics(stages=["release"])
    release = releaser(redis_client, clock, metrics=metrics)
    attempts = 0

    async def away() -> bool:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise UnavailableError("Redis does not answer")
        return await release.step(NOON)

    assert await StageRetry("release", metrics).until_available(away)
    assert metrics.registry.get_sample_value("decoder_unavailable_total", {"stage": "release"}) == 2
    assert metrics.waiting is None


async def run_until(release: Release, client: Redis, slots: range) -> None:
    for slot in slots:
        await client.hincrby("nodes:{mqtt}", "one", 1)
        assert await release.step(NOON + slot * SLOT)


async def test_windows_that_are_over_are_stored_once_and_minutes_are_recorded_for_all_alike(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    release, windows = releaser(redis_client, clock), writer_of(redis_client, store, clock)
    await phones_in(redis_client, "kemmy", 10)
    await run_until(release, redis_client, range(5))
    assert await windows.step() == 2
    assert await windows.step() == 0

    found = await store.history(zone="kemmy", kind=MOBILE, width=Width.MINUTE, start=NOON, end=NOON + 10**7)
    assert [(point.window.start - NOON, point.devices) for point in found] == [(0, 30), (60_000, 30)]
    assert await store.series(Width.MINUTE) == [("kemmy", MOBILE)]
    both = FIRST_MINUTE | FIRST_MINUTE >> 1
    for kind in (CAR, MOBILE):
        recorded = await store.coverage(kind, start=NOON, end=NOON + 1)
        assert len(recorded) == 23
        assert {each.minutes for each in recorded} == {both}

    # What is recorded later is added to it.
    await run_until(release, redis_client, range(5, 7))
    await windows.step()
    assert await store.coverage(CAR, start=NOON, end=NOON + 1, zone="kemmy") == [
        Coverage("kemmy", CAR, NOON, both | FIRST_MINUTE >> 2)
    ]


async def test_while_no_broker_lives_no_minute_is_recorded(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    release = releaser(redis_client, clock)
    for slot in range(5):
        await release.step(NOON + slot * SLOT)
    assert await writer_of(redis_client, store, clock).step() == 2
    assert await store.coverage_extent("kemmy", CAR) is None


async def test_windows_wait_in_redis_while_the_store_is_away(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, windows = releaser(redis_client, clock), writer_of(redis_client, store, clock)
    await phones_in(redis_client, "kemmy", 10)

    async def away(_: object) -> None:
        raise UnavailableError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", away)
        await run_until(release, redis_client, range(5))
        with pytest.raises(UnavailableError):
            await windows.step()
    assert await windows.step() == 2
    assert len(await store.history(zone="kemmy", kind=MOBILE, width=Width.MINUTE, start=NOON, end=NOON + 10**7)) == 2


async def test_windows_with_names_that_are_none_are_passed_over(
    redis_client: Redis, store: TimeseriesStore, clock: HandClock
) -> None:
    counts = {"kemmy:mobile": 30, "kemmy:tram": 1, "": 2, "../etc:car": 3}
    over = ReleasedWindow(Width.HOUR, NOON, recorded=True, counts=counts)
    released = Released(NOON, "one", {})
    assert await ReleasedWriter(redis_client).tell(released, after=b"", walks=b"", over=[over])
    assert await writer_of(redis_client, store, clock).step() == 1
    assert await store.series(Width.HOUR) == [("kemmy", MOBILE)]
