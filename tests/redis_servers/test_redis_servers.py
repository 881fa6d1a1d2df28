"""The servers that tests run on do what other tests take for granted."""

import pytest
import redis.asyncio
from redis.crc import key_slot

from tests.redis_servers.clients import blocking_client_of, client_of
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.executables import VERSIONS, executable_of, version_of
from tests.redis_servers.sentinel import SentinelSet
from tests.redis_servers.single import single_redis

BEGINS = {"6.2": "6.2.", "7.0": "7.0.", "8": "8.", "valkey-8": "8."}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_of_each_version_is_that_version(version: str) -> None:
    executable = executable_of(version)
    assert version_of(executable).startswith(BEGINS[version])
    with single_redis(executable) as url:
        async with redis.asyncio.Redis.from_url(url) as client:
            assert ("valkey_version" in await client.info("server")) == (version == "valkey-8")


async def test_a_client_of_a_cluster_writes_to_all_masters_and_empties_them(cluster: RedisCluster) -> None:
    async with client_of(cluster.url) as client:
        for number in range(30):
            await client.set(f"{{{number}}}", number)
        assert [master.command("DBSIZE") > 0 for master in cluster.masters] == [True, True, True]
        await client.flushall()
    assert [master.command("DBSIZE") for master in cluster.masters] == [0, 0, 0]


def test_another_member_takes_over_from_a_master_that_is_killed_or_paused(cluster: RedisCluster) -> None:
    gone = cluster.kill_master_of("{a}")
    cluster.until_taken_over(gone)
    paused = cluster.master_of("{a}")
    assert paused is not gone
    gone.start()
    cluster.until_well()
    paused.pause()
    cluster.until_taken_over(paused)
    assert cluster.master_of("{a}") is gone
    cluster.reset()
    assert len(cluster.masters) == len(cluster.replicas) == 3


def test_a_slot_moves_with_its_keys_and_a_move_that_nobody_finished_is_given_up(cluster: RedisCluster) -> None:
    slot = key_slot(b"a")
    with blocking_client_of(cluster.url) as client:
        for number in range(30):
            client.set(f"{number}:{{a}}", number)
        source = cluster.master_of("{a}")
        target = cluster.other_master("{a}")
        assert cluster.move_slot(slot, target) == 30
        assert cluster.master_of("{a}") is target
        assert client.get("7:{a}") == b"7"
        cluster.begin_move(slot, source)
        assert cluster.move_keys(slot, target, source, limit=10) == 10
        cluster.reset()
        assert cluster.master_of("{a}") is target
        assert client.dbsize() == 0
        client.set("{a}", 1)


async def test_the_sentinels_name_another_primary_where_it_is_killed(sentinels: SentinelSet) -> None:
    gone = sentinels.kill_primary()
    sentinels.until_taken_over(gone)
    async with client_of(sentinels.url) as client:
        await client.set("a", 1)
        assert sentinels.primary.command("GET", "a") == "1"
    sentinels.reset()
    assert sentinels.primary is not gone
    assert sentinels.primary.command("DBSIZE") == 0
