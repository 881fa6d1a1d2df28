"""A real Redis Cluster behind the methods of one Redis: masters that are killed, slots that move."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import CrossSlotTransactionError, DataError, ResponseError

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import MAX_CONNECTIONS, open_redis
from state.codes import RedisUnavailableError
from state.commands import slot_of
from state.server import check_redis, masters, redis_state
from state.slots import tag
from tests.conftest import eventually, holds
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports

TAGS = [tag(partition, 6) for partition in range(6)]
"""Two on each of three masters."""


@pytest.fixture
async def client(cluster: RedisCluster) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        yield client


async def test_a_command_goes_to_the_master_of_its_key(client: Redis, cluster: RedisCluster) -> None:
    for number, each in enumerate(TAGS):
        await client.set(f"number:{each}", number)
    assert [await client.get(f"number:{each}") for each in TAGS] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    held = [master.command("DBSIZE") for master in cluster.masters]
    assert held == [2, 2, 2]


async def test_a_pipeline_for_several_masters_answers_in_the_order_of_its_commands(client: Redis) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for number, each in enumerate(reversed(TAGS)):
            pipeline.rpush(f"list:{each}", number)
        for each in TAGS:
            pipeline.lrange(f"list:{each}", 0, -1)
        pipeline.ping()
        answers = await pipeline.execute()
    assert answers == [1] * 6 + [[b"5"], [b"4"], [b"3"], [b"2"], [b"1"], [b"0"]] + [True]


async def test_of_a_pipeline_the_commands_for_one_master_are_done_in_their_order(client: Redis) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(30):
            pipeline.rpush(f"list:{TAGS[number % 3]}", number)
        await pipeline.execute()
    for part in range(3):
        found = await cast("Any", client.lrange(f"list:{TAGS[part]}", 0, -1))
        assert found == [str(number).encode() for number in range(part, 30, 3)]


async def test_a_transaction_has_one_slot(client: Redis) -> None:
    async with client.pipeline() as pipeline:
        pipeline.incr(f"a:{TAGS[4]}")
        pipeline.incr(f"b:{TAGS[4]}")
        assert await pipeline.execute() == [1, 1]
    async with client.pipeline() as pipeline:
        pipeline.incr(f"a:{TAGS[4]}")
        pipeline.incr(f"a:{TAGS[5]}")
        with pytest.raises(CrossSlotTransactionError):
            await pipeline.execute()
    with pytest.raises(ResponseError, match="same slot"):
        await client.mget(f"a:{TAGS[4]}", f"a:{TAGS[5]}")
    with pytest.raises(DataError, match=r"state\.server\.masters"):
        await client.info()
    with pytest.raises(DataError, match="WATCH"):
        await client.pipeline().watch("a")


async def test_each_master_learns_a_script_when_it_is_first_run_there(client: Redis, cluster: RedisCluster) -> None:
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    assert [await script(keys=[f"n:{each}"]) for each in TAGS] == [1] * 6
    for master in cluster.masters:
        master.command("SCRIPT FLUSH")
    async with client.pipeline(transaction=False) as pipeline:
        for each in TAGS:
            await script(keys=[f"n:{each}"], client=pipeline)
        assert await pipeline.execute() == [2] * 6


async def test_more_commands_than_connections_wait_for_their_turn(client: Redis) -> None:
    keys = [f"n:{TAGS[number % 6]}" for number in range(12 * MAX_CONNECTIONS)]
    answers = await asyncio.gather(*(client.incr(key) for key in keys))
    assert max(answers) == 2 * MAX_CONNECTIONS


async def test_a_blocking_read_waits_for_what_comes(client: Redis) -> None:
    stream = f"raw:{TAGS[5]}"
    await client.xgroup_create(stream, "group", mkstream=True)
    reading = asyncio.create_task(cast("Any", client.xreadgroup("group", "one", {stream: ">"}, block=5000)))
    await asyncio.sleep(0)
    entry = await client.xadd(stream, {"a": 1})
    assert await reading == [[stream.encode(), [(entry, {b"a": b"1"})]]]
    assert await client.xreadgroup("group", "one", {stream: ">"}, block=10) == []


async def test_what_asks_a_server_is_asked_of_each_master(client: Redis, cluster: RedisCluster) -> None:
    found = await masters(client)
    assert [(await each.info("server"))["tcp_port"] for each in found] == [each.port for each in cluster.masters]
    await found[1].config_set("maxmemory", 100_000_000)
    try:
        state = await redis_state(client)
        assert (state.maxmemory, state.append_only) == (100_000_000, False)
        assert 0 < state.share < 0.1
        await check_redis(client)
        await found[1].config_set("maxmemory-policy", "allkeys-lru")
        assert "noeviction" in ((await redis_state(client)).fault or "")
    finally:
        await found[1].config_set("maxmemory", 0)
        await found[1].config_set("maxmemory-policy", "noeviction")


async def test_callers_of_a_master_that_is_killed_wait_and_go_on_and_others_are_not_disturbed(
    client: Redis, cluster: RedisCluster
) -> None:
    counts = dict.fromkeys(TAGS, 0)
    codes: set[str | None] = set()
    going = True

    async def count(each: str) -> None:
        while going:
            try:
                await client.sadd(f"set:{each}", counts[each])
            except RedisUnavailableError as error:
                codes.add(error.code)
                await asyncio.sleep(0.05)
            else:
                counts[each] += 1

    counting = [asyncio.create_task(count(each)) for each in TAGS]
    try:
        await eventually(holds(lambda: min(counts.values()) > 10))
        gone = await asyncio.to_thread(cluster.kill_master_of, f"set:{TAGS[0]}")
        await asyncio.to_thread(cluster.until_taken_over, gone)
        then = dict(counts)
        await eventually(holds(lambda: all(counts[each] > then[each] + 10 for each in TAGS)))
    finally:
        going = False
        await asyncio.gather(*counting)
    assert codes <= {None, "CLUSTERDOWN", "READONLY", "LOADING"}
    assert codes
    for each in TAGS[2:]:
        assert await cast("Any", client.scard(f"set:{each}")) == counts[each]


async def test_a_master_that_stands_still_is_left_behind(
    client: Redis, cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client  # another one has less patience
    monkeypatch.setattr("state.calls.READ_TIMEOUT_SECONDS", 0.5)
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        key = f"n:{TAGS[2]}"
        await client.set(key, 0)
        frozen = cluster.master_of(key)
        frozen.pause()
        with pytest.raises(UnavailableError):
            await client.incr(key)
        # What lies elsewhere goes on meanwhile.
        assert await client.incr(f"n:{TAGS[5]}") == 1

        async def counted() -> bool:
            try:
                return bool(await client.incr(key))
            except UnavailableError:
                return False

        await eventually(counted, limit=30)
        assert await asyncio.to_thread(cluster.master_of, key) is not frozen


async def test_a_master_that_came_back_as_a_replica_is_none_of_the_masters_any_more(
    client: Redis, cluster: RedisCluster
) -> None:
    assert len(await masters(client)) == 3
    gone = cluster.kill_master_of(f"any:{TAGS[0]}")
    cluster.until_taken_over(gone)
    gone.start()
    cluster.until_well()

    async def roles() -> set[str]:
        # It answers, and to no command that names a key would it say that it is a replica.
        return {(await master.info("replication"))["role"] for master in await masters(client)}

    async def all_are_masters() -> bool:
        return await roles() == {"master"}

    await eventually(all_are_masters)


async def test_a_slot_that_is_moved_is_followed(client: Redis, cluster: RedisCluster) -> None:
    key = f"n:{TAGS[0]}"
    slot = slot_of(key)
    await client.set(key, 1)
    await client.set(f"other:{TAGS[0]}", 1)
    target = cluster.other_master(key)
    source = cluster.begin_move(slot, target)
    # What is there is answered, what is not is asked for where it will be.
    assert await client.get(key) == b"1"
    await client.set(f"new:{TAGS[0]}", 2)
    assert source.command("CLUSTER COUNTKEYSINSLOT", slot) == 2
    cluster.move_keys(slot, source, target, limit=1)
    async with client.pipeline(transaction=False) as pipeline:
        for name in ("n", "other", "new"):
            pipeline.get(f"{name}:{TAGS[0]}")
        pipeline.ping()
        assert await pipeline.execute() == [b"1", b"1", b"2", True]
    with pytest.raises(UnavailableError) as waits:
        await client.mget(key, f"other:{TAGS[0]}")
    assert cast("RedisUnavailableError", waits.value).code == "TRYAGAIN"
    cluster.move_keys(slot, source, target)
    cluster.finish_move(slot, target)
    assert await client.incr(key) == 2
    async with client.pipeline() as pipeline:
        pipeline.incr(key)
        pipeline.incr(f"other:{TAGS[0]}")
        assert await pipeline.execute() == [3, 2]


async def test_a_transaction_waits_until_its_slot_has_been_moved(client: Redis, cluster: RedisCluster) -> None:
    key = f"n:{TAGS[1]}"
    slot = slot_of(key)
    await client.set(key, 1)
    target = cluster.other_master(key)
    source = cluster.begin_move(slot, target)
    cluster.move_keys(slot, source, target)

    async def both() -> list[Any]:
        async with client.pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.incr(f"new:{TAGS[1]}")
            return await pipeline.execute()

    with pytest.raises(UnavailableError):
        await both()
    cluster.finish_move(slot, target)
    assert await both() == [2, 1]


async def test_the_addresses_of_redis_url_are_only_where_to_begin(cluster: RedisCluster) -> None:
    replica, *_ = cluster.replicas
    async with open_redis(CommonSettings(redis_url=f"redis+cluster://127.0.0.1:1,{replica.address}")) as client:
        assert [await client.incr(f"n:{each}") for each in TAGS] == [1] * 6


async def test_a_redis_that_is_no_cluster_is_said(tmp_path: Path) -> None:
    alone = RedisProcess(redis_executable(), tmp_path, free_ports(1)[0])
    alone.start()
    try:
        async with open_redis(CommonSettings(redis_url=f"redis+cluster://{alone.address}")) as client:
            with pytest.raises(UnavailableError, match="a Redis that is no cluster"):
                await client.get("a")
    finally:
        alone.kill()


async def test_a_key_of_another_type_is_set_aside_on_its_master_with_a_letter_beside_it(client: Redis) -> None:
    for each in (TAGS[1], TAGS[4]):
        await client.set(f"raw:{each}", "no stream")
        with pytest.raises(UnavailableError, match="set aside"):
            await client.xadd(f"raw:{each}", {"a": 1})
        await client.xadd(f"raw:{each}", {"a": 1})
        assert await client.get(f"aside:raw:{each}") == b"no stream"
        assert await client.xlen(f"dead:{each}") == 1
