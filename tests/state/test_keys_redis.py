"""The Redis of keys, on real servers: what is destroyed there is gone from its file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import BadSettingsError, UnavailableError
from runtime.settings import KeysSettings
from state.keys_redis import open_keys_redis, rewrite_keys
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports, until


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 100 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="campus-") as found:
        yield Path(found).resolve()


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[RedisProcess]:
    process = RedisProcess(
        redis_executable(), tmp_path / "keys", free_ports(1)[0], "--appendonly", "yes", "--appendfsync", "always"
    )
    process.start()
    yield process
    process.stop()


def found(folder: Path, secret: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


async def test_a_key_that_was_destroyed_is_in_no_file_any_more(keys: RedisProcess) -> None:
    settings = KeysSettings(keys_redis_url=f"redis://{keys.address}")
    async with open_keys_redis(settings) as client:
        await client.hset("raw-keys:{campus}", mapping={"1": b"a key of which", "2": b"another that stays"})
        assert found(keys.folder, b"a key of which")
        await client.hdel("raw-keys:{campus}", "1")
        assert found(keys.folder, b"a key of which"), "a deletion alone does not take it out of the file"

        assert await rewrite_keys(client)

        # The old file goes a moment after the new one is in its place.
        until(lambda: not found(keys.folder, b"a key of which"), "the key is gone")
        assert await client.hgetall("raw-keys:{campus}") == {b"2": b"another that stays"}


async def test_a_redis_that_is_away_has_rewritten_nothing(keys: RedisProcess) -> None:
    async with open_keys_redis(KeysSettings(keys_redis_url=f"redis://{keys.address}")) as client:
        keys.stop()
        with pytest.raises(UnavailableError):
            await rewrite_keys(client)


async def test_where_there_is_none_the_error_says_what_to_set(folder: Path) -> None:
    settings = KeysSettings(data_dir=folder)
    assert not settings.has_keys_redis
    with pytest.raises(BadSettingsError, match=r"^KEYS_REDIS_URL: is not set, .* redis://redis-keys:6379"):
        async with open_keys_redis(settings):
            pass


async def test_an_address_that_is_none_is_that_of_keys() -> None:
    with pytest.raises(BadSettingsError, match=r"^KEYS_REDIS_URL: it has to begin with redis://"):
        async with open_keys_redis(KeysSettings(keys_redis_url="http://redis-keys")):
            pass


def test_a_command_beside_a_laptop_run_finds_its_socket_and_logs_in_as_its_user(folder: Path) -> None:
    (folder / "keys.sock").touch()
    (folder / "secrets" / "redis").mkdir(parents=True)
    (folder / "secrets" / "redis" / "decoder").write_text("correct-horse\n")
    beside = KeysSettings(data_dir=folder)
    assert beside.has_keys_redis
    assert beside.keys_redis_address_of("decoder") == f"unix://decoder:correct-horse@{folder}/keys.sock"
    # As the services of the run, which are told before the socket is there.
    of_the_run = KeysSettings(data_dir=folder, keys_redis_url=f"unix://{folder}/keys.sock")
    assert of_the_run.keys_redis_address_of("decoder") == f"unix://decoder:correct-horse@{folder}/keys.sock"
    elsewhere = KeysSettings(data_dir=folder, keys_redis_url="redis://decoder:own@redis-keys:6379")
    assert elsewhere.keys_redis_address_of("decoder") == "redis://decoder:own@redis-keys:6379"
