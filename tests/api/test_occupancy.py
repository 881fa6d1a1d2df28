import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import httpx
import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api.live.poller import poll_once
from api.occupancy.body import OccupancyBodies
from api.occupancy.decoder_lag import DecoderLag
from api.settings import ApiSettings
from api.zones.campus import FollowedCampus
from core.kinds import DEFAULT_KINDS, KindId
from geofence import Campus, Zone
from runtime.settings import CommonSettings
from state.client import MAX_CONNECTIONS, open_redis
from state.presence import Presence
from tests.api.conftest import Parts, arrive, assert_problem, client_over
from tests.conftest import NOON, POSITIONS, RAW, WAIT_SECONDS, free_port
from tests.kinds_of_tests import CAR, MOBILE

CACHE_MS = 1000
FRESH_MS = 1000

NOBODY = Presence(devices=0, observed_at=None)


def said_of(zone: Zone, present: dict[KindId, Presence]) -> Any:  # noqa: ANN401 - JSON
    """What is said of a zone alone."""
    return msgspec.json.decode(OccupancyBodies(DEFAULT_KINDS).zone_part(zone, present).json + b"}")


def presence(*, car: int = 0, mobile: int = 0) -> dict[KindId, Presence]:
    return {CAR: Presence(car, NOON if car else None), MOBILE: Presence(mobile, NOON if mobile else None)}


