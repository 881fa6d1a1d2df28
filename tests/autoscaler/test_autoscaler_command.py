"""`python -m autoscaler` as a process, beside an Engine that pretends, the gate and a real Redis."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from autoscaler.__main__ import app
from tests.autoscaler.conftest import RunningGate
from tests.conftest import RAW, eventually, free_port

ROOT = Path(__file__).parents[2]
runner = CliRunner()


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "autoscaler",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def output(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(30):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


def environment(gate: RunningGate, redis_url: str, folder: Path) -> dict[str, str]:
    return {
        "DOCKER_HOST": f"tcp://127.0.0.1:{gate.port}",
        "REDIS_URL": redis_url,
        "HAPROXY_SOCKET": str(folder / "admin.sock"),
        "DECODER_LAG": "1",
        "SCALE_INTERVAL": "0.2",
        "SCALE_MAXIMUM": "4",
    }


async def behind(client: Redis, entries: int) -> None:
    for number in range(entries):
        await client.xadd(RAW, {"p": number})


async def test_once_prints_what_it_would_do_and_does_nothing(
    gate: RunningGate, redis_server: str, redis_client: Redis, tmp_path: Path
) -> None:
    await behind(redis_client, 3)
    code, told = await output(await start("--once", **environment(gate, redis_server, tmp_path)))
    assert code == 0, told
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in told.splitlines() if "│" in line]
    assert rows == [
        ["broker", "unknown connections, unknown messages/s", "2", "2", "do nothing"],
        ["decoder", "3 entries behind", "1", "3", "start 2"],
    ]
    assert "HAProxy does not answer" in told
    assert gate.docker.changes == []


async def test_as_a_service_it_starts_decoders_tells_operators_and_ends_by_sigterm(
    gate: RunningGate, redis_server: str, redis_client: Redis, tmp_path: Path
) -> None:
    await behind(redis_client, 3)
    port = free_port()
    process = await start(**environment(gate, redis_server, tmp_path), OPS_PORT=str(port), LOG_FORMAT="json")
    try:

        async def started() -> bool:
            names = [each["Name"] for each in gate.docker.containers.values() if each["State"]["Status"] == "running"]
            return {"/campus-decoder-2", "/campus-decoder-3"} <= set(names)

        await eventually(started)
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/healthz")).status_code == httpx.codes.OK
            ready = await client.get("/readyz")
            assert (ready.status_code, "HAProxy" in ready.text) == (httpx.codes.SERVICE_UNAVAILABLE, True)
            metrics = (await client.get("/metrics")).text
            assert 'autoscaler_started_total{service="decoder"} 2.0' in metrics
    finally:
        process.send_signal(signal.SIGTERM)
        code, told = await output(process)
    assert code == 0, told
    assert '"event": "scaling out"' in told
    # Two there are, and no fourth comes: the load asks for three.
    assert "/campus-decoder-4" not in [each["Name"] for each in gate.docker.containers.values()]


async def test_a_dry_run_says_what_it_would_do(
    gate: RunningGate, redis_server: str, redis_client: Redis, tmp_path: Path
) -> None:
    await behind(redis_client, 3)
    process = await start("--dry-run", **environment(gate, redis_server, tmp_path))
    assert process.stdout is not None
    told = b""
    async with asyncio.timeout(20):
        while b"would scale out" not in told:
            told += await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert (await output(process))[0] == 0
    assert gate.docker.changes == []


async def test_without_an_engine_once_says_so(tmp_path: Path) -> None:
    code, told = await output(await start("--once", DOCKER_HOST=f"unix://{tmp_path}/docker.sock"))
    assert code == 1
    assert "the Docker Engine does not answer" in told


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"SCALE_MINIMUM": "5", "SCALE_MAXIMUM": "3"}, "SCALE_MAXIMUM is less than SCALE_MINIMUM"),
        ({"DECODER_MINIMUM": "5", "DECODER_MAXIMUM": "3"}, "DECODER_MAXIMUM is less than DECODER_MINIMUM"),
        ({"DOCKER_HOST": "engine"}, "DOCKER_HOST"),
        ({"COMPOSE_PROJECT": "a=b,c"}, "COMPOSE_PROJECT"),
        ({"REDIS_URL": "http://redis"}, "REDIS_URL"),
    ],
)
def test_settings_that_cannot_work_are_an_error(
    variables: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = runner.invoke(app, ["--once"])
    assert result.exit_code == 2
    assert problem in result.output


def test_the_help_says_what_it_does_and_how_to_try_it() -> None:
    told = runner.invoke(app, ["--help"], env={"COLUMNS": "100"}).output
    assert "--dry-run" in told
    assert "the newest first" in told
    assert "answered with 403" in runner.invoke(app, ["gate", "--help"], env={"COLUMNS": "100"}).output
