"""Presence read from a real Redis Cluster, while slots move and masters end."""

from redis.crc import key_slot

from bench.presence import leave, see
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from runtime.settings import CommonSettings
from state.client import open_redis
from state.presence import presence_key, presence_now
from state.presence_reader import PresenceReader
from state.slots import tag
from tests.conftest import NOON, eventually
from tests.kinds_of_tests import CAR
from tests.redis_servers.cluster import RedisCluster

ZONES = ("campus", "main", "library")
PARTITIONS, TTL = 6, 300


async def test_it_is_what_reading_everything_would_say_whoever_has_the_slots(cluster: RedisCluster) -> None:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as redis:
        reader = PresenceReader(redis, DEFAULT_KINDS, partitions=PARTITIONS, ttl=TTL)

        async def exact() -> bool:
            try:
                await reader.read(ZONES, now=NOON)
                return reader.present == await presence_now(
                    redis, ZONES, DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=PARTITIONS
                )
            except UnavailableError:
                return False  # until another master serves it

        for partition in range(PARTITIONS):
            await see(redis, "main", CAR, {f"{partition}": NOON}, partition=partition, partitions=PARTITIONS)
        assert await exact()
        assert reader.present["main"][CAR].devices == 6

        # The first of the partitions moves to a master that has others of them.
        key = presence_key(tag(0, PARTITIONS), "main", CAR)
        cluster.move_slot(key_slot(tag(0, PARTITIONS).strip("{}").encode()), cluster.other_master(key))
        await see(redis, "main", CAR, {"more": NOON}, partition=0, partitions=PARTITIONS)
        await eventually(exact)
        assert reader.present["main"][CAR].devices == 7

        gone = cluster.kill_master_of(key)
        cluster.until_taken_over(gone)
        await eventually(exact)
        await leave(redis, "main", CAR, "0", partition=0, partitions=PARTITIONS)
        await eventually(exact)
        # The failover may have lost the newest write, or not: either way it is what Redis says.
        assert reader.present["main"][CAR].devices in {5, 6}