async def test_the_occupancy_of_a_zone_counts_cars_and_phones_apart(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    await arrive(redis_client, "kemmy", CAR, NOON - 9_000)
    await arrive(redis_client, "kemmy", MOBILE, NOON - 2_500, NOON - 60_000)

    answer = await client.get("/v1/zones/kemmy/occupancy")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.json() == {
        "zone": "kemmy",
        "name": "Kemmy Business School",
        "category": "building",
        "car": 1,
        "mobile": 2,
        "total": 3,
        "capacity": None,
        "percentage": None,
        "suppressed": False,
        "observed_at": "2026-03-01T11:59:57.500Z",
        "last_updated": "2026-03-01T12:00:00Z",
        "ttl": 1,
        "lag_seconds": 0,
        "newest_input_at": {"car": None, "mobile": None},
        "stale": None,
    }


async def test_who_was_not_seen_for_the_presence_ttl_is_gone(client: httpx.AsyncClient, redis_client: Redis) -> None:
    await arrive(redis_client, "campus", CAR, NOON - 300_000, NOON - 299_999)

    assert (await client.get("/v1/zones/campus/occupancy")).json()["car"] == 1


async def test_an_empty_zone_has_zeros_and_no_time_of_observation(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/zones/campus/occupancy")).json()

    assert (body["car"], body["mobile"], body["total"], body["observed_at"]) == (0, 0, 0, None)
    assert body["last_updated"] == "2026-03-01T12:00:00Z"


async def test_the_occupancy_of_all_zones_has_the_campus_first_and_each_as_alone(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    await arrive(redis_client, "campus", MOBILE, NOON)
    await arrive(redis_client, "car-park-west", CAR, NOON, NOON - 1)

    answer = await client.get("/v1/occupancy")

    body = answer.json()
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert (body["last_updated"], body["ttl"]) == ("2026-03-01T12:00:00Z", 1)
    assert body["zones"][0]["zone"] == "campus"
    ids = [feature["id"] for feature in (await client.get("/v1/zones")).json()["features"]]
    assert [zone["zone"] for zone in body["zones"]] == ids
    assert sum(zone["total"] for zone in body["zones"]) == 3
    for zone in body["zones"]:
        assert (await client.get(f"/v1/zones/{zone['zone']}/occupancy")).json() == zone


def test_the_percentage_is_of_the_total_and_in_a_car_park_of_the_cars(campus: Campus) -> None:
    building = dataclasses.replace(campus.by_id["kemmy"], capacity=30)
    car_park = dataclasses.replace(campus.by_id["car-park-west"], capacity=30)

    in_building = said_of(building, presence(car=1, mobile=9))
    in_car_park = said_of(car_park, presence(car=40, mobile=9))

    assert (in_building["capacity"], in_building["percentage"]) == (30, 33.3)
    assert (in_car_park["total"], in_car_park["percentage"]) == (49, 133.3)


def test_an_observation_is_the_newest_of_either_kind(campus: Campus) -> None:
    seen = {CAR: Presence(1, NOON - 5000), MOBILE: Presence(1, NOON - 1000)}
    only_cars = {CAR: Presence(1, NOON - 5000), MOBILE: NOBODY}

    assert said_of(campus.boundary, seen)["observed_at"] == "2026-03-01T11:59:59Z"
    assert said_of(campus.boundary, only_cars)["observed_at"] == "2026-03-01T11:59:55Z"


async def test_without_redis_occupancy_is_unavailable_and_says_when_to_come_back(parts: Parts) -> None:
    port = free_port()
    async with (
        open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{port}")) as away,
        client_over(dataclasses.replace(parts, redis=away)) as client,
    ):
        for path in ("/v1/occupancy", "/v1/zones/kemmy/occupancy"):
            answer = await client.get(path)

            problem = assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "1"
            assert problem["type"] == "/docs#unavailable"
            assert str(port) not in answer.text
        # What does not need Redis goes on.
        assert (await client.get("/v1/zones")).status_code == 200


async def test_a_redis_that_is_silent_is_not_waited_for_long(
    parts: Parts, silent_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.occupancy.snapshots.REDIS_SECONDS", 0.05)
    async with client_over(dataclasses.replace(parts, redis=silent_redis)) as client, asyncio.timeout(WAIT_SECONDS):
        assert_problem(await client.get("/v1/occupancy"), 503)


async def test_more_clients_at_once_than_connections_are_all_answered(parts: Parts, redis_server: str) -> None:
    async with (
        open_redis(ApiSettings(redis_url=redis_server)) as redis,
        client_over(dataclasses.replace(parts, redis=redis)) as client,
    ):
        answers = await asyncio.gather(*[client.get("/v1/zones/kemmy/occupancy") for _ in range(2 * MAX_CONNECTIONS)])

    assert {answer.status_code for answer in answers} == {200}


@pytest.fixture
async def silent_redis() -> AsyncIterator[Redis]:
    serving: set[asyncio.Task[None]] = set()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(swallow(reader, writer)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_redis(CommonSettings(redis_url=url)) as client:
            yield client
        # Its loop ends with the test, and what is open then is found by another one.
        await asyncio.gather(*serving)


async def test_zones_of_some_categories_can_be_asked_for(client: httpx.AsyncClient) -> None:
    async def categories(query: str) -> set[str | None]:
        zones = (await client.get(f"/v1/occupancy{query}")).json()["zones"]
        return {zone["category"] for zone in zones}

    assert await categories("?category=car_park") == {"car_park"}
    assert await categories("?category=car_park&category=building") == {"car_park", "building"}
    assert await categories("?category=unheard-of") == set()


async def test_sorted_by_count_the_fullest_come_first_and_equals_as_they_were(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    await arrive(redis_client, "kemmy", MOBILE, NOON, NOON - 1)
    await arrive(redis_client, "schuman", CAR, NOON)

    sorted_ids = [zone["zone"] for zone in (await client.get("/v1/occupancy?sort=count")).json()["zones"]]

    given = [zone["zone"] for zone in (await client.get("/v1/occupancy?sort=zones")).json()["zones"]]
    assert sorted_ids[:2] == ["kemmy", "schuman"]
    assert sorted_ids[2:] == [zone for zone in given if zone not in {"kemmy", "schuman"}]


@pytest.mark.parametrize(
    "query", ["sort=name", "sort=", "order=count", f"category={'x' * 65}", "&".join(["category=a"] * 51)]
)
async def test_a_query_about_occupancy_that_cannot_be_used_is_a_problem(client: httpx.AsyncClient, query: str) -> None:
    assert_problem(await client.get(f"/v1/occupancy?{query}"), 422)


async def test_the_lag_is_the_age_of_the_oldest_message_that_is_not_counted(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    await waiting(redis_client, 90, 30)
    # A decoder has it in hand, and others wait.
    await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=1)
    # The archive is another matter: the counts do not wait for it.
    seconds, _ = await redis_client.time()
    await redis_client.xadd(POSITIONS, {"n": 1}, id=f"{(seconds - 500) * 1000}-0")

    body = (await client.get("/v1/occupancy")).json()

    later, _ = await redis_client.time()
    assert 90 <= body["lag_seconds"] <= 91 + later - seconds
    assert {zone["lag_seconds"] for zone in body["zones"]} == {body["lag_seconds"]}


async def counted(redis_client: Redis) -> None:
    """A decoder takes the next message, and has done with it."""
    found = cast("Any", await redis_client.xreadgroup("observe", "a", {RAW: ">"}, count=1))
    await redis_client.xack(RAW, "observe", found[0][1][0][0])


async def waiting(redis_client: Redis, *ages: int) -> None:
    """Messages of these ages, in seconds, and the group of decoders."""
    seconds, _ = await redis_client.time()
    for age in ages:
        await redis_client.xadd(RAW, {"n": 1}, id=f"{(seconds - age) * 1000}-0")
    with suppress(ResponseError):
        await redis_client.xgroup_create(RAW, "observe", id="0")


async def test_the_streams_are_looked_at_once_a_second_for_however_many_answers(redis_client: Redis) -> None:
    now = NOON
    lag = DecoderLag(redis_client, partitions=1, clock=lambda: now)
    assert await asyncio.gather(*[lag.seconds() for _ in range(5)]) == [0] * 5
    await waiting(redis_client, 90)
    await redis_client.xreadgroup("observe", "a", {RAW: ">"})

    assert await lag.seconds() == 0
    now += CACHE_MS
    assert await lag.seconds() >= 90


async def test_what_no_decoder_has_in_hand_waits_since_the_first_look_that_saw_it(redis_client: Redis) -> None:
    """The API reads no message, so it knows no better; it is a second too little at the most."""
    now = NOON
    lag = DecoderLag(redis_client, partitions=1, clock=lambda: now)
    assert await lag.seconds() == 0
    await waiting(redis_client, 0)
    for seconds in (0, 1, 60):
        now = NOON + CACHE_MS + seconds * 1000
        assert await lag.seconds() == seconds
    # One is delivered and done: what waits now came later, and is seen for the first time.
    await waiting(redis_client, -1)
    await counted(redis_client)
    now += CACHE_MS
    assert await lag.seconds() == 0
    now += 5 * CACHE_MS
    assert await lag.seconds() == 5
    # And none waits any more.
    await redis_client.xtrim(RAW, 0)
    now += CACHE_MS
    assert await lag.seconds() == 0


async def test_a_process_that_has_just_started_takes_it_for_as_old_as_it_can_be(redis_client: Redis) -> None:
    await waiting(redis_client, 90, 30)
    await counted(redis_client)
    now = NOON
    lag = DecoderLag(redis_client, partitions=1, clock=lambda: now)
    first = await lag.seconds()
    assert first >= 90
    now += 10_000
    assert await lag.seconds() == first + 10


async def test_a_fresh_snapshot_answers_without_redis(parts: Parts) -> None:
    await poll_once(parts.live)
    async with (
        open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away,
        client_over(dataclasses.replace(parts, redis=away)) as client,
    ):
        for path in ("/v1/occupancy", "/v1/zones/kemmy/occupancy"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=1"
            assert answer.headers["content-type"] == "application/json"
            again = await client.get(path, headers={"If-None-Match": f'"x", {answer.headers["etag"]}'})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]
            head = await client.head(path)
            assert head.headers["content-length"] == str(len(answer.content))
            assert head.content == b""
        assert_problem(await client.get("/v1/zones/atlantis/occupancy"), 404)
        # What is asked in another way is chosen from it.
        chosen = await client.get("/v1/occupancy?sort=count&category=car_park")
        assert {zone["category"] for zone in chosen.json()["zones"]} == {"car_park"}


async def test_an_answer_of_a_snapshot_is_the_one_that_would_be_given_without_it(
    parts: Parts, redis_client: Redis, client: httpx.AsyncClient
) -> None:
    await arrive(redis_client, "kemmy", MOBILE, NOON)
    before = {path: await client.get(path) for path in ("/v1/occupancy", "/v1/zones/kemmy/occupancy")}
    await poll_once(parts.live)
    for path, own in before.items():
        fed = await client.get(path)
        assert fed.content == own.content
        assert {**fed.headers} == {**own.headers}


async def test_an_old_snapshot_and_one_of_another_campus_are_not_used(parts: Parts, redis_client: Redis) -> None:
    await poll_once(parts.live)
    await arrive(redis_client, "kemmy", MOBILE, NOON)
    later = dataclasses.replace(parts, clock=lambda: NOON + FRESH_MS)
    kemmy = parts.campus.by_id["kemmy"]
    smaller = dataclasses.replace(parts.campus, zones=(kemmy,))
    other = dataclasses.replace(parts, followed=FollowedCampus(client=redis_client, file=smaller))
    async with client_over(later) as client:
        assert (await client.get("/v1/zones/kemmy/occupancy")).json()["mobile"] == 1
    async with client_over(other) as client:
        assert [zone["zone"] for zone in (await client.get("/v1/occupancy")).json()["zones"]] == ["campus", "kemmy"]
