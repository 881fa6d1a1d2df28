"""The mirror as it is run: API processes, a broker node, and the recipe of docs/interfaces.md."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from redis.asyncio import Redis

from api.live.lease import Lease
from api.zones.campus import CampusView
from core.clock import system_clock
from core.kinds import DEFAULT_KINDS
from geofence import Campus
from state.campus import StoredCampus, replace_campus
from tests.api.conftest import arrive
from tests.api.mirror_broker import Broker, a_broker
from tests.api.test_process import client_of, operations, running, until
from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.kinds_of_tests import CAR, MOBILE

LEASE_SECONDS = 5.0
CLIENT = "mirror:client:{campus}"
HOLDER = "mirror:{campus}"

RECIPE = Path(__file__).parents[2] / "docs" / "interfaces.md"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with a_broker(tmp_path_factory.mktemp("broker")) as running_node:
        yield running_node


@pytest.fixture
def environment(broker: Broker, redis_server: str, tmp_path: Path) -> dict[str, str]:
    return {**broker.settings, "REDIS_URL": redis_server, "DATA_DIR": str(tmp_path), "API_RATE_LIMIT": "0"}


@asynccontextmanager
async def an_api(environment: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    port = free_port()
    async with running(port, **environment) as process, client_of(port) as client:
        await until(client, "/healthz", 200)
        yield process, client


def recipe() -> dict[str, Any]:
    """The functions of the program in the documentation, as they stand there."""
    [program] = re.findall(r"```python\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    functions: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(program, str(RECIPE), "exec"), functions)  # noqa: S102 - that is the test
    return functions


async def mirrors(client: httpx.AsyncClient) -> bool:
    return "\napi_mirroring 1.0" in (await operations(client, "/metrics")).text


async def test_get_subscribe_apply_get_again_equal(
    environment: dict[str, str], broker: Broker, redis_client: Redis, campus: Campus
) -> None:
    follow = recipe()
    gone = campus.zones[-1].id
    await arrive(redis_client, "kemmy", CAR, system_clock())

    async with an_api(environment) as (_, client):
        url = str(client.base_url)

        async def now() -> dict[str, Any]:
            found: dict[str, Any] = follow["content"](await asyncio.to_thread(follow["everything"], url))
            return found

        async def mirrored() -> bool:
            return f"v1/zones/{gone}/occupancy" in await broker.retained()

        await eventually(mirrored)
        resources = await asyncio.to_thread(follow["everything"], url)
        baseline = follow["content"](resources)
        subscription = follow["follow"](resources, *broker.node.mqtt)
        try:
            await arrive(redis_client, "kemmy", CAR, *[system_clock()] * 3)
            await arrive(redis_client, "campus", MOBILE, *[system_clock()] * 5)
            smaller = CampusView(Campus(boundary=campus.boundary, zones=campus.zones[:-1]))
            stored = StoredCampus(smaller.version, smaller.collection)
            assert await replace_campus(
                redis_client, stored, replaces=campus.version, changed=[gone], partitions=1, kinds=DEFAULT_KINDS
            )

            async def changed() -> bool:
                try:
                    found = await now()
                except HTTPError:
                    return False  # the zone went while it was asked for
                return found["v1/zones/kemmy/occupancy"]["car"] == 3 and gone not in str(found)

            async def equal() -> bool:
                return bool(follow["content"](resources) == await now())

            await eventually(changed)
            await eventually(equal)
        finally:
            subscription.disconnect()
            subscription.loop_stop()

        assert (await now())["v1/zones/campus/occupancy"]["mobile"] == 5
        assert follow["content"](resources) != baseline
        assert f"v1/zones/{gone}" in baseline
        assert f"v1/zones/{gone}" not in resources


async def test_exactly_one_of_two_processes_mirrors_and_the_other_one_goes_on_when_it_is_killed(
    environment: dict[str, str], broker: Broker, redis_client: Redis
) -> None:
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(an_api(environment)) for _ in range(2)]

        async def one() -> bool:
            return any([await mirrors(client) for _, client in apis])

        await eventually(one)
        looks = [[await mirrors(client) for _, client in apis] for _ in range(5)]
        assert [sum(look) for look in looks] == [1] * 5
        first = looks[-1].index(True)
        (killed, _), (_, other) = apis[first], apis[1 - first]
        killed.send_signal(signal.SIGKILL)
        await arrive(redis_client, "kemmy", CAR, *[system_clock()] * 7)

        async with broker.client() as subscriber:
            await subscriber.subscribe("v1/zones/kemmy/occupancy", qos=1)
            # The lease must lapse first.
            async with asyncio.timeout(LEASE_SECONDS + WAIT_SECONDS):
                async for message in subscriber.messages:
                    if b'"car":7,' in bytes(message.payload):
                        break

        assert await mirrors(other)


async def test_a_process_that_stands_still_and_goes_on_later_changes_nothing(
    environment: dict[str, str], broker: Broker, redis_client: Redis
) -> None:
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(an_api(environment)) for _ in range(2)]

        async def who() -> int | None:
            found = [await mirrors(client) for _, client in apis]
            return found.index(True) + 1 if any(found) else None

        first = (await eventually(who) or 0) - 1
        (stopped, _), (_, other) = apis[first], apis[1 - first]
        stopped.send_signal(signal.SIGSTOP)
        try:

            async def other_mirrors() -> bool:
                return await mirrors(other)

            await eventually(other_mirrors)
            await arrive(redis_client, "kemmy", CAR, *[system_clock()] * 3)
        finally:
            stopped.send_signal(signal.SIGCONT)

        async def one() -> bool:
            return [await mirrors(client) for _, client in apis].count(True) == 1

        async with broker.client() as subscriber:
            await subscriber.subscribe("v1/zones/kemmy/occupancy", qos=1)
            async with asyncio.timeout(2 * WAIT_SECONDS):
                async for message in subscriber.messages:
                    if b'"car":3,' in bytes(message.payload):
                        break
        await eventually(one)
        assert await mirrors(other)


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"MIRROR_URL": "broker:1883"}, "MIRROR_URL: "), ({"MIRROR_USERNAME": ""}, "MIRROR_USERNAME: ")],
)
async def test_a_mirror_that_cannot_work_is_named_at_the_start(
    environment: dict[str, str], settings: dict[str, str], told: str
) -> None:
    async with running(free_port(), **{**environment, **settings}) as process:
        async with asyncio.timeout(2 * WAIT_SECONDS):
            _, errors = await process.communicate()

    assert process.returncode == 2
    assert told in errors.decode()


async def test_streams_end_when_the_process_is_told_to_stop(environment: dict[str, str]) -> None:
    async with an_api({**environment, "MIRROR": "false"}) as (process, client):

        async def snapshot() -> bool:
            return (await client.head("/v1/events")).status_code == 200

        await eventually(snapshot)
        async with client.stream("GET", "/v1/events") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_SECONDS):
                rest = [line async for line in lines]

        assert "event: snapshot" in rest
        async with asyncio.timeout(WAIT_SECONDS):
            output, errors = await process.communicate()
        assert process.returncode == 0
        assert errors == b""
        assert b"Exception" not in output


async def test_a_lease_and_a_client_id_that_nobody_of_ours_wrote_keep_nobody_from_it(redis_client: Redis) -> None:
    await redis_client.set(HOLDER, b"\xff")
    await redis_client.set(CLIENT, b"\xff")
    lease = Lease(redis_client)
    taken = await lease.take()
    assert taken is not None
    assert taken.startswith("mirror-")
    assert await lease.take() == taken
    assert await Lease(redis_client).take() is None
