"""`make run` over the data of the version before."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from deploy.laptop.redis_server import redis_command
from deploy.laptop.redis_users import make_users
from deploy.laptop.upgrade import bring_up_to_date
from runtime.settings import CommonSettings
from tests.e2e.system import owners_url
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import until
from tests.state.version_1 import load, restore

REDIS_FOLDER = "redis"


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="laptop-") as made:
        (Path(made) / REDIS_FOLDER).mkdir()
        yield Path(made)


async def test_data_of_the_version_before_is_migrated_once_before_anything_starts(folder: Path) -> None:
    command = redis_command(redis_executable(), folder, "warning")
    make_users(redis_executable(), folder)
    url = owners_url(folder)
    settings = CommonSettings(data_dir=folder)
    environment = {**os.environ, "DATA_DIR": str(folder)}

    def answers() -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(answers, "Redis answers")
        return process

    process = start()
    async with Redis.from_url(url) as client:
        await restore(client, load(1))
    process.terminate()
    process.wait(30)
    arguments = (settings, folder, command, environment, folder / REDIS_FOLDER)
    assert await asyncio.to_thread(bring_up_to_date, *arguments)
    assert not await asyncio.to_thread(bring_up_to_date, *arguments)
    process = start()
    async with Redis.from_url(url) as client:
        assert await client.hlen("users:{mqtt}") == 4
        assert await client.hget("layout:{campus}", "version") == b"3"
    process.terminate()
    process.wait(30)


def test_a_new_folder_has_nothing_to_migrate_and_no_redis_is_started_for_it(folder: Path) -> None:
    nothing = ["/nowhere/redis-server"]
    assert not bring_up_to_date(CommonSettings(data_dir=folder), folder, nothing, {}, folder / REDIS_FOLDER)
