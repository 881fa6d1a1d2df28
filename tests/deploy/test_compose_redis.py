"""Redis with the configuration and the users of a compose run."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as NotThere
from redis.retry import Retry

from deploy.access.acl import version_for
from deploy.compose.make_secrets import files, made
from tests.conftest import free_port, missing
from tests.redis_servers.executables import version_of

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "compose" / "redis.conf"
ROLES = ["car", "gateway", "app"]
PASSWORD = "correct-horse"  # noqa: S105 - of this test alone


@contextmanager
def redis(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server", "apt install redis-server")
    users = folder / "users.acl"
    value = dict.fromkeys(made(ROLES), PASSWORD)
    users.write_text(
        files(value, ROLES, demo=True, redis_version=version_for(version_of(program)))["redis"]["users.acl"]
    )
    config = folder / "redis.conf"
    config.write_text(CONFIG.read_text().replace("dir /data", f"dir {folder}").replace("/run/secrets", str(folder)))
    process = subprocess.Popen(
        [str(program), config, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def user(port: int, name: str | None, password: str | None, *, patient: bool = False) -> Redis:
    if not patient:
        return Redis(port=port, username=name, password=password, retry=Retry(NoBackoff(), 0))
    return Redis(
        port=port,
        username=name,
        password=password,
        retry=Retry(ConstantBackoff(0.05), 200),
        retry_on_error=[NotThere],
    )


def test_what_was_written_in_a_transaction_is_there_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with redis(tmp_path, port) as process, user(port, "migrate", PASSWORD, patient=True) as client:
        assert client.ping()
        client.pipeline(transaction=True).hset("users:{mqtt}", "somebody", "hash").incr(
            "users:version:{mqtt}"
        ).execute()
        client.eval("for n = 1, 2 do redis.call('XADD', KEYS[1], '*', 'payload', n) end", 1, "raw:{0}")
        process.terminate()
        process.wait(30)
    with redis(tmp_path, port), user(port, "migrate", PASSWORD, patient=True) as client:
        assert client.ping()
        assert client.hget("users:{mqtt}", "somebody") == b"hash"
        assert client.xlen("raw:{0}") == 2


@pytest.fixture
def running(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with redis(tmp_path, port):
        with user(port, "health", "none", patient=True) as client:
            assert client.ping()
        yield port


def test_the_health_check_may_ask_whether_it_is_there_and_no_more(running: int) -> None:
    with user(running, "health", "none") as client, pytest.raises(NoPermissionError):
        client.get("users:{mqtt}")


def test_nobody_may_do_anything_without_a_password(running: int) -> None:
    with user(running, None, None) as client, pytest.raises((AuthenticationError, NoPermissionError)):
        client.get("users:{mqtt}")
    with user(running, None, "") as client, pytest.raises((AuthenticationError, NoPermissionError, ResponseError)):
        client.execute_command("AUTH", "default", "")


@pytest.mark.parametrize("name", ["broker", "decoder", "api", "autoscaler", "controller", "users-command", "migrate"])
def test_services_cannot_take_redis_over(running: int, name: str) -> None:
    with user(running, name, PASSWORD) as client:
        assert client.ping()
        for command in (
            ("CONFIG", "SET", "dir", "/"),
            ("SHUTDOWN",),
            ("ACL", "LIST"),
            ("REPLICAOF", "a", "1"),
            ("FLUSHALL",),
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)


def test_the_decoder_has_the_file_rewritten(running: int) -> None:
    with user(running, "decoder", PASSWORD) as client:
        assert client.info("persistence")["aof_enabled"]
        client.bgrewriteaof()
