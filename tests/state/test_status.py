import json
import subprocess
import sys

from redis.asyncio import Redis

from state.dirty_windows import keys_of
from state.status import Status, read_status
from tests.conftest import DEAD, POSITIONS, TOTALS
from tests.raw_streams import raw_key


async def test_the_status_tells_what_waits_and_what_was(redis_client: Redis) -> None:
    seconds, _ = await redis_client.time()
    await redis_client.xadd(raw_key(1, 2), {"n": 1}, id=f"{(seconds - 90) * 1000}-0")
    await redis_client.zadd(keys_of(0, 2).dirty, {"1m:0:campus:car": 1})
    await redis_client.zadd(keys_of(1, 2).claimed, {"1m:0:library:car": 1})
    await redis_client.xadd(DEAD, {"n": 1})
    await redis_client.hset(TOTALS, mapping={"outside": 2064, "messages": 2144})
    status = await read_status(redis_client, 2)
    later, _ = await redis_client.time()
    assert 90 <= status.oldest_seconds.pop("raw:{0}") <= 91 + later - seconds
    assert status == Status(
        backlogs={"raw:{2}": 0, "raw:{0}": 1, "positions:{2}": 0, "positions:{0}": 0, "windows": 2},
        oldest_seconds={},
        totals={"messages": 2144, "outside": 2064},
        dead_letters=1,
    )


def status(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "state", "status", *arguments]
    return subprocess.run(
        command, env={"PATH": "", **environment}, capture_output=True, text=True, check=False, timeout=60
    )


async def test_the_command_shows_it_to_people_and_to_tools(redis_client: Redis, redis_server: str) -> None:
    await redis_client.hset(TOTALS, "outside", "2064")
    assert "outside, ever" in status(REDIS_URL=redis_server).stdout
    assert json.loads(status("--json", REDIS_URL=redis_server).stdout)["totals"] == {"outside": 2064}


def test_without_redis_the_command_says_where_to_look() -> None:
    ended = status(REDIS_URL="unix:///nowhere/redis.sock")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "REDIS_URL or DATA_DIR" in ended.stderr


async def test_what_is_exported_waits_beside_what_is_archived(redis_client: Redis) -> None:
    await redis_client.xadd(POSITIONS, {"d": "x"})
    await redis_client.xgroup_create(POSITIONS, "archive", id="$")
    await redis_client.xgroup_create(POSITIONS, "export-kafka", id="0")
    await redis_client.xgroup_create(POSITIONS, "of-somebody-else", id="0")
    knows_lag = "lag" in (await redis_client.xinfo_groups(POSITIONS))[0]
    found = await read_status(redis_client, 1)
    assert found.backlogs == {
        "raw:{0}": 0,
        # Redis 6.2 knows no lag, and then it is the length of the stream.
        "positions:{0}": 0 if knows_lag else 1,
        "positions:{0} export-kafka": 1,
        "windows": 0,
    }
    assert list(found.oldest_seconds) == ["positions:{0} export-kafka"]
