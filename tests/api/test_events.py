import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from api.auth.keys import Keys
from api.live import poller
from api.live.change_log import ChangeLog
from api.live.poller import poll_once
from api.settings import ApiSettings
from bench.presence import leave
from core.errors import UnavailableError
from runtime.service import Stop
from state.client import open_redis
from tests.api.conftest import Parts, arrive, assert_problem, client_over, key_for
from tests.api.streams import streaming
from tests.conftest import NOON, eventually, free_port
from tests.kinds_of_tests import CAR, MOBILE

STALE_SECONDS = 5.0


class Seconds:
    """A stopwatch that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def change_log(seconds: Seconds) -> ChangeLog:
    return ChangeLog(elapsed=seconds)


@pytest.fixture
def parts(parts: Parts, change_log: ChangeLog) -> Parts:
    return dataclasses.replace(parts, change_log=change_log)


def with_settings(parts: Parts, **settings: object) -> Parts:
    return dataclasses.replace(parts, settings=parts.settings.model_copy(update=settings))


async def test_a_stream_begins_with_what_get_answers(parts: Parts, app: FastAPI, redis_client: Redis) -> None:
    await arrive(redis_client, "kemmy", CAR, NOON)
    await poll_once(parts.live)

    async with streaming(app) as stream, client_over(parts) as client:
        [snapshot] = await stream.until(1)
        body = (await client.get("/v1/occupancy")).json()

    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert stream.headers["cache-control"] == "no-store"
    assert "content-length" not in stream.headers
    assert stream.body.startswith(b"retry: 2000\n\nevent: snapshot\n")
    assert snapshot.name == "snapshot"
    assert snapshot.data == body


async def test_a_change_is_the_json_of_its_zone(parts: Parts, app: FastAPI, redis_client: Redis) -> None:
    await poll_once(parts.live)

    async with streaming(app) as stream, client_over(parts) as client:
        await stream.until(1)
        await arrive(redis_client, "kemmy", MOBILE, NOON)
        await poll_once(parts.live)
        _, change = await stream.until(2)
        answer = await client.get("/v1/zones/kemmy/occupancy")

    assert (change.name, change.data["mobile"]) == ("occupancy", 1)
    assert b"data: " + answer.content + b"\n\n" in stream.body


async def test_a_filter_leaves_only_its_zones(parts: Parts, app: FastAPI, redis_client: Redis) -> None:
    await poll_once(parts.live)

    async with streaming(app, "zone=kemmy&zone=schuman") as stream:
        [snapshot] = await stream.until(1)
        for zone in ("campus", "schuman", "car-park-west"):
            await arrive(redis_client, zone, CAR, NOON)
        await poll_once(parts.live)
        _, change = await stream.until(2)

    assert [zone["zone"] for zone in snapshot.data["zones"]] == ["schuman", "kemmy"]
    assert change.data["zone"] == "schuman"
    assert len(stream.events) == 2


async def test_what_was_missed_comes_first(parts: Parts, app: FastAPI, redis_client: Redis) -> None:
    await poll_once(parts.live)
    async with streaming(app) as stream:
        [snapshot] = await stream.until(1)
    await arrive(redis_client, "kemmy", CAR, NOON)
    await poll_once(parts.live)
    await arrive(redis_client, "kemmy", CAR, NOON, NOON)
    await poll_once(parts.live)

    async with streaming(app, last_event_id=snapshot.id) as stream:
        missed = await stream.until(2)

    assert [(event.name, event.data["car"]) for event in missed] == [("occupancy", 1), ("occupancy", 2)]

    async with streaming(app, last_event_id=missed[0].id) as stream:
        [last] = await stream.until(1)

    assert last == missed[1]


@pytest.mark.parametrize("last_event_id", ["of another process-3", "nonsense"])
async def test_who_was_away_for_too_long_gets_a_snapshot(parts: Parts, app: FastAPI, last_event_id: str) -> None:
    await poll_once(parts.live)

    async with streaming(app, last_event_id=last_event_id) as stream:
        [snapshot] = await stream.until(1)

    assert snapshot.name == "snapshot"


async def test_a_silent_stream_has_heartbeats(
    parts: Parts, app: FastAPI, change_log: ChangeLog, seconds: Seconds
) -> None:
    await poll_once(parts.live)

    async with streaming(app) as stream:
        await stream.until(1)
        for now in (14.9, 15.0, 20.0, 29.9, 30.0):
            seconds.now = now
            # Whether Redis answers or not.
            change_log.missed(stale=False)
            await eventually(waiting(change_log))

        assert stream.heartbeats == 2


def waiting(change_log: ChangeLog) -> Callable[[], Awaitable[bool]]:
    """Whether whoever was woken waits again."""

    async def again() -> bool:
        return bool(change_log._tick._waiters)  # asyncio has no other way to ask

    return again


async def test_a_reader_that_does_not_read_is_cut_off(
    parts: Parts, app: FastAPI, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.events.SEND_SECONDS", 0.05)
    await poll_once(parts.live)

    async with streaming(app) as stuck, streaming(app) as other:
        await stuck.until(1)
        stuck.reads.clear()
        await arrive(redis_client, "kemmy", CAR, NOON)
        await poll_once(parts.live)

        await stuck.until_ended()
        assert stuck.aborted
        assert len(await other.until(2)) == 2
        assert not other.ended
        assert parts.metrics.registry.get_sample_value("api_event_streams") == 1
        assert parts.metrics.registry.get_sample_value("api_event_streams_cut_off_total") == 1


async def test_a_reader_whose_place_is_not_kept_any_more_is_cut_off(
    parts: Parts, app: FastAPI, change_log: ChangeLog, redis_client: Redis
) -> None:
    change_log.ring = 3
    await poll_once(parts.live)

    async with streaming(app) as slow:
        await slow.until(1)
        slow.reads.clear()
        for count in range(1, 7):
            await arrive(redis_client, "kemmy", CAR, *([NOON] * count))
            await poll_once(parts.live)
        slow.reads.set()

        await slow.until_ended()
        assert slow.aborted


async def test_no_more_streams_than_the_setting_says(parts: Parts) -> None:
    parts = with_settings(parts, events_max_streams=2, events_address_share=1.0)
    app = parts.app()
    await poll_once(parts.live)

    async with streaming(app) as first, client_over(parts) as client:
        async with streaming(app):
            answer = await client.get("/v1/events")
            problem = assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "5"
            assert "2 event streams" in problem["detail"]

        # Who goes makes room.
        async def one_left() -> bool:
            return parts.change_log.readers == 1

        await eventually(one_left)
        async with streaming(app) as third:
            assert third.status == 200
        assert first.status == 200


async def test_one_address_has_a_share_of_the_streams_and_others_still_get_in(parts: Parts) -> None:
    parts = with_settings(parts, events_max_streams=4, events_address_share=0.5)
    app = parts.app()
    await poll_once(parts.live)

    async with streaming(app), streaming(app) as second, client_over(parts) as client:
        answer = await client.get("/v1/events")
        problem = assert_problem(answer, 429)
        assert answer.headers["retry-after"] == "5"
        assert "2 event streams" in problem["detail"]
        async with streaming(app, address="2001:db8::1") as elsewhere:
            assert elsewhere.status == 200
        second.gone.set()
        parts.change_log.missed(stale=False)
        await second.until_ended()
        async with streaming(app) as again:
            assert again.status == 200


async def test_a_client_that_goes_leaves_nothing_behind(parts: Parts, app: FastAPI, change_log: ChangeLog) -> None:
    await poll_once(parts.live)

    async with streaming(app) as stream:
        await stream.until(1)
        stream.gone.set()
        change_log.missed(stale=False)
        await stream.until_ended()

    assert change_log.readers == 0


async def test_the_streams_end_with_the_server(parts: Parts, app: FastAPI, change_log: ChangeLog) -> None:
    await poll_once(parts.live)

    async with streaming(app) as stream:
        await stream.until(1)
        change_log.close()

        await stream.until_ended()
        assert not stream.aborted


async def test_head_has_the_headers_and_an_end(parts: Parts, app: FastAPI) -> None:
    await poll_once(parts.live)

    async with streaming(app, method="HEAD") as stream:
        await stream.until_ended()

    assert (stream.status, stream.body) == (200, b"")
    assert stream.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("query", "status"), [("zone=nowhere", 404), ("zones=kemmy", 422), ("&".join(["zone=kemmy"] * 1001), 422)]
)
async def test_what_cannot_be_followed_is_named(parts: Parts, query: str, status: int) -> None:
    await poll_once(parts.live)

    async with client_over(parts) as client:
        assert_problem(await client.get(f"/v1/events?{query}"), status)


async def test_before_the_first_look_there_is_no_stream(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/events"), 503)


async def test_small_counts_are_suppressed_in_events_too(parts: Parts, redis_client: Redis) -> None:
    parts = with_settings(parts, privacy_min_count=3)
    await arrive(redis_client, "kemmy", MOBILE, NOON, NOON)
    await poll_once(parts.live)

    async with streaming(parts.app(), "zone=kemmy") as stream:
        [snapshot] = await stream.until(1)
        await arrive(redis_client, "kemmy", CAR, NOON)
        await poll_once(parts.live)
        _, change = await stream.until(2)
        # A phone more, and one that is still too few, is no change: that there is an event would tell of it.
        await leave(redis_client, "kemmy", MOBILE)
        await arrive(redis_client, "kemmy", MOBILE, NOON + 1)
        await poll_once(parts.live)
        assert parts.change_log.number == 1

    for body in (snapshot.data["zones"][0], change.data):
        assert (body["mobile"], body["total"], body["suppressed"]) == (None, None, True)


async def test_where_occupancy_is_not_public_a_stream_ends_with_its_key(
    parts: Parts, redis_client: Redis, seconds: Seconds, change_log: ChangeLog
) -> None:
    now = NOON
    parts = dataclasses.replace(with_settings(parts, api_public_occupancy=False), clock=lambda: now)
    app = parts.app()
    await poll_once(parts.live)
    key = await key_for(redis_client, "positions:read")

    async with client_over(parts) as client:
        assert_problem(await client.get("/v1/events"), 401)
    async with streaming(app, key=key) as stream:
        await stream.until(1)
        [(made, _)] = await parts.rooms.access.keys.all()
        await Keys(redis_client, clock=lambda: now).remove(made.id)
        now += 2000
        seconds.now = 2.0
        change_log.missed(stale=False)

        await stream.until_ended()
        assert not stream.aborted


async def test_watching_goes_on_where_redis_is_away_and_says_that_counts_are_old(
    parts: Parts, seconds: Seconds, change_log: ChangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, looks = Stop(), 0

    async def paused(_: float, stop: Stop) -> None:
        nonlocal looks
        looks += 1
        seconds.now += STALE_SECONDS / 2
        if looks == 4:
            stop.set()

    monkeypatch.setattr("api.live.poller.pause", paused)
    await poll_once(parts.live)
    async with open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        await poller.run(dataclasses.replace(parts, redis=away).live, stop)

    assert looks == 4
    assert change_log.stale
    assert change_log.closed
    with pytest.raises(UnavailableError):
        await poll_once(dataclasses.replace(parts, redis=away).live)


async def test_watching_that_meets_a_defect_says_that_counts_are_old_and_can_begin_again(
    parts: Parts, change_log: ChangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poll_once(parts.live)
    stop = Stop()

    async def defect(_: Parts) -> None:
        raise ValueError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(poller, "poll_once", defect)
        with pytest.raises(ValueError, match="a defect"):
            await poller.run(parts.live, stop)
    assert (change_log.stale, change_log.closed) == (True, False)
    watching = asyncio.ensure_future(poller.run(parts.live, stop))
    await change_log.wait()
    assert (change_log.stale, change_log.closed) == (False, False)
    stop.set()
    await watching
    assert (change_log.stale, change_log.closed) == (False, True)
