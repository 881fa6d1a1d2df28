"""At `maxmemory` nothing new is taken, and what there is can be worked off, also on each master of a cluster."""

from collections import Counter
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core.errors import UnavailableError
from core.messages import RawMessage
from state.entries import encode_entries, group_of
from state.rate_limits import spend
from state.raw import Finisher, Part, Raw, keys_of
from state.server import RedisWatch, masters
from tests.conftest import NOON
from tests.redis_servers.fixtures import limit_memory

PARTITIONS = 3
"""One on each master of the cluster."""
MESSAGE = RawMessage("car-iotp", "user", "car", NOON, b"payload")


async def test_what_was_taken_is_worked_off_and_with_room_it_all_goes_on(limited_redis: Redis) -> None:
    raw = Raw(client=limited_redis, partitions=PARTITIONS)
    finisher = Finisher(client=limited_redis, partitions=PARTITIONS, dead_letters_max=10)
    entries = encode_entries([group_of(MESSAGE)])
    for partition in range(PARTITIONS):
        assert (await raw.append(partition, entries, most=10)).taken
        await limited_redis.xgroup_create(keys_of(partition, PARTITIONS).raw, "observe", "0")
    await limit_memory(limited_redis, 1)
    for partition in range(PARTITIONS):
        with pytest.raises(UnavailableError, match="OOM"):
            await raw.append(partition, entries, most=10)
        stream = keys_of(partition, PARTITIONS).raw
        ((_, ((entry_id, _),)),) = cast("Any", await limited_redis.xreadgroup("observe", "one", {stream: ">"}))
        assert await finisher.finish(partition, [Part(entry_id, 0, None, 1)], totals=Counter(messages=1)) is None
        assert await limited_redis.xlen(stream) == 0
    await limit_memory(limited_redis, 0)
    for partition in range(PARTITIONS):
        assert await raw.append(partition, entries, most=10) == (1, True)


async def test_one_master_that_is_nearly_full_is_enough_to_warn_and_to_take_nothing_new(limited_redis: Redis) -> None:
    watch = RedisWatch(client=limited_redis, registry=(registry := CollectorRegistry()), limit_share=0.9)
    *_, last = await masters(limited_redis)
    used = (await last.info("memory"))["used_memory"]
    await last.config_set("maxmemory", int(used / 0.85))
    with capture_logs() as logs:
        await watch.look()
        await watch.look()
    assert [line["event"] for line in logs if line["log_level"] == "warning" and "full" in line["event"]] == [
        "Redis is nearly full"
    ]
    assert watch.problem is None
    assert registry.get_sample_value("redis_memory_max_bytes") == int(used / 0.85)
    assert 0.8 < (registry.get_sample_value("redis_memory_share") or 0) < 0.9
    await last.config_set("maxmemory", int(used / 0.93))
    await watch.look()
    assert "of its maxmemory" in (watch.problem or "")


async def test_what_clients_have_spent_is_not_noted_so_each_process_counts_for_itself(limited_redis: Redis) -> None:
    await limit_memory(limited_redis, 1)
    with pytest.raises(UnavailableError):
        await spend(limited_redis, "requests", {"one": 1.0}, whole=4.0)
    await limit_memory(limited_redis, 0)
    assert await spend(limited_redis, "requests", {"one": 1.0}, whole=4.0) == {"one": 1.0}
