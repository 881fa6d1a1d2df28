"""While a backup is being restored, or half of one is there, no service and no command works on that Redis."""

import ast
import asyncio
import os
import runpy
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.commands.test_every_command import OF_REDIS
from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = "layout:{campus}"
SENTENCE = "REDIS_URL: a backup is being restored there, or that was begun and has not come to its end"
COMMANDS = OF_REDIS | {
    "migrate": "state migrate",
    "controller apps": "controller apps",
    "end-faults": "controller end-faults",
}
SERVICES = ("broker", "decoder", "api", "controller")
ASKING = {
    "broker": {"broker/serving.py"},
    "decoder": {"decoder/__main__.py"},
    "api": {"api/__main__.py"},
    "controller": {"controller/__main__.py"},
    "commands": {"state/command.py", "state/migrate_command.py"},
    # These read a few keys and change none: how much waits, whether somebody is known, who has sent, and so on.
    "reading alone": {
        "autoscaler/__main__.py",
        "deploy/laptop/demo_key.py",
        "deploy/laptop/demo_users.py",
        "deploy/laptop/first_start.py",
        "state/known_hashes.py",
    },
    # It makes the mark, and looks at it.
    "backup": {"backup/restore_command.py", "backup/save_command.py"},
}
"""Who opens a Redis."""


@pytest.fixture(params=["an empty Redis", "one that has something"])
async def restored(request: pytest.FixtureRequest, redis_client: Redis) -> Redis:
    """A Redis to which a backup is being restored."""
    if request.param != "an empty Redis":
        await redis_client.hset(LAYOUT, mapping={"version": "3", "partitions": "1"})
        await redis_client.set("newest:{0}:d", "x")
    await redis_client.hset(LAYOUT, "restoring", "redis/20260301T120000Z-0001")
    return redis_client


async def contents(client: Redis) -> dict[bytes | str, bytes | None]:
    return {key: await client.dump(key) for key in await client.keys("*")}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_says_so_and_changes_nothing(
    command: str,
    restored: Redis,
    redis_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "users").write_text("car-7,car,secret-secret\n")
    (tmp_path / "key").write_text(f"ck_0123456789abcdef_{'A' * 43}\n")
    before = await contents(restored)
    monkeypatch.setenv("REDIS_URL", redis_server)
    monkeypatch.setenv("REGISTRY_FOLDER", str(tmp_path))
    module, *arguments = COMMANDS[command].format(users=tmp_path / "users", key=tmp_path / "key").split()
    monkeypatch.setattr(sys, "argv", ["-", *arguments])
    monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)

    def run() -> int:
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return int(ended.value.code or 0)

    code = await asyncio.to_thread(run)
    said = capfd.readouterr().err
    assert (code, SENTENCE in said) == (2, True), said
    assert await contents(restored) == before


async def test_a_service_says_so_ends_and_changes_nothing(restored: Redis, redis_server: str, tmp_path: Path) -> None:
    before = await contents(restored)

    async def ended(service: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", service),
            cwd=ROOT,
            env={
                **os.environ,
                "REDIS_URL": redis_server,
                "DATA_DIR": str(tmp_path / service),
                "DEVICE_KEY": "cd" * 32,
                "REGISTRY": "file",
                "REGISTRY_FOLDER": str(tmp_path),
                "CONTROLLER_STAGES": "registry,canary",
                "BROKER_PORT": str(free_port()),
                "API_PORT": str(free_port()),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(100):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return process.returncode, said.decode()

    for code, said in await asyncio.gather(*map(ended, SERVICES)):
        assert (code, SENTENCE in said) == (2, True), said
    assert await contents(restored) == before


def test_nobody_else_opens_a_redis() -> None:
    rooms = ("api", "autoscaler", "backfill", "backup", "broker", "controller", "decoder", "deploy", "documents")
    found = set()
    for path in (path for room in (*rooms, "runtime", "state", "timeseries") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("open_redis"):
                found.add(str(path.relative_to(ROOT)))
    assert found == {path for paths in ASKING.values() for path in paths}
