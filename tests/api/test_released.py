"""What is told of now where PRIVACY is not open: released counts, at the times of slots, and nothing else."""

import dataclasses
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.live.change_log import ChangeLog
from api.live.poller import poll_once
from api.privacy import ShownCounts, shown_released_counts
from api.settings import ApiSettings
from core.kinds import DEFAULT_KINDS, KindId
from state.newest_input import note_newest_input
from state.released import Released, ReleasedWriter
from tests.api.conftest import Parts, arrive, assert_problem, client_over
from tests.api.streams import streaming
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE

SLOT = 30_000


class Now:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.ms = NOON

    def __call__(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def parts(parts: Parts, now: Now) -> Parts:
    settings = ApiSettings(
        data_dir=parts.settings.data_dir, history_max_points=1000, api_rate_limit=0, privacy="protected"
    )
    changes = ChangeLog(elapsed=now.seconds)
    return dataclasses.replace(parts, settings=settings, clock=now, elapsed=now.seconds, change_log=changes)


async def tell(redis: Redis, at: int, counts: dict[str, dict[KindId, int]]) -> None:
    writer = ReleasedWriter(redis)
    held = await writer.held()
    assert await writer.tell(Released(at, "a test", counts), after=held.mark, walks=b"secret", over=[])


async def of_zone(client: httpx.AsyncClient, zone: str) -> dict[str, object]:
    answer = await client.get(f"/v1/zones/{zone}/occupancy")
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


async def test_before_anything_was_released_there_is_no_answer(parts: Parts, redis_client: Redis) -> None:
    await arrive(redis_client, "kemmy", MOBILE, *[NOON] * 9)
    async with client_over(parts) as client:
        for path in ("/v1/occupancy", "/v1/zones/kemmy/occupancy"):
            assert_problem(await client.get(path), 503)


async def test_a_zone_has_its_released_counts_and_the_time_of_the_slot(
    parts: Parts, redis_client: Redis, now: Now
) -> None:
    await arrive(redis_client, "kemmy", MOBILE, *[NOON] * 9)
    await note_newest_input(redis_client, {MOBILE: NOON - 1234})
    await tell(redis_client, NOON, {"kemmy": {MOBILE: 130}})
    now.ms = NOON + 12_345
    async with client_over(parts) as client:
        assert await of_zone(client, "kemmy") == {
            "zone": "kemmy",
            "name": "Kemmy Business School",
            "category": "building",
            "car": None,
            "mobile": 130,
            "total": 130,
            "capacity": None,
            "percentage": None,
            "suppressed": True,
            "observed_at": None,
            "last_updated": "2026-03-01T12:00:00Z",
            "ttl": 30,
            "lag_seconds": 0,
            "newest_input_at": {"car": None, "mobile": None},
            "stale": None,
        }
        everything = (await client.get("/v1/occupancy")).json()
    assert everything["zones"][0]["zone"] == "campus"
    assert {zone["mobile"] for zone in everything["zones"]} == {None, 130}
    assert len(everything["zones"]) == 23


def test_what_takes_up_a_capacity_is_told_if_it_is_no_small_number() -> None:
    counts = {CAR: 130, MOBILE: 0}
    car_park = shown_released_counts(counts, DEFAULT_KINDS, category="car_park", least=5)
    assert car_park == ShownCounts(counts={CAR: 130, MOBILE: None}, total=130, used=130)
    assert car_park.suppressed
    building = shown_released_counts({CAR: 4, MOBILE: 0}, DEFAULT_KINDS, category="building", least=5)
    assert building == ShownCounts(counts={CAR: None, MOBILE: None}, total=None, used=None)


async def test_what_truly_happens_between_two_slots_changes_no_byte(
    parts: Parts, redis_client: Redis, now: Now
) -> None:
    await tell(redis_client, NOON, {"kemmy": {MOBILE: 130}})
    async with client_over(parts) as client:
        first = await client.get("/v1/occupancy")
        for second in range(1, 30):
            now.ms = NOON + 1000 * second
            await redis_client.hincrby("nodes:{mqtt}", "one", 1)
            await arrive(redis_client, "kemmy", MOBILE, now.ms, now.ms)
            await note_newest_input(redis_client, {MOBILE: now.ms})
            await poll_once(parts.live)
            again = await client.get("/v1/occupancy", headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["cache-control"] == f"public, max-age={30 - second}"
        await tell(redis_client, NOON + SLOT, {"kemmy": {MOBILE: 130}})
        now.ms = NOON + SLOT
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        await poll_once(parts.live)
        after = await client.get("/v1/occupancy", headers={"If-None-Match": first.headers["etag"]})
    assert after.status_code == 200
    assert after.content == first.content.replace(b"12:00:00Z", b"12:00:30Z")


async def test_an_answer_is_good_until_the_slot_ends_and_not_longer(
    parts: Parts, redis_client: Redis, now: Now
) -> None:
    await tell(redis_client, NOON, {})
    async with client_over(parts) as client:
        for passed, left in ((0, 30), (500, 29), (29_999, 0), (31_000, 0), (90_000, 0)):
            now.ms = NOON + passed
            await poll_once(parts.live)
            answer = await client.get("/v1/occupancy?sort=count")
            assert answer.headers["cache-control"] == f"public, max-age={left}"


async def test_events_tell_of_a_zone_whose_released_count_has_changed_and_of_no_other(
    parts: Parts, redis_client: Redis, now: Now
) -> None:
    await tell(redis_client, NOON, {"kemmy": {MOBILE: 130}})
    await poll_once(parts.live)
    async with streaming(parts.app()) as stream:
        await stream.until(1)
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        await arrive(redis_client, "kemmy", MOBILE, *[NOON] * 50)
        await poll_once(parts.live)
        for slot, counts in ((1, {"kemmy": {MOBILE: 130}}), (2, {"kemmy": {MOBILE: 130}, "campus": {MOBILE: 390}})):
            now.ms = NOON + slot * SLOT
            await redis_client.hincrby("nodes:{mqtt}", "one", 1)
            await tell(redis_client, now.ms, counts)
            await poll_once(parts.live)
        first, event = await stream.until(2)
    assert (first.name, event.name) == ("snapshot", "occupancy")
    told = event.data
    assert (told["zone"], told["mobile"], told["last_updated"]) == ("campus", 390, "2026-03-01T12:01:00Z")


async def test_counts_that_nobody_releases_any_more_are_doubted(parts: Parts, redis_client: Redis, now: Now) -> None:
    await tell(redis_client, NOON, {"kemmy": {MOBILE: 130}})
    async with client_over(parts) as client:
        now.ms = NOON + 3 * SLOT
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        assert (await of_zone(client, "kemmy"))["stale"] is None
        now.ms += 1000
        await redis_client.hincrby("nodes:{mqtt}", "one", 1)
        assert (await of_zone(client, "kemmy"))["stale"] == (
            "No counts were released since 2026-03-01T12:00:00Z: these are those of then."
        )


async def test_what_says_that_counts_are_old_has_the_time_of_the_slot(
    parts: Parts, redis_client: Redis, now: Now
) -> None:
    await tell(redis_client, NOON, {})
    now.ms = NOON + 1234
    await poll_once(parts.live)
    parts.change_log.missed(stale=True)
    async with streaming(parts.app()) as stream:
        _, event = await stream.until(2)
    assert (event.name, event.data["last_updated"]) == ("stale", "2026-03-01T12:00:00Z")


@pytest.mark.parametrize("broken", [{"at": "?"}, {"version": b"\xff", "at": b"\xff"}])
async def test_what_nobody_of_ours_wrote_is_not_told(parts: Parts, redis_client: Redis, broken: dict[str, Any]) -> None:
    await redis_client.hset("released:{campus}", mapping=dict[Any, Any](broken) | {"kemmy:mobile": "7"})
    async with client_over(parts) as client:
        assert_problem(await client.get("/v1/occupancy"), 503)


async def test_a_small_released_count_is_null_for_cars_too(parts: Parts, redis_client: Redis) -> None:
    await tell(redis_client, NOON, {"kemmy": {CAR: 4, MOBILE: 5}})
    async with client_over(parts) as client:
        found = await of_zone(client, "kemmy")
    assert (found["car"], found["mobile"], found["total"], found["suppressed"]) == (None, 5, 9, True)


async def test_the_document_says_that_any_count_may_be_null(parts: Parts) -> None:
    async with client_over(parts) as client:
        schema = (await client.get("/openapi.json")).json()["components"]["schemas"]["Occupancy"]["properties"]
    assert [{"type": "integer"}, {"type": "null"}] == schema["car"]["anyOf"] == schema["mobile"]["anyOf"]
