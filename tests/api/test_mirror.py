import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiomqtt
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from api.live.lease import Lease
from api.live.mirror import Mirror
from api.live.poller import poll_once
from api.settings import ApiSettings
from api.zones.campus import CampusView
from core.errors import BadSettingsError
from geofence import Campus
from runtime.demo_users import DemoUser, keep_demo_users
from runtime.service import Stop
from state.mirror import note_topics
from tests.api.conftest import Parts, arrive, client_over
from tests.api.mirror_broker import PASSWORD, USER, Broker, a_broker
from tests.api.test_analytics import jobs_ran
from tests.conftest import NOON, WAIT_SECONDS, eventually, free_port
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import TimeseriesStore

LEASE_SECONDS = 5.0
EVERY_SECONDS = 1.0
CLIENT = "mirror:client:{campus}"
HOLDER = "mirror:{campus}"
RETAINED = "retained:{mqtt}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with a_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
async def subscriber(broker: Broker) -> AsyncIterator[aiomqtt.Client]:
    """A client of the broker, which has nothing retained from an earlier test."""
    async with Redis.from_url(broker.node.redis) as redis:
        await redis.delete(RETAINED)
    async with broker.client() as client:
        yield client


@pytest.fixture
def parts(parts: Parts, broker: Broker) -> Parts:
    return with_settings(
        parts,
        mirror=True,
        mirror_url=broker.settings["MIRROR_URL"],
        mirror_username=USER,
        mirror_password=SecretStr(PASSWORD),
    )


def with_settings(parts: Parts, **settings: object) -> Parts:
    return dataclasses.replace(parts, settings=parts.settings.model_copy(update=settings))


def mirror_of(parts: Parts) -> Mirror:
    return Mirror(parts.live, Lease(parts.redis), redis=parts.redis, settings=parts.settings)


