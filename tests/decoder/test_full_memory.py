"""At `maxmemory` batches have their effects and windows are written, also on each master of a cluster."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.windows import Width, Window
from decoder.batch import Batch
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from runtime.settings import CommonSettings
from state.client import open_redis
from state.coverage import RecordedMinutes
from state.dead_letters import DeadLetters, Which
from state.dirty_windows import keys_of, waiting
from state.presence import presence_now
from state.server import masters
from tests.conftest import NOON
from tests.decoder.conftest import HandClock, effects_of, position
from tests.decoder.test_rollup import DUBLIN, StubStore
from tests.kinds_of_tests import CAR
from tests.redis_servers.cluster import RedisCluster

PARTITIONS = 3
"""One on each master of the cluster."""
MINUTE = Window(Width.MINUTE, NOON, "campus", CAR)


@pytest.fixture(params=["single", "cluster"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    if request.param == "cluster":
        url = cast("RedisCluster", request.getfixturevalue("cluster")).url
    else:
        url = cast("str", request.getfixturevalue("redis_server"))
    async with open_redis(CommonSettings(redis_url=url)) as client:
        await client.flushall()
        yield client
        await limit(client, 0)


async def limit(client: Redis, maxmemory: int) -> None:
    for master in await masters(client):
        await master.config_set("maxmemory", maxmemory)


async def test_batches_have_their_effects_and_their_windows_are_written(client: Redis) -> None:
    effects, store = effects_of(client, partitions=PARTITIONS), StubStore()
    # As nearly all devices they have been there before; and each partition has windows that it does not own.
    before = [position(f"{number}", NOON - 60_000, "library") for number in range(PARTITIONS)]
    partitions = [*range(PARTITIONS)]
    await effects.apply(Batch(positions=before, partitions=partitions), now=NOON)
    await client.zadd(keys_of(1, PARTITIONS).dirty, {"nonsense": 1})
    await limit(client, 1)
    now = [position(f"{number}", NOON, "library") for number in range(PARTITIONS)]
    await effects.apply(Batch(positions=now, partitions=partitions), now=NOON)
    rollup = Rollup(
        kinds=DEFAULT_KINDS,
        client=client,
        store=store,
        clock=HandClock(NOON + 3_600_000),
        metrics=DecoderMetrics(),
        partitions=PARTITIONS,
        timezone=DUBLIN,
        every_ms=0,
        batch_size=100,
        dead_letters_max=10,
    )
    while await rollup.step():
        pass
    assert store.written[MINUTE.member] == PARTITIONS
    assert await waiting(client, PARTITIONS) == 0
    present = await presence_now(client, ["library"], DEFAULT_KINDS, now=NOON, ttl=300, partitions=PARTITIONS)
    assert present["library"][CAR].devices == PARTITIONS
    # That minutes were counted is noted, too, and what is no window is a dead letter.
    assert await RecordedMinutes(client).marks(10)
    letters = [letter async for _, letter in DeadLetters(client, partitions=PARTITIONS).newest(Which())]
    assert [letter.reason for letter in letters] == [Reason.MALFORMED_WINDOW]
