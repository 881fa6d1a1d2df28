"""Nobody is there, or nothing comes in: these are told apart."""

import dataclasses

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from api.live.poller import poll_once
from api.occupancy.newest_input import Input, InputWatch
from api.readiness import readiness_problem
from api.settings import ApiSettings
from core.kinds import DEFAULT_KINDS
from state.newest_input import note_newest_input
from tests.api.conftest import Parts, client_over, key_for
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE

SILENT = (
    "No broker has given a sign of life since 2026-03-01T12:00:00Z: positions that devices send do not arrive, so "
    "these counts are too low, and 0 does not say that nobody is there."
)


class Elapsed:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
def watch(redis_client: Redis, elapsed: Elapsed) -> InputWatch:
    return InputWatch(redis_client, DEFAULT_KINDS, clock=lambda: NOON + 250, elapsed=elapsed)


async def beat(redis: Redis, node: str) -> None:
    await redis.hincrby("nodes:{mqtt}", node, 1)


async def test_while_a_node_beats_nothing_is_known_against_the_counts(
    watch: InputWatch, redis_client: Redis, elapsed: Elapsed
) -> None:
    await redis_client.hset("nodes:{mqtt}", "dead", "7")
    for _ in range(40):
        await beat(redis_client, "alive")
        elapsed.now += 1
        assert (await watch.status()).stale is None


async def test_ten_seconds_without_a_beat_are_silence_and_the_next_beat_ends_it(
    watch: InputWatch, redis_client: Redis, elapsed: Elapsed
) -> None:
    await beat(redis_client, "one")
    await beat(redis_client, "two")
    assert (await watch.status()).stale is None
    elapsed.now += 9.5
    assert (await watch.status()).stale is None
    elapsed.now += 0.5
    assert (await watch.status()).stale == SILENT
    # The sentence stays the same, so that it is one change and not one each second.
    elapsed.now += 3600
    assert (await watch.status()).stale == SILENT

    await beat(redis_client, "two")
    elapsed.now += 1
    assert (await watch.status()).stale is None


async def test_nodes_that_never_came_are_silence_too(watch: InputWatch, elapsed: Elapsed) -> None:
    assert await watch.status() == Input(newest={}, stale=None)
    elapsed.now += 10
    assert (await watch.status()).stale == SILENT


async def test_the_newest_input_of_a_kind_never_goes_back(watch: InputWatch, redis_client: Redis) -> None:
    await note_newest_input(redis_client, {CAR: NOON, MOBILE: NOON - 5000})
    await note_newest_input(redis_client, {CAR: NOON - 9000})

    assert (await watch.status()).newest == {CAR: NOON, MOBILE: NOON - 5000}


async def test_answers_events_and_readiness_say_that_nothing_comes_in(
    parts: Parts, redis_client: Redis, elapsed: Elapsed
) -> None:
    parts = dataclasses.replace(parts, elapsed=elapsed)
    await beat(redis_client, "one")
    await note_newest_input(redis_client, {CAR: NOON - 1234})
    await poll_once(parts.live)
    assert await readiness_problem(parts.rooms, parts.failures) is None
    number = parts.change_log.number
    elapsed.now += 10
    await poll_once(parts.live)
    async with client_over(parts) as client:
        of_all = (await client.get("/v1/occupancy")).json()
        of_one = (await client.get("/v1/zones/kemmy/occupancy")).json()

    for body in (of_all, of_one, *of_all["zones"]):
        assert body["stale"] == SILENT
        assert body["newest_input_at"] == {"car": "2026-03-01T11:59:58Z", "mobile": None}
    assert await readiness_problem(parts.rooms, parts.failures) == SILENT
    told = (parts.change_log.since(number) or b"").decode()
    assert told.count("event: occupancy") == 23
    assert "event: stale" in told
    assert parts.change_log.latest
    assert msgspec.json.decode(parts.change_log.latest.everything)["stale"] == SILENT
    assert b"event: stale" in parts.change_log.snapshot()

    await beat(redis_client, "one")
    elapsed.now += 1
    number = parts.change_log.number
    await poll_once(parts.live)
    assert b"event: fresh" in (parts.change_log.since(number) or b"")
    assert b"event: stale" not in parts.change_log.snapshot()


async def test_where_small_counts_are_withheld_the_newest_input_is_told_by_the_minute(
    parts: Parts, redis_client: Redis
) -> None:
    careful = dataclasses.replace(
        parts, settings=ApiSettings(data_dir=parts.settings.data_dir, privacy_min_count=5, api_rate_limit=0)
    )
    await note_newest_input(redis_client, {MOBILE: NOON + 59_999})
    async with client_over(careful) as client:
        body = (await client.get("/v1/occupancy")).json()

    assert body["newest_input_at"] == {"car": None, "mobile": "2026-03-01T12:00:00Z"}


async def test_what_comes_over_http_is_input_as_well(client: httpx.AsyncClient, redis_client: Redis) -> None:
    key = await key_for(redis_client, "positions:write")
    point = {"type": "Point", "coordinates": [0, 0]}
    feature = {"type": "Feature", "geometry": point, "properties": {"device_id": "bus"}}
    assert (await client.post("/v1/positions?kind=car", json=feature, headers=key)).status_code == 202

    assert (await client.get("/v1/occupancy")).json()["newest_input_at"] == {
        "car": "2026-03-01T12:00:00Z",
        "mobile": None,
    }
