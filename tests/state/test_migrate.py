"""What the version before has left becomes what this version expects, and nothing is lost or counted twice."""

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as Disconnected

import documents
from core.clock import format_rfc3339, system_clock
from core.errors import BadSettingsError, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.settings import DecoderSettings
from runtime.settings import CommonSettings
from state.client import open_redis
from state.layout import Layout, agree_on_layout, read_layout
from state.slots import tag
from state.upgrade.partitions import Repartition
from state.upgrade.run import Migration
from state.windows import day_shift_ms
from tests.conftest import NOON, eventually
from tests.decoder.conftest import effects_of, position
from tests.decoder.counters import DUBLIN, counted_windows
from tests.decoder.test_counting import batch_of
from tests.decoder.test_counting import expected as counts_of
from tests.oracle.backlog import is_observed
from tests.oracle.clock import RunningClock
from tests.oracle.in_process import TaskDecoder
from tests.oracle.naive import Truth
from tests.oracle.system import KEY, append
from tests.redis_servers.clients import client_of
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.single import single_redis
from tests.state.version_1 import load, restore


def migrate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "state", "migrate", *arguments]
    return subprocess.run(
        command, env={"PATH": "", **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def truth_of(*positions: list[Any]) -> Truth:
    found = Truth(KEY)
    for topic, device, at, place in positions:
        found.add(RawMessage(topic, "gate", "gateway", at, payload_of(device, at, place)))
    return found


def payload_of(device: str, at: int, place: list[float]) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {"device_id": device, "timestamp": format_rfc3339(at)},
    }
    return base64.b64encode(json.dumps(feature).encode())


def sizes(truth: Truth) -> dict[str, int]:
    return {
        f"{width}:{start}:{zone}:{kind}": len(devices) for (width, start, zone, kind), devices in truth.windows.items()
    }


async def test_data_of_the_version_before_is_refused_in_a_sentence_that_names_the_command(
    redis_client: Redis, redis_server: str
) -> None:
    await restore(redis_client, load(1))
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        with pytest.raises(BadSettingsError, match="stop all services, and run `python -m state migrate`"):
            await agree_on_layout(client, 1)
        assert await read_layout(client) is None


async def test_another_number_of_partitions_is_refused_and_who_starts_first_decides(
    redis_client: Redis, redis_server: str
) -> None:
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        await agree_on_layout(client, 3)
        await agree_on_layout(client, 3)
        assert await read_layout(client) == Layout(version=3, partitions=3)
        with pytest.raises(
            BadSettingsError, match="PARTITIONS is 4, and Redis is laid out for 3: set PARTITIONS=3, or"
        ):
            await agree_on_layout(client, 4)
        await redis_client.hset("layout:{campus}", "migrating", "0")
        with pytest.raises(BadSettingsError, match="run `python -m state migrate` again"):
            await agree_on_layout(client, 3)
        await redis_client.hset("layout:{campus}", mapping={"version": "4", "partitions": "3"})
        with pytest.raises(BadSettingsError, match="the data of a later version"):
            await agree_on_layout(client, 3)


async def test_a_dry_run_tells_and_changes_nothing(redis_client: Redis, redis_server: str) -> None:
    await restore(redis_client, load(1))
    before = sorted(await redis_client.keys("*"))
    told = migrate("--dry-run", REDIS_URL=redis_server)
    assert told.returncode == 0, told.stderr
    assert "windows of the last days" in told.stdout
    assert sorted(await redis_client.keys("*")) == before


@pytest.mark.parametrize("partitions", [1, 3])
async def test_everything_is_there_afterwards_under_its_new_name_and_nothing_under_its_old_one(
    redis_client: Redis, redis_server: str, partitions: int
) -> None:
    found = load(partitions)
    await restore(redis_client, found)
    done = migrate(REDIS_URL=redis_server, PARTITIONS=str(partitions))
    assert done.returncode == 0, done.stderr
    tags = [tag(partition, partitions) for partition in range(partitions)]
    names = cast("list[bytes]", await redis_client.keys("*"))
    kinds = Counter(key.split(b":")[0] for key in names)
    assert await redis_client.hlen("users:{mqtt}") == 4
    assert await redis_client.get("users:version:{mqtt}") == b"4"
    assert await redis_client.hlen("api-keys:{campus}") == 1
    assert await redis_client.xlen("queue:{mqtt}:board-1") == 3
    assert await redis_client.hget("session:{mqtt}:board-1", "owner") == b"u:board"
    subscribed = cast("Any", await redis_client.hgetall("subscriptions:{mqtt}:board-1"))
    assert set(subscribed.values()) <= {b"\x92\x01\xc2", b"\x92\x02\xc2", b"\x92\x01\xc3", b"\x92\x02\xc3"}
    assert await redis_client.hget("campus:{campus}", "number") == b"1"
    changes = cast("Any", await redis_client.xrange("campus:{campus}:changes"))
    assert [fields[b"zones"] for _, fields in changes] == [b"library"]
    assert await redis_client.xlen(f"dead:{tags[0]}") == 2
    totals = cast("Any", await redis_client.hgetall(f"totals:{tags[0]}"))
    assert {totals[b"messages"], totals[b"positions"], totals[b"outside"]} == {b"120", b"117", b"1"}
    waiting = [int(cast("Any", await redis_client.hget(f"totals:{each}", "accepted"))) for each in tags]
    assert waiting == [await redis_client.xlen(f"raw:{each}") for each in tags]
    assert sum(waiting) == len(found["waiting"]) == 7
    assert kinds[b"window"] == kinds[b"windows"] == kinds[b"device"] == kinds[b"presence"] == kinds[b"away"] == 0
    marks = next(key for key in found["keys"] if key["key"] == "windows:dirty")["value"]
    assert sum([await redis_client.zcard(f"dirty:{each}") for each in tags]) == len(marks)
    assert await counted_windows(redis_client) == sizes(truth_of(*found["counted"]))
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        await agree_on_layout(client, partitions)
    again = migrate(REDIS_URL=redis_server, PARTITIONS=str(partitions))
    assert "there is nothing to migrate" in again.stderr


def ending_after(sends: int) -> AbstractContextManager[object]:
    """Redis is away for good once it has been sent something so many times."""
    left = [sends]
    send = Connection.send_packed_command

    async def send_or_end(self: Connection, *args: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Disconnected("the process that migrates has ended")
        await send(self, *args, **options)

    return patch("redis.asyncio.connection.AbstractConnection.send_packed_command", send_or_end)


async def ends(work: Callable[[], Awaitable[object]], sends: int) -> bool:
    """Whether `work` ended before its end."""
    with ending_after(sends):
        try:
            await work()
        except UnavailableError:
            return True
    return False


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_migration_that_is_ended_anywhere_is_run_again_and_comes_to_the_same(
    redis_client: Redis, redis_server: str, partitions: int
) -> None:
    found = load(partitions)
    expected = sizes(truth_of(*found["counted"]))

    async def bring() -> None:
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            migration = Migration(
                source=client, target=client, partitions=partitions, shift_ms=day_shift_ms(DUBLIN), clock=system_clock
            )
            await migration.run(await migration.look(), lambda *_: None)

    sends, ended = 8, True
    while ended:
        await redis_client.flushall()
        await restore(redis_client, found)
        ended = await ends(bring, sends)
        if ended:
            layout = await redis_client.hgetall("layout:{campus}")
            assert not layout or layout[b"migrating"] == b"0"
            await bring()
        assert await counted_windows(redis_client) == expected, f"ended after {sends}"
        assert await redis_client.hlen("users:{mqtt}") == 4
        assert not await redis_client.exists("windows:dirty", "totals", "dead", "campus")
        sends += 3
    assert sends > 30


async def test_a_change_of_partitions_that_is_ended_anywhere_is_run_again_and_comes_to_the_same(
    redis_client: Redis, redis_server: str
) -> None:
    batch = [
        position(f"device-{number}", NOON + 60_000 * number, "main", kind=DEFAULT_KINDS.ids[number % 2])
        for number in range(20)
    ]

    async def change() -> None:
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            await Repartition(
                client=client, was=2, partitions=3, shift_ms=day_shift_ms(DUBLIN), clock=system_clock
            ).run()

    sends, ended = 2, True
    while ended:
        await redis_client.flushall()
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            await agree_on_layout(client, 2)
        await effects_of(redis_client, partitions=2).apply(batch_of(batch, 2), now=NOON)
        for number, reason in enumerate(["first", "second", "third", "fourth"]):
            await redis_client.xadd(f"dead:{tag(number % 2, 2)}", {"reason": reason}, id=f"{min(number, 2) + 5}-7")
        await redis_client.hset(f"totals:{tag(0, 2)}", mapping={"messages": 5, "accepted": 5, "finished": 5})
        await redis_client.hset(f"totals:{tag(1, 2)}", mapping={"messages": 2, "outside": 1})
        ended = await ends(change, sends)
        if ended:
            await change()
        assert await counted_windows(redis_client) == counts_of(batch, DUBLIN), f"ended after {sends}"
        totals = await redis_client.hgetall(f"totals:{tag(0, 3)}")
        assert totals == {b"messages": b"7", b"outside": b"1", b"accepted": b"5", b"finished": b"5"}
        letters = cast("Any", await redis_client.xrange(f"dead:{tag(0, 3)}"))
        reasons = [fields[b"reason"] for _, fields in letters]
        assert reasons[:2] == [b"first", b"second"]
        assert sorted(reasons[2:]) == [b"fourth", b"third"], "of the same moment"
        assert not await redis_client.keys("was:*")
        sends += 2
    assert sends > 20


async def test_messages_that_wait_keep_the_number_of_partitions_as_it_is(
    redis_client: Redis, redis_server: str
) -> None:
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        await agree_on_layout(client, 2)
    await redis_client.xadd(f"raw:{tag(1, 2)}", {"n": 1})
    refused = migrate(REDIS_URL=redis_server, PARTITIONS="3")
    assert refused.returncode == 2
    assert "has 1 entries: start the decoders with PARTITIONS=2 until they have worked them off" in refused.stderr


async def test_one_redis_is_copied_into_a_cluster_and_stays_as_it_is(cluster: RedisCluster) -> None:
    found = load(1)
    with single_redis(redis_executable()) as url:
        async with Redis.from_url(url) as old:
            await restore(old, found)
            before = sorted(await old.keys("*"))
            done = migrate("--from", url, REDIS_URL=cluster.url, PARTITIONS="16")
            assert done.returncode == 0, done.stderr
            assert sorted(await old.keys("*")) == before
    async with client_of(cluster.url) as client:
        assert await counted_windows(client) == sizes(truth_of(*found["counted"]))
        assert await client.hlen("users:{mqtt}") == 4
        assert await client.xlen("queue:{mqtt}:board-1") == 3
        assert sum([await client.xlen(f"raw:{tag(number, 16)}") for number in range(16)]) == 7
        pending = [
            cast("Any", await client.xpending(f"raw:{tag(number, 16)}", "observe"))["pending"]
            for number in range(16)
            if await client.exists(f"raw:{tag(number, 16)}")
        ]
        assert sum(pending) == 2, "what somebody had read who died"


@pytest.mark.parametrize("partitions", [1, 3])
async def test_decoders_go_on_where_those_of_the_version_before_have_stopped(
    redis_client: Redis, redis_server: str, tmp_path: Path, partitions: int
) -> None:
    found = load(partitions)
    await restore(redis_client, found)
    assert migrate(REDIS_URL=redis_server, PARTITIONS=str(partitions)).returncode == 0
    settings = DecoderSettings(
        redis_url=redis_server,
        data_dir=tmp_path,
        partitions=partitions,
        device_key=KEY.hex(),
        claim_after=0.1,
        log_level="error",
    )
    everything = truth_of(*found["counted"], *found["waiting"])
    async with open_redis(settings) as client:
        with RunningClock.beginning_at(found["clock"]).installed():
            decoder = TaskDecoder(settings)
            await eventually(lambda: is_observed(client, partitions))
            # Each of them comes again, as from devices that had no answer.
            again = [
                RawMessage(topic, device, "gateway", at, payload_of(device, at, place))
                for topic, device, at, place in found["counted"]
            ]
            await append(client, again, partitions)
            await eventually(lambda: is_observed(client, partitions))
            await decoder.stop()
    assert await counted_windows(redis_client) == sizes(everything)
    async with documents.open_store(settings) as archive:
        count = await archive.count()
    assert count == len(everything.documents)
