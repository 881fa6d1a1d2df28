"""The process as it is run: `python -m api`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from api.auth.keys import Keys
from core.clock import system_clock
from tests.api.conftest import key_for
from tests.conftest import WAIT_SECONDS, eventually, free_port

ROOT = Path(__file__).parents[2]


OPERATIONS: dict[int, int] = {}
"""The operations port of each API that was started, by its own port."""


@asynccontextmanager
async def running(port: int, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    OPERATIONS[port] = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api",
        cwd=ROOT,
        env={**os.environ, "API_PORT": str(port), "OPS_PORT": str(OPERATIONS[port]), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    async def answers() -> httpx.Response | None:
        try:
            answer = await operations(client, path) if path == "/readyz" else await client.get(path)
        except httpx.TransportError:
            return None
        return answer if answer.status_code == status else None

    # A process that starts has modules to load first, on a machine that is busy.
    found = await eventually(answers, limit=4 * WAIT_SECONDS)
    assert found is not None
    return found


async def operations(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """What the API of a client says on its operations port."""
    return await client.get(f"http://127.0.0.1:{OPERATIONS[client.base_url.port or 0]}{path}")


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS) as client:
        yield client


async def test_it_starts_without_redis_and_stops_cleanly(tmp_path: Path) -> None:
    port = free_port()
    async with running(port, DATA_DIR=str(tmp_path)) as process, client_of(port) as client:
        await until(client, "/healthz", 200)

        assert (await until(client, "/readyz", 503)).text == "Redis does not answer\n"
        assert (await client.get("/v1/zones")).status_code == 200
        assert (await client.get("/v1/occupancy")).status_code == 503

        process.send_signal(signal.SIGTERM)
        output, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)

    assert process.returncode == 0
    assert errors == b""
    log = output.decode()
    assert "listening" in log
    assert "stopped" in log
    # No line for each request.
    assert "/v1/zones" not in log


async def test_it_serves_what_is_in_redis_over_http(redis_server: str, tmp_path: Path) -> None:
    port = free_port()
    async with running(port, DATA_DIR=str(tmp_path), REDIS_URL=redis_server), client_of(port) as client:
        await until(client, "/readyz", 200)

        body = (await client.get("/v1/occupancy")).json()
        assert [zone["zone"] for zone in body["zones"]][:2] == ["campus", "schuman"]
        head = await client.head("/v1/zones")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 5000


async def test_two_processes_come_to_have_the_same_zones_and_keys(
    redis_server: str, redis_client: Redis, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    environment = {"DATA_DIR": str(tmp_path), "REDIS_URL": redis_server}
    admin = await key_for(redis_client, "admin")
    async with (
        running(ports[0], **environment),
        running(ports[1], **environment),
        client_of(ports[0]) as one,
        client_of(ports[1]) as two,
    ):
        await until(one, "/readyz", 200)
        await until(two, "/readyz", 200)
        read = await one.get("/v1/zones/kemmy")
        changed = await one.patch(
            "/v1/zones/kemmy",
            json={"properties": {"capacity": 321}},
            headers={**admin, "If-Match": read.headers["etag"]},
        )
        assert changed.status_code == 200

        async def capacity() -> bool:
            return bool((await two.get("/v1/zones/kemmy/occupancy")).json()["capacity"] == 321)

        await eventually(capacity)
        # Who has read the old one cannot overwrite the new one, wherever he asks.
        late = {**admin, "If-Match": read.headers["etag"]}
        assert (await two.delete("/v1/zones/kemmy", headers=late)).status_code == 412
        assert (await two.get("/v1/zones/kemmy/versions", headers=admin)).status_code == 200

        [(key, _)] = await Keys(redis_client, clock=system_clock).all()
        await Keys(redis_client, clock=system_clock).remove(key.id)

        async def refused() -> bool:
            answers = [await client.get("/v1/zones/kemmy/versions", headers=admin) for client in (one, two)]
            return [answer.status_code for answer in answers] == [401, 401]

        await eventually(refused)


async def test_sigterm_ends_it_in_time_although_an_answer_is_stuck(tmp_path: Path) -> None:
    port = free_port()
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
    with silent:
        async with running(port, DATA_DIR=str(tmp_path), REDIS_URL=url) as process, client_of(port) as client:
            await until(client, "/healthz", 200)
            stuck = asyncio.create_task(client.get("/v1/occupancy"))
            connection, _ = await asyncio.wait_for(asyncio.to_thread(silent.accept), WAIT_SECONDS)
            with connection:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.communicate(), WAIT_SECONDS)

                assert process.returncode == 0
                await asyncio.gather(stuck, return_exceptions=True)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"CAMPUS_FILE": "/nowhere/campus.geojson"}, "CAMPUS_FILE: /nowhere/campus.geojson"),
        ({"KINDS_FILE": "/nowhere/kinds.json"}, "KINDS_FILE: /nowhere/kinds.json"),
        ({"TOPIC_KINDS": "owntracks/+/+=tram"}, "TOPIC_KINDS: 'tram' is not one of car, mobile"),
        ({"POSITION_RATE": "tram=7"}, "POSITION_RATE: 'tram=7' is not role=rate:burst"),
        ({"API_HOST": "256.1.1.1"}, "API_HOST"),
        ({"API_PORT": "70000"}, "API_PORT: "),
        ({"REDIS_URL": "ftp://redis"}, "REDIS_URL: "),
        ({"TIMESERIES_STORE": "influxdb"}, "INFLUXDB_V2_URL"),
        ({"HISTORY_MAX_POINTS": "0"}, "HISTORY_MAX_POINTS: "),
    ],
)
async def test_a_setting_that_cannot_work_is_named(tmp_path: Path, environment: dict[str, str], told: str) -> None:
    async with running(free_port(), **{"DATA_DIR": str(tmp_path), **environment}) as process:
        # It has modules to load first, on a machine that is busy.
        _, errors = await asyncio.wait_for(process.communicate(), 4 * WAIT_SECONDS)

    assert process.returncode == 2
    assert told in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(port, DATA_DIR=str(tmp_path)) as process:
            _, errors = await asyncio.wait_for(process.communicate(), 4 * WAIT_SECONDS)

    assert process.returncode == 2
    assert f"API_PORT: cannot listen on 127.0.0.1:{port}" in errors.decode()
