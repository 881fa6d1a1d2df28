import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop
from runtime.settings import CommonSettings
from state.client import open_redis
from state.server import RedisState, RedisWatch, check_redis, masters, redis_state, replicas, rewrite_append_only
from tests.conftest import eventually
from tests.redis_servers.process import RedisProcess
from tests.state.test_codes import connected, real

__all__ = ["real"]  # a fixture
WELL = RedisState(run_id="a", version="7.0.15", used_memory=10, maxmemory=100)


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (replace(WELL, policy="allkeys-lru"), "set `maxmemory-policy noeviction`"),
        (replace(WELL, policy="volatile-ttl"), "set `maxmemory-policy noeviction`"),
        (replace(WELL, version="6.0.16"), "6.2 or later"),
        (replace(WELL, version="5.0.7"), "6.2 or later"),
    ],
)
def test_a_redis_that_must_not_be_used_is_refused_with_what_to_change(state: RedisState, change: str) -> None:
    assert change in (state.fault or "")


@pytest.mark.parametrize(
    "state",
    [
        WELL,
        RedisState(),
        replace(WELL, version="6.2.9"),
        replace(WELL, version="8.2.1"),
        # Without a limit nothing is ever dropped.
        replace(WELL, policy="allkeys-lru", maxmemory=0),
        replace(WELL, append_only=False),
    ],
)
def test_others_are_taken(state: RedisState) -> None:
    assert state.fault is None


async def test_a_real_redis_tells_it(real: Callable[..., str]) -> None:
    async with connected(real("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")) as client:
        state = await redis_state(client)
        assert (state.policy, state.maxmemory, state.append_only) == ("allkeys-lru", 104_857_600, False)
        assert state.version[:2] in {"6.", "7.", "8."}
        assert 0 < state.share < 0.1
        with pytest.raises(BadSettingsError, match="noeviction"):
            await check_redis(client)
        with pytest.raises(BadSettingsError, match="noeviction"):
            await RedisWatch(client=client).run(Stop())
    async with connected(real("--appendonly", "yes")) as client:
        assert (await redis_state(client)).append_only
        await check_redis(client)


async def test_a_redis_that_could_not_write_its_last_snapshot_says_so(real: Callable[..., str], tmp_path: Path) -> None:
    async with connected(real("--dir", str(tmp_path), "--dbfilename", "dump")) as client:
        watch = RedisWatch(client=client, registry=(registry := CollectorRegistry()))
        assert registry.get_sample_value("redis_up") == 0
        await watch.look()
        assert registry.get_sample_value("redis_up") == 1
        assert registry.get_sample_value("redis_persistence_ok") == 1
        # In the place of the file.
        (tmp_path / "dump").mkdir()
        await client.bgsave()

        async def seen() -> bool:
            await watch.look()
            return registry.get_sample_value("redis_persistence_ok") == 0

        await eventually(seen)


async def test_a_redis_that_does_not_tell_is_taken_and_that_is_said_once(redis_server: str) -> None:
    async with Redis.from_url(redis_server) as owner:
        await cast("Any", owner).execute_command("ACL", "SETUSER", "shy", "on", "nopass", "~*", "+@all", "-info")
        try:
            with capture_logs() as logs:
                async with open_redis(CommonSettings(redis_url=f"{redis_server}?username=shy&password=x")) as client:
                    watch = RedisWatch(client=client)
                    await watch.look()
                    await watch.look()
                    assert watch.problem is None
                    await check_redis(client)
            assert len([line for line in logs if "does not tell" in line["event"]]) == 1
        finally:
            await cast("Any", owner).execute_command("ACL", "DELUSER", "shy")


async def test_a_redis_that_is_away_is_waited_for() -> None:
    async with open_redis(CommonSettings(redis_url="redis://127.0.0.1:1")) as client:
        with pytest.raises(UnavailableError):
            await check_redis(client)
        watch = RedisWatch(client=client, registry=(registry := CollectorRegistry()))
        stop = Stop()
        running = asyncio.create_task(watch.run(stop))
        await asyncio.sleep(0)
        assert watch.problem is None
        assert str(registry.get_sample_value("redis_memory_used_bytes")) == "nan"
        stop.set()
        await running


async def test_from_a_share_of_its_memory_on_nothing_new_is_taken(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.server.EVERY_SECONDS", 0.01)
    watch = RedisWatch(client=redis_client, registry=(registry := CollectorRegistry()), limit_share=0.9)
    stop = Stop()
    running = asyncio.create_task(watch.run(stop))

    async def full() -> bool:
        return "of its maxmemory" in (watch.problem or "")

    async def not_full() -> bool:
        return watch.state is not None and watch.problem is None

    try:
        await eventually(not_full)
        await redis_client.config_set("maxmemory", 55_000_000)
        await eventually(not_full)
        with capture_logs() as logs:
            await redis_client.setrange("foreign", 50_000_000, "x")
            await eventually(full)
            await asyncio.sleep(0.05)
        assert len([line for line in logs if line["event"] == "Redis is nearly full"]) == 1
        assert registry.get_sample_value("redis_memory_max_bytes") == 55_000_000
        await redis_client.delete("foreign")
        await eventually(not_full)
        # A Redis with other settings is noticed, too.
        await redis_client.config_set("maxmemory-policy", "allkeys-lru")

        async def refused() -> bool:
            return "noeviction" in (watch.problem or "")

        await eventually(refused)
    finally:
        await redis_client.config_set("maxmemory", 0)
        await redis_client.config_set("maxmemory-policy", "noeviction")
        stop.set()
        await running


async def test_without_its_reserve_on_the_disk_nothing_new_is_taken(redis_client: Redis, tmp_path: Path) -> None:
    reserve = tmp_path / "reserve"
    watch = RedisWatch(client=redis_client, registry=(registry := CollectorRegistry()), reserve=reserve)
    assert (registry.get_sample_value("redis_disk_free_bytes") or 0) > 0
    await watch.look()
    assert "the disk of Redis is nearly full" in (watch.problem or "")
    reserve.touch()
    assert watch.problem is None


@pytest.mark.parametrize("which", ["cluster", "sentinels"])
async def test_every_server_rewrites_its_append_only_file_replicas_too(
    which: str, request: pytest.FixtureRequest
) -> None:
    servers = request.getfixturevalue(which)
    members = servers.members if which == "cluster" else servers.servers
    for member in members:
        member.command("CONFIG SET", "appendonly", "yes")
        await eventually(partial(_is_idle, member))
    before = [_rewrites(member) for member in members]
    try:
        async with open_redis(CommonSettings(redis_url=servers.url)) as client:

            async def all_are_known() -> bool:
                return len(await replicas(client)) == len(members) - len(await masters(client))

            await eventually(all_are_known)
            await rewrite_append_only(client)
        assert [_rewrites(member) - was for member, was in zip(members, before, strict=True)] == [1] * len(members)
    finally:
        for member in members:
            member.command("CONFIG SET", "appendonly", "no")


def _rewrites(member: RedisProcess) -> int:
    found = cast("dict[str, Any]", member.command("INFO", "commandstats"))
    return int(found.get("cmdstat_bgrewriteaof", {"calls": 0})["calls"])


async def _is_idle(member: RedisProcess) -> bool:
    return member.info("persistence")["aof_rewrite_in_progress"] == "0"
