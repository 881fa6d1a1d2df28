"""DURABILITY=replicated: a write counts once replicas have it, and is not written again while it waits for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from core.errors import BadSettingsError, UnavailableError
from runtime.settings import CommonSettings
from state.client import open_redis
from state.durability import Durability, Writes, check_durability
from state.slots import tag
from tests.conftest import eventually, holds
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.executables import VERSIONS, executable_of
from tests.redis_servers.process import RedisProcess, free_ports
from tests.redis_servers.sentinel import SentinelSet

COUNT = "return redis.call('INCR', KEYS[2])"
NOTHING = "return redis.call('GET', KEYS[2]) or 'nothing'"


@pytest.fixture
async def client(sentinels: SentinelSet) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=sentinels.url)) as client:
        yield client


def replicas_of(sentinels: SentinelSet) -> list[RedisProcess]:
    return [server for server in sentinels.servers if server is not sentinels.primary]


async def test_a_write_counts_once_replicas_have_it_and_is_done_once(client: Redis, sentinels: SentinelSet) -> None:
    writes = Writes(client, durability=Durability.REPLICATED, replicas=2)
    script = client.register_script(COUNT)
    assert await writes.run(script, keys=["never:{0}", "n:{0}"]) == 1
    (replica, _) = replicas_of(sentinels)
    replica.pause()
    with capture_logs() as logs:
        waiting = asyncio.create_task(writes.run(script, keys=["never:{0}", "n:{0}"]))
        await eventually(holds(lambda: writes.problem))
        assert writes.problem == "fewer than REPLICAS=2 replicas have what was written"
        assert not waiting.done()
        replica.resume()
        assert await waiting == 2
    assert [line["event"] for line in logs] == ["nothing is acknowledged", "enough replicas have what was written"]
    assert await client.get("n:{0}") == b"2"


async def test_with_fewer_needed_it_does_not_wait_for_the_slowest(client: Redis, sentinels: SentinelSet) -> None:
    writes = Writes(client, durability=Durability.REPLICATED, replicas=1)
    replicas_of(sentinels)[0].pause()
    assert await writes.run(client.register_script(COUNT), keys=["never:{0}", "n:{0}"]) == 1
    assert writes.problem is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_was_done_by_an_attempt_that_nobody_heard_the_end_of_is_confirmed_too(
    version: str, tmp_path: Path
) -> None:
    async with pair(version, tmp_path) as (primary, replica, client):
        writes = Writes(client, durability=Durability.REPLICATED)
        script = client.register_script(NOTHING)
        replica.pause()
        primary.command("SET", "n:{0}", "written before")
        # The script finds that all is done, and changes nothing.
        waiting = asyncio.create_task(writes.run(script, keys=["never:{0}", "n:{0}"]))
        await eventually(holds(lambda: writes.problem))
        assert not waiting.done()
        replica.resume()
        assert await waiting == b"written before"


@pytest.mark.parametrize("version", ["8", "valkey-8"])
async def test_on_disks_it_is_the_servers_own_command(version: str, tmp_path: Path) -> None:
    async with pair(version, tmp_path, "--appendonly", "yes", "--appendfsync", "always") as (_, replica, client):
        await check_durability(client, Durability.REPLICATED_FSYNCED)
        writes = Writes(client, durability=Durability.REPLICATED_FSYNCED)
        script = client.register_script(COUNT)
        assert await writes.run(script, keys=["never:{0}", "n:{0}"]) == 1
        replica.pause()
        waiting = asyncio.create_task(writes.run(script, keys=["never:{0}", "n:{0}"]))
        await eventually(holds(lambda: "on their disks" in (writes.problem or "")))
        replica.resume()
        assert await waiting == 2


async def test_a_pipeline_is_confirmed_as_a_whole_and_keeps_its_errors(client: Redis, sentinels: SentinelSet) -> None:
    writes = Writes(client, durability=Durability.REPLICATED, replicas=2)
    async with writes.pipeline() as pipeline:
        pipeline.set("a:{mqtt}", 1)
        pipeline.execute_command("NONSENSE", "a:{mqtt}")
        answers = await pipeline.execute(raise_on_error=False)
    assert answers[0] is True
    assert isinstance(answers[1], ResponseError)
    assert [server.command("GET", "a:{mqtt}") for server in replicas_of(sentinels)] == ["1", "1"]


async def test_a_script_of_another_redis_is_confirmed_there(
    client: Redis, sentinels: SentinelSet, redis_server: str
) -> None:
    async with open_redis(CommonSettings(redis_url=redis_server)) as elsewhere:
        writes = Writes(elsewhere, durability=Durability.REPLICATED, replicas=2)
        assert await writes.run(client.register_script(COUNT), keys=["never:{0}", "n:{0}"]) == 1
    assert [server.command("GET", "n:{0}") for server in replicas_of(sentinels)] == ["1", "1"]


async def test_where_nothing_was_written_nothing_is_waited_for(client: Redis, sentinels: SentinelSet) -> None:
    writes = Writes(client, durability=Durability.REPLICATED, replicas=2)
    for replica in replicas_of(sentinels):
        replica.pause()
    async with writes.pipeline() as pipeline:
        pipeline.execute_command("NONSENSE", "a:{mqtt}")
        (answer,) = await pipeline.execute(raise_on_error=False)
    assert isinstance(answer, ResponseError)


async def test_in_a_cluster_the_master_of_the_key_is_asked(cluster: RedisCluster) -> None:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        await check_durability(client, Durability.REPLICATED)
        writes = Writes(client, durability=Durability.REPLICATED)
        script = client.register_script(COUNT)
        tags = [tag(partition, 3) for partition in range(3)]
        master = cluster.master_of(f"n:{tags[0]}")
        port = int(master.info("replication")["slave0"].partition("'port': ")[2].partition(",")[0])
        replica = next(member for member in cluster.members if member.port == port)
        replica.pause()
        waiting = asyncio.create_task(writes.run(script, keys=[f"never:{tags[0]}", f"n:{tags[0]}"]))
        # An earlier test may have moved slots.
        elsewhere = [each for each in tags if cluster.master_of(f"n:{each}") is not master]
        assert elsewhere
        for each in elsewhere:
            assert await writes.run(script, keys=[f"never:{each}", f"n:{each}"]) == 1
        await eventually(holds(lambda: writes.problem))
        assert not waiting.done()
        replica.resume()
        assert await waiting == 1


async def test_too_few_replicas_are_said_and_waited_for(client: Redis, sentinels: SentinelSet) -> None:
    await check_durability(client, Durability.REPLICATED, replicas=2)
    with pytest.raises(
        UnavailableError, match=r"REPLICAS=3 waits for replicas: the Redis at port .* has 2 that follow it"
    ):
        await check_durability(client, Durability.REPLICATED, replicas=3)
    assert sentinels.primary.is_up


@pytest.mark.parametrize("version", ["6.2", "7.0"])
async def test_a_redis_that_cannot_say_what_is_on_disks_is_refused(version: str, tmp_path: Path) -> None:
    async with pair(version, tmp_path, "--appendonly", "yes") as (_, _, client):
        with pytest.raises(BadSettingsError, match="needs WAITAOF"):
            await check_durability(client, Durability.REPLICATED_FSYNCED)


async def test_only_a_client_of_ours_confirms(redis_client: Redis) -> None:
    with pytest.raises(TypeError):
        Writes(redis_client, durability=Durability.REPLICATED).pipeline()
    script = redis_client.register_script(COUNT)
    assert await Writes(redis_client).run(script, keys=["never:{0}", "n:{0}"]) == 1


@asynccontextmanager
async def pair(version: str, folder: Path, *settings: str) -> AsyncIterator[tuple[RedisProcess, RedisProcess, Redis]]:
    """A primary and its replica."""
    executable = executable_of(version)
    first, second = free_ports(2)
    fast = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", *settings)
    primary = RedisProcess(executable, folder / "primary", first, *fast)
    replica = RedisProcess(executable, folder / "replica", second, "--replicaof", "127.0.0.1", str(first), *fast)
    try:
        primary.start()
        replica.start()
        await eventually(holds(lambda: "online" in primary.info("replication").get("slave0", "")))
        async with open_redis(CommonSettings(redis_url=f"redis://{primary.address}")) as client:
            yield primary, replica, cast("Any", client)
    finally:
        replica.kill()
        primary.kill()
