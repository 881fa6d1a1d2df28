"""A kind that is in the table no more: what is there of it ends nothing and loops nowhere, and is counted or kept."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import documents
import timeseries
from broker.auth.passwords import hash_password
from broker.auth.users import User, Users
from core.errors import Reason
from core.kinds import DEFAULT_KINDS, KindId
from core.messages import DeadLetter, RawMessage
from decoder.housekeeping import Housekeeping
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from documents import DocumentStore
from geofence import load_campus
from runtime.service import Stop
from state.coverage import RecordedMinutes
from state.dirty_windows import keys_of, waiting
from state.newest_input import signs_of_input
from state.presence import presence_key
from state.presence_reader import PresenceReader
from state.slots import tag
from tests.broker.conftest import PASSWORD, running_node
from tests.broker.test_node import BAD_CREDENTIALS, code_for
from tests.conftest import NOON, POSITIONS, RAW, eventually
from tests.decoder.conftest import HASHER, LIBRARY, TTL, HandClock, dead_letters
from tests.kinds.tables import THREE_KINDS
from tests.kinds_of_tests import CAR, MOBILE
from tests.mqtt.wire import connect
from tests.raw_streams import add_dead_letters, append
from timeseries import Coverage, OccupancyPoint, TimeseriesStore, Width, Window

NEWEST_INPUT = "newest-input:{campus}"

BICYCLE = KindId("bicycle")
"""In THREE_KINDS, and not in the table of the services here."""


def sent(topic: str, user: str, role: str) -> RawMessage:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"timestamp": NOON, **({} if role in {"car", "bicycle"} else {"device_id": "of a gateway"})},
    }
    return RawMessage(topic, user, role, NOON, base64.b64encode(json.dumps(feature).encode()))


@pytest.fixture
def settings(tmp_path: Path) -> DecoderSettings:
    return DecoderSettings(data_dir=tmp_path, presence_ttl=TTL, rollup_every=0)


@pytest.fixture
async def stores(settings: DecoderSettings) -> AsyncIterator[tuple[DocumentStore, TimeseriesStore]]:
    async with documents.open_store(settings) as archive, timeseries.open_store(settings) as series:
        await series.setup()
        yield archive, series


async def test_what_it_has_left_in_redis_is_worked_off_and_of_its_neighbours_nothing_is_lost(
    redis_client: Redis, settings: DecoderSettings, stores: tuple[DocumentStore, TimeseriesStore]
) -> None:
    archive, series = stores
    stop, clock, metrics = Stop(), HandClock(), DecoderMetrics()
    clock.now = NOON + 1000
    # In one entry, as a broker appends them.
    await append(
        redis_client,
        sent("car-iotp", "car-7", "car"),
        sent("bicycle-iotp", "bike-7", "bicycle"),
        sent("bicycle-iotp", "gate", "gateway"),
        sent("car-iotp", "bike-8", "bicycle"),
        sent("mobile-iotp", "gate", "gateway"),
    )
    window = Window(Width.HOUR, NOON, "campus", BICYCLE)
    await redis_client.zadd(keys_of(0, 1).dirty, {window.member: NOON})
    await RecordedMinutes(redis_client).mark([(BICYCLE, NOON), (CAR, NOON)])

    assembly = Assembly(kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=clock, metrics=metrics)
    stages = assembly.observe(load_campus(None), HASHER) | assembly.archive(archive) | assembly.rollup(series)
    stages |= assembly.coverage(series, load_campus(None))
    running = [asyncio.ensure_future(stage(stop)) for stage in stages.values()]

    async def done() -> bool:
        streams = [await redis_client.xlen(stream) for stream in (RAW, POSITIONS)]
        mark = await redis_client.sismember("coverage:dirty:{campus}", f"{NOON}:bicycle")
        return not any([*streams, mark, await waiting(redis_client, 1)])

    await eventually(done)
    assert not [stage for stage in running if stage.done()]
    stop.set()
    await asyncio.gather(*running)

    letters = sorted((letter.reason, letter.detail) for letter in await dead_letters(redis_client))
    assert letters == [
        (Reason.MALFORMED_ENTRY, "a mark in coverage:dirty that no decoder made"),
        (Reason.MALFORMED_ENTRY, "sent in a role that is none: of a kind that has gone?"),
        (
            Reason.MALFORMED_WINDOW,
            f"'1h:{NOON}:campus:bicycle', which has changed, is no window that this version knows",
        ),
        (Reason.UNKNOWN_TOPIC, "positions go to car-iotp or mobile-iotp"),
        (Reason.UNKNOWN_TOPIC, "positions go to car-iotp or mobile-iotp"),
    ]
    points = {
        kind: [
            point.devices
            for point in await series.history(zone="campus", kind=kind, width=Width.HOUR, start=NOON, end=NOON + 1)
        ]
        for kind in (CAR, MOBILE, BICYCLE)
    }
    assert points == {CAR: [1], MOBILE: [1], BICYCLE: []}


async def test_what_the_stores_have_of_it_stays_and_can_be_read(
    stores: tuple[DocumentStore, TimeseriesStore],
) -> None:
    _, series = stores
    point = OccupancyPoint(Window(Width.HOUR, NOON, "campus", BICYCLE), 3)
    await series.write([point])
    await series.write_coverage([Coverage("campus", BICYCLE, NOON, 1)])

    assert await series.series(Width.HOUR) == [("campus", BICYCLE)]
    assert await series.history(zone="campus", kind=BICYCLE, width=Width.HOUR, start=NOON, end=NOON + 1) == [point]
    assert await series.coverage_extent("campus", BICYCLE) == (NOON, NOON)
    await series.drop("campus", BICYCLE, start=NOON, end=NOON + 1)
    assert await series.series(Width.HOUR) == []


async def test_who_is_present_of_it_is_told_to_nobody_and_forgotten(redis_client: Redis) -> None:
    hash_tag, clock = tag(0, 1), HandClock()
    clock.now = NOON + (TTL + 1) * 1000
    key = presence_key(hash_tag, "campus", BICYCLE)
    await redis_client.zadd(key, {"hash of a bicycle": NOON})
    await redis_client.zadd(f"touched:{hash_tag}", {"campus:bicycle": 1})
    await redis_client.zadd(NEWEST_INPUT, {"bicycle": NOON})

    reader = PresenceReader(redis_client, DEFAULT_KINDS, partitions=1, ttl=TTL)
    await reader.read(["campus"], now=NOON)
    assert set(reader.present["campus"]) == {CAR, MOBILE}
    assert (await signs_of_input(redis_client, DEFAULT_KINDS)).newest == {}
    assert set((await signs_of_input(redis_client, THREE_KINDS)).newest) == {BICYCLE}

    housekeeping = Housekeeping(
        client=redis_client,
        partitions=1,
        zones=lambda: ["campus"],
        kinds=DEFAULT_KINDS,
        presence_ttl=TTL,
        forget_after=60,
        dead_letters_keep=1000,
        clock=clock,
    )
    await housekeeping.tidy()
    assert not await redis_client.exists(key)


async def test_its_users_are_refused_and_who_becomes_one_is_sent_away_once(
    redis_client: Redis, redis_server: str
) -> None:
    bicycle = User("bike-7", "bicycle", hash_password(PASSWORD))
    await Users(redis_client).put([bicycle, User("car-7", "car", hash_password(PASSWORD))])
    async with running_node(redis_server) as node:
        car = await node.service.connect("c", user="car-7", password=PASSWORD)
        assert await code_for(node, connect("b", user="bike-7", password=PASSWORD)) == BAD_CREDENTIALS
        assert await car.is_open()

        await Users(redis_client).put([User("car-7", "bicycle", hash_password(PASSWORD))])
        await car.closed()
        assert node.refused("user_changed") == 1
        assert await code_for(node, connect("c", user="car-7", password=PASSWORD)) == BAD_CREDENTIALS
        assert node.node.problem is None
        assert len(node.node.connections) == 0
    assert await Users(redis_client).get(["bike-7"]) == {"bike-7": bicycle}


async def test_a_dead_letter_of_its_users_is_read_as_it_was_kept(redis_client: Redis) -> None:
    letter = DeadLetter(Reason.NOT_GEOJSON, "no GeoJSON", "car-iotp", NOON, b"e30=", user="bike-7", role="bicycle")
    await add_dead_letters(redis_client, letter)
    assert await dead_letters(redis_client) == [letter]
