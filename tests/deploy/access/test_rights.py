"""Real servers of several versions, a cluster too: each user can do its work, and nothing that is another's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from core.errors import UnavailableError
from deploy.access.acl import acl, users, version_for
from deploy.access.users import PLAIN, USERS
from runtime.settings import CommonSettings
from state.client import open_redis
from state.rate_limits import spend
from tests.deploy.access.work import WORK
from tests.redis_servers.cluster import redis_cluster
from tests.redis_servers.executables import VERSIONS, executable_of, redis_executable, version_of
from tests.redis_servers.single import single_redis

PASSWORDS = {name: f"{name}-of-a-test" for name in users()}
# Who needs none may say any.
SAID = PASSWORDS | {"health": "any"}
ASK_ONE_SERVER = {"health", "exporter", "replica", "cluster", "sentinel"}
"""Users of those who know no other, and may not ask for it."""
# Those who start a server ask it without a password whether it is there.
OPEN = "user default on nopass ~* &* +@all\n"


def users_file(folder: Path, executable: str) -> Path:
    version = version_for("7.2" if "valkey" in executable else version_of(executable))
    path = folder / "users.acl"
    path.write_text(OPEN + acl(PASSWORDS, version=version).partition("\n")[2])
    return path


@contextmanager
def server(version: str) -> Iterator[str]:
    executable = executable_of(version)
    with (
        TemporaryDirectory(prefix="acl-") as folder,
        single_redis(
            executable, "--aclfile", str(users_file(Path(folder), executable)), "--acllog-max-len", "1000"
        ) as url,
    ):
        yield url


def of(url: str, user: str) -> str:
    return url.replace("://", f"://{user}:{SAID[user]}@", 1)


def denied(client: redis.Redis) -> list[Any]:
    """What nobody was allowed to do: user, and what they asked for."""
    told: list[dict[str, Any]] = client.acl_log()
    return [(each["username"], each["reason"], each["object"]) for each in told]


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_user_can_do_its_work(version: str) -> None:
    with server(version) as url, redis.Redis.from_url(url) as admin:
        for user, work in WORK.items():
            async with open_redis(CommonSettings(redis_url=of(url, user))) as client:
                await work(client, 2)
            assert denied(admin) == [], user


async def test_each_user_can_do_its_work_on_a_cluster(tmp_path: Path) -> None:
    executable = redis_executable()
    with redis_cluster(executable, "--aclfile", str(users_file(tmp_path, executable))) as cluster:
        for user, work in WORK.items():
            if user in ASK_ONE_SERVER:
                continue
            async with open_redis(CommonSettings(redis_url=of(cluster.url, user))) as client:
                await work(client, 6)
        for member in cluster.members:
            with redis.Redis(port=member.port) as admin:
                assert denied(admin) == []


FOREIGN: dict[str, list[tuple[Any, ...]]] = {
    "autoscaler": [
        ("HSET", "api-keys:{campus}", "a", "{}"),
        ("HGETALL", "api-keys:{campus}"),
        ("HGETALL", "users:{mqtt}"),
        ("XADD", "raw:{0}", "*", "b", "x"),
        ("GET", "newest:{0}:d"),
        ("DEL", "totals:{0}"),
        ("EVAL", "return 1", 1, "raw:{0}"),
        ("XRANGE", "raw:{0}", "-", "+"),
        ("XREVRANGE", "raw:{0}", "+", "-"),
        ("XREAD", "STREAMS", "raw:{0}", "0"),
        ("XINFO", "STREAM", "raw:{0}"),
        ("XRANGE", "positions:{0}", "-", "+"),
    ],
    "api": [
        ("HSET", "api-keys:{campus}", "a", "{}"),
        ("ZADD", "presence:{0}:a:car", 1, "d"),
        # True counts, and what released ones come from.
        ("ZCARD", "presence:{0}:a:car"),
        ("ZCOUNT", "presence:{0}:a:car", "-inf", "+inf"),
        ("ZRANGE", "presence:{0}:a:car", 0, -1),
        ("ZRANGEBYSCORE", "touched:{0}", "-inf", "+inf"),
        ("GET", "release:{campus}"),
        ("HGETALL", "count:{0}:d1:a:car"),
        ("HSET", "released:{campus}", "a:car", 1),
        ("HGETALL", "users:{mqtt}"),
        ("HSET", "users:{mqtt}", "ann", "{}"),
        ("XREADGROUP", "GROUP", "observe", "a", "STREAMS", "raw:{0}", ">"),
        ("HINCRBY", "count:{0}:d1:a:car", "d", 1),
        ("BGREWRITEAOF",),
        ("XRANGE", "raw:{0}", "-", "+"),
        ("XREVRANGE", "raw:{0}", "+", "-"),
        ("XREAD", "STREAMS", "raw:{0}", "0"),
        ("XINFO", "STREAM", "raw:{0}"),
        ("XRANGE", "positions:{0}", "-", "+"),
        ("XRANGE", "audit:{campus}", "-", "+"),
        ("XDEL", "audit:{campus}", "1-0"),
        ("RENAME", "audit:{campus}", "aside:audit:{campus}"),
    ],
    "api-open": [("HSET", "api-keys:{campus}", "a", "{}"), ("GET", "release:{campus}"), ("HGETALL", "users:{mqtt}")],
    "broker": [
        ("XRANGE", "raw:{0}", "-", "+"),
        ("XREAD", "STREAMS", "raw:{0}", "0"),
        ("HSET", "users:{mqtt}", "ann", "{}"),
        ("HGETALL", "api-keys:{campus}"),
        ("ZRANGE", "presence:{0}:a:car", 0, -1),
        ("XRANGE", "dead:{0}", "-", "+"),
        ("HSET", "apps:{campus}", "a", "{}"),
    ],
    "decoder": [
        ("HGETALL", "users:{mqtt}"),
        ("HGETALL", "api-keys:{campus}"),
        ("HSET", "session:{mqtt}:a", "owner", "u:b"),
        ("XRANGE", "queue:{mqtt}:a", "-", "+"),
        ("HGETALL", "apps:{campus}"),
    ],
    "controller": [
        ("HSET", "api-keys:{campus}", "a", "{}"),
        ("HSET", "users:{mqtt}", "ann", "{}"),
        ("XLEN", "raw:{0}"),
    ],
    "users-command": [("HGETALL", "api-keys:{campus}"), ("XLEN", "raw:{0}"), ("GET", "newest:{0}:d")],
    "keys-command": [("HGETALL", "users:{mqtt}"), ("XLEN", "raw:{0}"), ("HSET", "layout:{campus}", "version", 1)],
    # Whoever reads who has read cannot change it.
    "auditor": [
        ("XADD", "audit:{campus}", "*", "at", "1"),
        ("XDEL", "audit:{campus}", "1-0"),
        ("XTRIM", "audit:{campus}", "MAXLEN", 0),
        ("DEL", "audit:{campus}"),
        ("RENAME", "audit:{campus}", "aside:audit:{campus}"),
        ("HGETALL", "api-keys:{campus}"),
        ("HSET", "layout:{campus}", "version", 1),
    ],
    "dead-letters": [("HGETALL", "users:{mqtt}"), ("XRANGE", "raw:{0}", "-", "+"), ("GET", "newest:{0}:d")],
    "status": [("HGETALL", "users:{mqtt}"), ("XADD", "raw:{0}", "*", "b", "x"), ("XRANGE", "dead:{0}", "-", "+")],
    "keda": [("XRANGE", "raw:{0}", "-", "+"), ("XADD", "raw:{0}", "*", "b", "x"), ("XLEN", "dead:{0}")],
    "exporter": [("GET", "a"), ("SCAN", 0), ("SLOWLOG", "GET"), ("CONFIG", "GET", "*")],
    "backup": [
        ("GET", "a"),
        ("SCAN", 0),
        ("HGETALL", "users:{mqtt}"),
        ("HGET", "users:{mqtt}", "ann"),
        ("HSET", "layout:{campus}", "version", 1),
    ],
    "replica": [("GET", "a"), ("INFO",)],
    "cluster": [("GET", "a"), ("SCAN", 0)],
    "sentinel": [("GET", "a"), ("CONFIG", "GET", "*")],
    "migrate": [("FLUSHALL",), ("SHUTDOWN",), ("CONFIG", "SET", "dir", "/")],
}
"""A part of what each may not do."""
ONLY_BY_SELECTORS: dict[str, list[tuple[Any, ...]]] = {
    "broker": [
        ("XRANGE", "raw:{0}", "-", "+"),
        ("XREAD", "STREAMS", "raw:{0}", "0"),
        ("HSET", "users:{mqtt}", "ann", "{}"),
        ("XRANGE", "dead:{0}", "-", "+"),
        ("HSET", "apps:{campus}", "a", "{}"),
    ],
    "api": [
        ("HSET", "api-keys:{campus}", "a", "{}"),
        ("ZADD", "presence:{0}:a:car", 1, "d"),
        ("ZRANGE", "presence:{0}:a:car", 0, -1),
        ("HSET", "released:{campus}", "a:car", 1),
        ("XRANGE", "raw:{0}", "-", "+"),
        ("XREVRANGE", "raw:{0}", "+", "-"),
        ("XRANGE", "positions:{0}", "-", "+"),
        ("XRANGE", "audit:{campus}", "-", "+"),
        ("XDEL", "audit:{campus}", "1-0"),
    ],
    "api-open": [("HSET", "api-keys:{campus}", "a", "{}")],
    "controller": [("HSET", "api-keys:{campus}", "a", "{}"), ("HSET", "users:{mqtt}", "ann", "{}")],
    "keys-command": [("HSET", "layout:{campus}", "version", 1)],
    "dead-letters": [("XRANGE", "raw:{0}", "-", "+")],
    "status": [("XRANGE", "dead:{0}", "-", "+")],
}
"""What of that Redis 6.2 cannot keep from them, for it has one list of keys for all commands of a user."""
ADMINISTRATORS: list[tuple[Any, ...]] = [
    ("CONFIG", "SET", "dir", "/"),
    ("SHUTDOWN",),
    ("ACL", "LIST"),
    ("REPLICAOF", "a", "1"),
    ("FLUSHALL",),
    ("KEYS", "*"),
    ("MONITOR",),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_another_s_is_refused(version: str) -> None:
    with server(version) as url:
        for user in PASSWORDS:
            beyond = ONLY_BY_SELECTORS.get(user, []) if version == "6.2" else []
            forbidden = [each for each in FOREIGN[user] if each not in beyond]
            if user not in {"migrate", "sentinel"}:
                forbidden += ADMINISTRATORS
            with redis.Redis.from_url(of(url, user)) as client:
                for command in forbidden:
                    with pytest.raises(NoPermissionError):
                        pytest.fail(f"{user} may {command}: {client.execute_command(*command)!r}")


def test_every_user_has_work_and_something_that_it_may_not_do() -> None:
    assert set(WORK) == {*USERS, *PLAIN}
    assert set(FOREIGN) == set(PASSWORDS) == set(WORK) - {"health"}


def test_what_redis_6_cannot_keep_from_somebody_is_what_it_allows() -> None:
    with server("6.2") as url:
        for user, commands in ONLY_BY_SELECTORS.items():
            with redis.Redis.from_url(of(url, user)) as client:
                for command in commands:
                    assert command in FOREIGN[user]
                    client.execute_command(*command)


async def test_a_script_reads_nothing_that_its_caller_may_not(redis_server: str) -> None:
    del redis_server
    with server("7.0") as url, redis.Redis.from_url(of(url, "broker")) as client:
        for key in ("raw:{0}", "session:{mqtt}:a"):
            with pytest.raises(redis.ResponseError, match=r"ACL|permission|can't"):
                client.eval("return redis.call('XRANGE', 'raw:{0}', '-', '+')", 1, key)


def test_the_api_counts_nobody_by_a_script_either_where_counts_are_not_told_as_they_are() -> None:
    count = "return redis.call('ZCOUNT', KEYS[2], '-inf', '+inf')"
    with server("7.0") as url:
        with redis.Redis.from_url(of(url, "api-open")) as client:
            assert client.eval(count, 2, "never:{0}", "presence:{0}:a:car") == 0
        with redis.Redis.from_url(of(url, "api")) as client, pytest.raises(redis.ResponseError, match="can't run"):
            client.eval(count, 2, "never:{0}", "presence:{0}:a:car")


async def test_a_key_of_the_wrong_type_is_set_aside_by_whoever_writes_it() -> None:
    with server("7.0") as url, redis.Redis.from_url(url) as admin:
        admin.set("spent:{campus}:requests:a", "x")
        admin.delete("spent:{campus}:requests:a")
        admin.lpush("spent:{campus}:requests:a", "x")
        admin.lpush("dirty:{0}", "of others")
        async with open_redis(CommonSettings(redis_url=of(url, "api"))) as client:
            with pytest.raises(UnavailableError, match="set aside"):
                await spend(client, "requests", {"a": 1.0}, whole=10)
            assert await spend(client, "requests", {"a": 1.0}, whole=10) == {"a": 1.0}
        assert admin.exists("aside:spent:{campus}:requests:a")
        assert admin.type("dirty:{0}") == b"list"


def test_the_exporter_s_user_tells_what_a_dashboard_shows() -> None:
    with server("7.0") as url, redis.Redis.from_url(of(url, "exporter")) as client:
        assert client.info()["redis_version"]
        assert client.slowlog_len() == 0
        assert client.ping()
