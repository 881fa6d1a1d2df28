"""`python -m controller` as a process, with files that say what runs and a real Redis."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from controller.settings import ControllerSettings, Stage
from core.clock import system_clock
from core.faults import Fault
from core.versions import first_route
from state.apps import AppStore
from state.faults import FaultStore
from tests.conftest import NOON, eventually, free_port

ROOT = Path(__file__).parents[2]


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller", *arguments),
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "140", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def output(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


def written(folder: Path, version: str) -> None:
    said = {"app": "update-schuman", "version": version, "name": f"u-{version}", "address": "127.0.0.1"}
    (folder / f"{version}.json").write_text(json.dumps({**said, "port": free_port(), "since": NOON}))


def environment(redis_url: str, folder: Path, **more: str) -> dict[str, str]:
    return {"REDIS_URL": redis_url, "REGISTRY": "file", "REGISTRY_FOLDER": str(folder), **more}


async def test_it_says_what_runs_and_ends_when_it_is_told_to(
    redis_server: str, redis_client: Redis, tmp_path: Path
) -> None:
    written(tmp_path, "1")
    port = free_port()
    process = await start(
        **environment(redis_server, tmp_path, CONTROLLER_STAGES="registry,canary", OPS_PORT=str(port))
    )
    try:

        async def ready() -> bool:
            async with httpx.AsyncClient() as client:
                try:
                    return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

        await eventually(ready, limit=60)
        assert await AppStore(redis_client).routes() == {"update-schuman": first_route("update-schuman", "1")}
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert 'controller_instances{app="update-schuman",healthy="false",version="1"} 1.0' in metrics
    finally:
        process.send_signal(signal.SIGTERM)
        code, told = await output(process)
    assert code == 0, told


async def test_what_is_in_the_way_is_what_readyz_says(redis_server: str, redis_client: Redis, tmp_path: Path) -> None:
    assert redis_client
    port = free_port()
    missing = tmp_path / "admin.sock"
    process = await start(
        **environment(
            redis_server, tmp_path, CONTROLLER_STAGES="apply", OPS_PORT=str(port), HAPROXY_SOCKET=str(missing)
        )
    )
    try:

        async def said() -> str:
            async with httpx.AsyncClient() as client:
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/readyz")
                except httpx.HTTPError:
                    return ""
                return answer.text if answer.status_code == 503 and str(missing) in answer.text else ""

        assert "HAProxy does not answer" in await eventually(said, limit=60)
    finally:
        process.send_signal(signal.SIGTERM)
        await output(process)


async def test_a_table_says_what_runs_and_who_gets_it(redis_server: str, redis_client: Redis, tmp_path: Path) -> None:
    await AppStore(redis_client).put(first_route("update-schuman", "1"), replaces=0, by="key", at=NOON, why="mine")
    for version in ("1", "2"):
        written(tmp_path, version)
    code, told = await output(await start("apps", **environment(redis_server, tmp_path)))
    assert code == 0, told
    rows = [line.split() for line in told.splitlines() if "update-schuman" in line]
    assert [[row[3], row[5]] for row in rows] == [["1", "100"], ["2", "0"]]


async def test_without_redis_the_table_is_one_sentence(tmp_path: Path) -> None:
    code, told = await output(await start("apps", **environment("unix:///nowhere/redis.sock", tmp_path)))
    assert code == 1
    assert len(told.strip().splitlines()) == 1
    assert "Traceback" not in told


def test_stages_are_named_once_and_there_is_no_other() -> None:
    assert ControllerSettings(controller_stages="apply").chosen_stages == {Stage.APPLY}
    with pytest.raises(ValidationError, match="'walk' is no stage: name some of registry, apply, canary"):
        ControllerSettings(controller_stages="registry,walk")
    with pytest.raises(ValidationError, match="named twice"):
        ControllerSettings(controller_stages="apply,apply")


async def test_faults_are_ended_by_a_command_where_the_api_cannot(redis_server: str, redis_client: Redis) -> None:
    store, now = FaultStore(redis_client), system_clock()
    cut = Fault(between="api>redis", kind="cut", until=now + 600_000, by="key")
    await store.replace([cut], now=now)

    code, said = await output(await start("end-faults", REDIS_URL=redis_server))

    assert (code, "faults that were on, and end now: 1" in said) == (0, True)
    assert await store.faults(now) == []


async def test_without_redis_the_command_says_so(tmp_path: Path) -> None:
    code, said = await output(await start("end-faults", REDIS_URL=f"unix://{tmp_path}/nobody"))
    assert code == 1
    assert "Redis" in said
    assert "Traceback" not in said
