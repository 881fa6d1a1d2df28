"""At `maxmemory` batches have their effects and windows are written, also on each master of a cluster."""

from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.windows import Width, Window
from decoder.batch import Batch
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from state.coverage import RecordedMinutes
from state.dead_letters import DeadLetters, Which
from state.dirty_windows import keys_of, waiting
from state.presence import presence_now
from tests.conftest import NOON
from tests.decoder.conftest import HandClock, effects_of, position
from tests.decoder.test_rollup import DUBLIN, StubStore
from tests.kinds_of_tests import CAR
from tests.redis_servers.fixtures import limit_memory

PARTITIONS = 3
"""One on each master of the cluster."""
MINUTE = Window(Width.MINUTE, NOON, "campus", CAR)


async def test_batches_have_their_effects_and_their_windows_are_written(limited_redis: Redis) -> None:
    effects, store = effects_of(limited_redis, partitions=PARTITIONS), StubStore()
    # As nearly all devices they have been there before; and each partition has windows that it does not own.
    before = [position(f"{number}", NOON - 60_000, "library") for number in range(PARTITIONS)]
    partitions = [*range(PARTITIONS)]
    await effects.apply(Batch(positions=before, partitions=partitions), now=NOON)
    await limited_redis.zadd(keys_of(1, PARTITIONS).dirty, {"nonsense": 1})
    await limit_memory(limited_redis, 1)
    now = [position(f"{number}", NOON, "library") for number in range(PARTITIONS)]
    await effects.apply(Batch(positions=now, partitions=partitions), now=NOON)
    rollup = Rollup(
        kinds=DEFAULT_KINDS,
        client=limited_redis,
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
    assert await waiting(limited_redis, PARTITIONS) == 0
    present = await presence_now(limited_redis, ["library"], DEFAULT_KINDS, now=NOON, ttl=300, partitions=PARTITIONS)
    assert present["library"][CAR].devices == PARTITIONS
    # That minutes were counted is noted, too, and what is no window is a dead letter.
    assert await RecordedMinutes(limited_redis).marks(10)
    letters = [letter async for _, letter in DeadLetters(limited_redis, partitions=PARTITIONS).newest(Which())]
    assert [letter.reason for letter in letters] == [Reason.MALFORMED_WINDOW]
