"""The roll-up on a real Redis Cluster, whose partitions lie on several masters."""

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.windows import Width, Window
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from runtime.settings import CommonSettings
from state.client import open_redis
from state.coverage import RecordedMinutes
from state.dead_letters import DeadLetters, Which
from state.dirty_windows import keys_of, waiting
from state.slots import tag
from state.windows import counter
from tests.conftest import NOON
from tests.decoder.conftest import HandClock
from tests.decoder.test_rollup import DUBLIN, StubStore
from tests.kinds_of_tests import CAR
from tests.redis_servers.cluster import RedisCluster

PARTITIONS = 6


async def test_counts_of_partitions_on_several_masters_are_added_up_and_written_by_the_owner(
    cluster: RedisCluster,
) -> None:
    windows = [Window(Width.MINUTE, NOON, zone, CAR) for zone in ("campus", "kemmy", "library", "schuman")]
    store = StubStore()
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        for partition in range(PARTITIONS):
            for window in windows:
                place = counter(window, tag(partition, PARTITIONS), 0)
                await client.hincrby(place.key, place.field, partition + 1)
                await client.zadd(keys_of(partition, PARTITIONS).dirty, {window.member: NOON})
        await client.zadd(keys_of(1, PARTITIONS).dirty, {"nonsense": 1})
        rollup = Rollup(
            kinds=DEFAULT_KINDS,
            client=client,
            store=store,
            clock=HandClock(),
            metrics=DecoderMetrics(),
            partitions=PARTITIONS,
            timezone=DUBLIN,
            every_ms=0,
            batch_size=5,
            dead_letters_max=10,
        )
        while await rollup.step():
            pass
        assert store.written == {window.member: 21 for window in windows}
        assert await waiting(client, PARTITIONS) == 0
        assert await RecordedMinutes(client).marks(10) == [f"{NOON}:car".encode()]
        letters = [letter async for _, letter in DeadLetters(client, partitions=PARTITIONS).newest(Which())]
        assert [letter.reason for letter in letters] == [Reason.MALFORMED_WINDOW]