class Turns:
    """Stands in the place of the pauses of a mirror: it goes on when the test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._go = asyncio.Semaphore(0)

    async def pause(self, seconds: float, stop: Stop) -> None:
        self.pauses.append(seconds)
        if not stop.is_set():
            await self._go.acquire()

    async def pausing(self, times: int) -> None:
        """Until it has paused so often."""

        async def paused() -> bool:
            return len(self.pauses) >= times

        await eventually(paused)

    async def next(self) -> None:
        """One turn more, until its end."""
        times = len(self.pauses)
        self._go.release()
        await self.pausing(times + 1)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    turns = Turns()
    monkeypatch.setattr("api.live.mirror.pause", turns.pause)
    return turns


@asynccontextmanager
async def mirroring(parts: Parts, turns: Turns) -> AsyncIterator[Mirror]:
    """A mirror that has had its first turn."""
    stop = Stop()
    mirror = mirror_of(parts)
    task = asyncio.create_task(mirror.run(stop))
    try:
        before = len(turns.pauses)
        await turns.pausing(before + 1)
        yield mirror
    finally:
        stop.set()
        turns._go.release()
        async with asyncio.timeout(WAIT_SECONDS):
            await task


async def messages(client: aiomqtt.Client, number: int) -> dict[str, Any]:
    """So many messages, by topic; empty ones are None."""
    got: dict[str, Any] = {}
    async with asyncio.timeout(WAIT_SECONDS):
        for _ in range(number):
            message = await anext(client.messages)
            topic = message.topic.value
            assert topic not in got, f"{topic} twice"
            got[topic] = json.loads(message.payload) if message.payload else None
    return got


async def nothing_comes(client: aiomqtt.Client, turns: Turns) -> None:
    """After what a turn has sent comes the answer to this, and nothing was before it."""
    await turns.next()
    async with asyncio.timeout(WAIT_SECONDS):
        await client.publish("nothing/else", b"?", qos=1)
        assert (await anext(client.messages)).topic.value == "nothing/else"


async def test_every_resource_is_retained_under_its_path_as_get_answers_it(
    parts: Parts, turns: Turns, broker: Broker, subscriber: aiomqtt.Client, redis_client: Redis
) -> None:
    await arrive(redis_client, "kemmy", CAR, NOON)
    await poll_once(parts.live)

    async with mirroring(parts, turns), client_over(parts) as client:
        zones = [zone.id for zone in parts.campus.everything]
        topics = ["v1/zones", "v1/occupancy"]
        topics += [f"v1/zones/{zone}{what}" for zone in zones for what in ("", "/occupancy")]
        assert await broker.retained() == set(topics)
        await subscriber.subscribe("v1/#", qos=1)
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in topics:
                message = await anext(subscriber.messages)
                assert message.retain
                # Not only the same JSON: the same bytes.
                assert message.payload == (await client.get(f"/{message.topic.value}")).content


async def test_what_was_computed_is_retained_once_it_is_known_and_until_it_is_gone(
    parts: Parts, turns: Turns, broker: Broker, subscriber: aiomqtt.Client, store: TimeseriesStore
) -> None:
    left_behind = {"v1/zones/kemmy/visits", "v1/zones/gone/forecast"}
    await note_topics(parts.redis, left_behind)
    host, port = broker.node.mqtt
    async with aiomqtt.Client(host, port, username=USER, password=PASSWORD, timeout=WAIT_SECONDS) as before:
        for topic in left_behind:
            await before.publish(topic, b"{}", qos=1, retain=True)
    await jobs_ran(store)
    await poll_once(parts.live)

    async with mirroring(parts, turns), client_over(parts) as client:
        # What was computed is not known yet: what another process has left stays.
        assert left_behind <= await broker.retained()
        await parts.live.results.look()
        await turns.next()

        retained = await broker.retained()
        zones = [zone.id for zone in parts.campus.everything]
        assert {f"v1/zones/{zone}/visits" for zone in zones} <= retained
        assert "v1/zones/gone/forecast" not in retained
        await subscriber.subscribe("v1/zones/kemmy/visits", qos=1)
        found = (await messages(subscriber, 1))["v1/zones/kemmy/visits"]
        assert found["mobile"] == (await client.get("/v1/zones/kemmy/visits", params={"kind": "mobile"})).json()


async def test_only_what_changed_is_published(
    parts: Parts, turns: Turns, subscriber: aiomqtt.Client, redis_client: Redis
) -> None:
    now = NOON
    parts = dataclasses.replace(parts, clock=lambda: now)
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        await subscriber.subscribe("nothing/else")
        await subscriber.subscribe("v1/zones/+/occupancy", qos=1)
        await messages(subscriber, len(parts.campus.everything))
        now += 10_000
        await poll_once(parts.live)
        await nothing_comes(subscriber, turns)

        await arrive(redis_client, "kemmy", CAR, NOON)
        await poll_once(parts.live)
        await turns.next()
        changed = await messages(subscriber, 1)
        assert changed["v1/zones/kemmy/occupancy"]["car"] == 1
        await nothing_comes(subscriber, turns)


async def test_two_changes_within_a_second_are_one_message(
    parts: Parts, turns: Turns, subscriber: aiomqtt.Client, redis_client: Redis
) -> None:
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        await subscriber.subscribe("nothing/else")
        await subscriber.subscribe("v1/zones/kemmy/occupancy", qos=1)
        await messages(subscriber, 1)
        for count in (1, 2, 3):
            await arrive(redis_client, "kemmy", CAR, *[NOON] * count)
            await poll_once(parts.live)
        await turns.next()

        changed = await messages(subscriber, 1)
        assert changed["v1/zones/kemmy/occupancy"]["car"] == 3
        await nothing_comes(subscriber, turns)
    assert min(turns.pauses) >= EVERY_SECONDS >= 1


async def test_a_zone_that_is_gone_leaves_no_topic_behind(
    parts: Parts, turns: Turns, broker: Broker, subscriber: aiomqtt.Client, campus: Campus
) -> None:
    kept = CampusView(Campus(boundary=campus.boundary, zones=campus.zones[1:]))
    gone = campus.zones[0].id
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        await subscriber.subscribe("v1/#", qos=1)
        await messages(subscriber, 2 * len(campus.everything) + 2)
        parts.followed.replace(kept)
        # Until the zones are looked at again, the two do not fit, and nothing is said.
        await turns.next()
        assert f"v1/zones/{gone}" in await broker.retained()
        await poll_once(parts.live)
        await turns.next()

        changed = await messages(subscriber, 4)
        assert (changed.pop(f"v1/zones/{gone}"), changed.pop(f"v1/zones/{gone}/occupancy")) == (None, None)
        assert changed.keys() == {"v1/zones", "v1/occupancy"}
        assert {topic for topic in await broker.retained() if gone in topic.split("/")} == set()


@pytest.mark.usefixtures("subscriber")
async def test_who_mirrors_next_clears_what_the_one_before_has_left(
    parts: Parts, turns: Turns, broker: Broker, campus: Campus
) -> None:
    gone = campus.zones[0].id
    await poll_once(parts.live)
    async with mirroring(parts, turns):
        assert f"v1/zones/{gone}/occupancy" in await broker.retained()
    parts.followed.replace(CampusView(Campus(boundary=campus.boundary, zones=campus.zones[1:])))
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        assert f"v1/zones/{gone}/occupancy" not in await broker.retained()
        assert len(await broker.retained()) == 2 * len(campus.zones) + 2


async def test_small_counts_are_suppressed_on_mqtt_too(
    parts: Parts, turns: Turns, subscriber: aiomqtt.Client, redis_client: Redis
) -> None:
    parts = with_settings(parts, privacy_min_count=3)
    await arrive(redis_client, "kemmy", MOBILE, NOON, NOON)
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        await subscriber.subscribe("v1/zones/kemmy/occupancy", qos=1)
        [body] = (await messages(subscriber, 1)).values()

    assert (body["mobile"], body["total"], body["suppressed"], body["observed_at"]) == (None, None, True, None)


@pytest.mark.usefixtures("subscriber")
async def test_what_is_too_large_for_the_broker_is_not_left_there_in_an_old_version(
    parts: Parts, turns: Turns, broker: Broker
) -> None:
    await poll_once(parts.live)
    async with mirroring(parts, turns):
        assert "v1/occupancy" in await broker.retained()

    parts = with_settings(parts, mirror_max_payload=5_000)
    async with mirroring(parts, turns):
        assert {"v1/occupancy", "v1/zones"} & await broker.retained() == set()
        assert "v1/zones/kemmy/occupancy" in await broker.retained()
        assert parts.metrics.registry.get_sample_value("api_mirror_too_large") == 2


@pytest.mark.usefixtures("subscriber")
async def test_only_one_of_two_mirrors_and_the_other_one_when_it_has_ended(
    parts: Parts, turns: Turns, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poll_once(parts.live)
    others = Turns()
    other = dataclasses.replace(parts, metrics=type(parts.metrics)())

    def mirrors(which: Parts) -> float | None:
        return which.metrics.registry.get_sample_value("api_mirroring")

    async with mirroring(parts, turns):
        monkeypatch.setattr("api.live.mirror.pause", others.pause)
        async with mirroring(other, others):
            await others.next()
            assert (mirrors(parts), mirrors(other)) == (1, 0)
            # The holder lives for as long as it renews.
            assert 0 < await redis_client.pttl(HOLDER) <= LEASE_SECONDS * 1000
            await redis_client.delete(HOLDER)
            await others.next()
            assert mirrors(other) == 1
            # The first one has been told by the broker, or is told by the lease.
            monkeypatch.setattr("api.live.mirror.pause", turns.pause)
            await turns.next()
            assert mirrors(parts) == 0


@pytest.mark.usefixtures("subscriber")
async def test_a_broker_that_comes_back_gets_everything_anew(
    parts: Parts, turns: Turns, broker: Broker, redis_client: Redis
) -> None:
    async with Redis.from_url(broker.node.redis) as redis:
        await poll_once(parts.live)
        async with mirroring(parts, turns):
            # Whoever of its user has the client id last is the mirror; here it is another one, to end the connection.
            client_id = cast("bytes", await redis_client.get(CLIENT)).decode()
            host, port = broker.node.mqtt
            async with aiomqtt.Client(host, port, identifier=client_id, username=USER, password=PASSWORD):
                await redis.delete(RETAINED)
            await arrive(redis_client, "kemmy", CAR, NOON)
            await poll_once(parts.live)
            # One turn in which it notices, and one in which it begins anew.
            await turns.next()
            await turns.next()
            assert parts.metrics.registry.get_sample_value("api_mirror_failures_total") == 1
            assert len(await broker.retained()) == 2 * len(parts.campus.everything) + 2


async def test_without_a_broker_it_waits_longer_each_time_and_leaves_the_lease_to_others(
    parts: Parts, turns: Turns, redis_client: Redis
) -> None:
    parts = with_settings(parts, mirror_url=f"mqtt://127.0.0.1:{free_port()}")

    async with mirroring(parts, turns):
        for _ in range(5):
            await turns.next()
        assert not await redis_client.exists(HOLDER)

    assert all(1 <= seconds <= 30 for seconds in turns.pauses)
    assert turns.pauses[4] > turns.pauses[0]


@pytest.mark.usefixtures("subscriber")
async def test_the_demo_user_is_asked_for_when_it_is_made(parts: Parts, turns: Turns, broker: Broker) -> None:
    parts = with_settings(parts, mirror_password=None)
    await poll_once(parts.live)

    async with mirroring(parts, turns):
        assert await broker.retained() == set()
        keep_demo_users(parts.settings.data_dir, [DemoUser(USER, "service", PASSWORD)])
        await turns.next()
        assert "v1/zones" in await broker.retained()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "127.0.0.1:1883", "mqtt://", "mqtt://a:b@host", "mqtt://host:99999", "mqtt://host/path"]
)
def test_an_address_that_is_none_is_named(url: str, parts: Parts) -> None:
    with pytest.raises(BadSettingsError, match="MIRROR_URL"):
        mirror_of(with_settings(parts, mirror_url=url))


def test_a_mirror_needs_a_user(parts: Parts) -> None:
    with pytest.raises(BadSettingsError, match="MIRROR_USERNAME"):
        mirror_of(with_settings(parts, mirror_username=""))


def test_no_mirror_unless_somebody_asks_for_one() -> None:
    assert not ApiSettings.model_fields["mirror"].default


async def test_a_lease_that_was_not_renewed_in_time_is_not_held_whatever_redis_says(redis_client: Redis) -> None:
    now = 0.0
    lease = Lease(redis_client, elapsed=lambda: now)
    other = Lease(redis_client, elapsed=lambda: now)

    def held() -> tuple[bool, bool]:
        return lease.held, other.held

    first = await lease.take()
    assert await other.take() is None
    assert held() == (True, False)
    now = LEASE_SECONDS
    assert held() == (False, False)
    await lease.release()
    # Who comes next has the same name for the broker.
    assert await other.take() == first
    # To release what one does not hold takes it from nobody.
    await lease.release()
    assert held() == (False, True)
    assert await redis_client.exists(HOLDER)
