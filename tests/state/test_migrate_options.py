"""From layout 2: options of subscriptions were one number, and so were version and QoS of a state."""

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import BadSettingsError
from runtime.settings import CommonSettings
from state.client import open_redis
from state.layout import Layout, agree_on_layout, read_layout
from state.upgrade.options import unpack_options
from tests.state.test_migrate import ends, migrate


async def leave_layout_2(redis_client: Redis) -> None:
    client = cast("Any", redis_client)
    await client.flushall()
    await client.hset("layout:{campus}", mapping={"version": "2", "partitions": "1"})
    await client.sadd("sessions:{mqtt}", "c", "n:d")
    await client.hset("subscriptions:{mqtt}:c", mapping={"a": "0", "a/#": "1", "v1/+": "6"})
    await client.hset("subscriptions:{mqtt}:n:d", mapping={"b": "5"})
    routes = {"n:one:00000000\0a": "1", "n:one:00000000\0#": "6", "s:c\0a/#": "1", "s:c\0v1/+": "6", "s:n:d\0b": "5"}
    await client.hset("routes:{mqtt}", mapping=routes)
    await client.set("states:version:{mqtt}", "400")
    # Version 7 with QoS 1, version 8 with QoS 2; what came later was forgotten.
    await client.zadd("states:{mqtt}", {"v1/a": 4 * 7 + 1, "v1/gone": 4 * 8 + 2})
    await client.zadd("states:gone:{mqtt}", {"v1/gone": 8})


async def check_layout_3(redis_client: Redis) -> None:
    client = cast("Any", redis_client)
    no, yes = b"\xc2", b"\xc3"
    assert await client.hgetall("subscriptions:{mqtt}:c") == {
        b"a": b"\x92\x00" + no,
        b"a/#": b"\x92\x01" + no,
        b"v1/+": b"\x92\x02" + yes,
    }
    assert await client.hgetall("subscriptions:{mqtt}:n:d") == {b"b": b"\x92\x01" + yes}
    assert await client.hgetall("routes:{mqtt}") == {
        b"n:one:00000000\0a": b"\x92\x02" + no,
        b"n:one:00000000\0#": b"\x92\x00" + yes,
        b"s:c\0a/#": b"\x92\x01" + no,
        b"s:c\0v1/+": b"\x92\x02" + yes,
        b"s:n:d\0b": b"\x92\x01" + yes,
    }
    assert await client.zrange("states:{mqtt}", 0, -1, withscores=True) == [(b"v1/a", 7), (b"v1/gone", 8)]
    assert await client.hgetall("states:qos:{mqtt}") == {b"v1/a": b"1", b"v1/gone": b"2"}


async def test_services_refuse_it_and_the_command_brings_it_up(redis_client: Redis, redis_server: str) -> None:
    await leave_layout_2(redis_client)
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        with pytest.raises(BadSettingsError, match=r"earlier version \(layout 2\): stop all services, and run `python"):
            await agree_on_layout(client, 1)
        looked = migrate("--dry-run", REDIS_URL=redis_server)
        assert looked.returncode == 0, looked.stderr
        assert "from layout 2 to 3" in looked.stdout
        assert await read_layout(client) == Layout(version=2, partitions=1)
        done = migrate(REDIS_URL=redis_server)
        assert done.returncode == 0, done.stderr
        assert "done: start the services" in done.stdout
        await agree_on_layout(client, 1)
    await check_layout_3(redis_client)
    again = migrate(REDIS_URL=redis_server)
    assert "there is nothing to migrate" in again.stderr


async def test_it_may_be_ended_anywhere_and_run_again(redis_client: Redis, redis_server: str) -> None:
    async def bring() -> None:
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            await unpack_options(client)

    sends, ended = 1, True
    while ended:
        await leave_layout_2(redis_client)
        ended = await ends(bring, sends)
        await bring()
        await check_layout_3(redis_client)
        sends += 1
    assert sends > 5


async def test_a_change_of_partitions_comes_along(redis_client: Redis, redis_server: str) -> None:
    await leave_layout_2(redis_client)
    done = migrate(REDIS_URL=redis_server, PARTITIONS="3")
    assert done.returncode == 0, done.stderr
    await check_layout_3(redis_client)
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        assert await read_layout(client) == Layout(version=3, partitions=3)
