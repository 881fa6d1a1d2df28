import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.auth.keys import Keys, NewKey, Scope, make_key
from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.conftest import NOON, free_port
from tests.redis_servers.clients import calls

CACHE_MS = 1000
USED_EVERY_MS = 60_000
API_KEYS = "api-keys:{campus}"
USED = "api-keys:used:{campus}"


class HandClock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def keys(service_redis: Redis, clock: HandClock) -> Keys:
    return Keys(service_redis, clock=clock)


async def added(keys: Keys, *scopes: Scope, name: str = "a test") -> NewKey:
    made = make_key(name, scopes or [Scope.POSITIONS_READ], now=NOON)
    await keys.add(made.key)
    return made


async def test_a_key_that_was_added_is_right_and_any_other_is_wrong(keys: Keys) -> None:
    made, other = await added(keys), make_key("other", [Scope.ADMIN], now=NOON)

    assert await keys.verify(made.text) == made.key
    for wrong in (other.text, made.text[:-1], f"{made.text}A", made.text.upper(), made.key.id, made.key.hash, "", " "):
        assert await keys.verify(wrong) is None
        assert keys.recent(wrong) is None
    swapped = f"ck_{made.key.id}_{other.text.split('_', 2)[2]}"
    assert await keys.verify(swapped) is None


async def test_a_key_has_256_random_bits_and_redis_never_sees_it(keys: Keys, redis_client: Redis) -> None:
    made = await added(keys)
    await keys.verify(made.text)

    assert len(made.text) == len("ck_") + 16 + 1 + 43
    assert len({make_key("x", [Scope.ADMIN], now=NOON).text for _ in range(100)}) == 100
    secret = made.text.removeprefix(f"ck_{made.key.id}_").encode()
    for name in await redis_client.keys():
        assert secret not in (await redis_client.dump(name) or b"")
    assert secret.decode() not in f"{made!r} {made.key!r}"
    assert made.key.hash not in f"{made!r} {made.key!r}"


async def test_a_removed_key_is_refused_by_other_processes_within_a_second(
    keys: Keys, service_redis: Redis, clock: HandClock
) -> None:
    elsewhere = Keys(service_redis, clock=clock)
    made = await added(keys)
    assert await elsewhere.verify(made.text)

    assert await keys.remove(made.key.id)

    assert await keys.verify(made.text) is None
    clock.now += CACHE_MS
    assert await elsewhere.verify(made.text) is None
    assert not await keys.remove(made.key.id)


async def test_a_key_is_asked_for_once_a_second_however_many_requests_it_has(
    redis_client: Redis, keys: Keys, clock: HandClock
) -> None:
    made = await added(keys)
    await keys.verify(made.text)
    before = await commands(redis_client, "hmget")
    for _ in range(20):
        assert await keys.verify(made.text)
    assert await commands(redis_client, "hmget") == before

    clock.now -= 1  # put back: what was read is believed no longer
    assert await keys.verify(made.text)
    assert await commands(redis_client, "hmget") == before + 1


async def test_the_last_use_is_written_down_once_a_minute_at_the_most(keys: Keys, clock: HandClock) -> None:
    made = await added(keys)
    assert await keys.all() == [(made.key, None)]

    for step, expected in ((0, NOON), (USED_EVERY_MS - 1, NOON), (1, NOON + USED_EVERY_MS)):
        clock.now += step
        await keys.verify(made.text)
        assert await keys.all() == [(made.key, expected)]


async def test_a_use_that_comes_after_the_removal_leaves_nothing(
    keys: Keys, redis_client: Redis, service_redis: Redis, clock: HandClock
) -> None:
    elsewhere = Keys(service_redis, clock=clock)
    made = await added(keys)
    await elsewhere.verify(made.text)
    await keys.remove(made.key.id)
    await elsewhere._note_use(made.key.id)
    elsewhere._used.clear()
    await elsewhere._note_use(made.key.id)

    assert not await redis_client.exists(API_KEYS, USED)


def test_admin_may_do_all_and_every_key_may_read_occupancy() -> None:
    allowed = {
        str(mine): [str(scope) for scope in Scope if make_key("x", [mine], now=NOON).key.allows(scope)]
        for mine in Scope
    }

    assert allowed == {
        "occupancy:read": ["occupancy:read"],
        "positions:read": ["occupancy:read", "positions:read"],
        "positions:exact": ["occupancy:read", "positions:read", "positions:exact"],
        "positions:write": ["occupancy:read", "positions:write"],
        "admin": ["occupancy:read", "positions:read", "positions:exact", "positions:write", "admin"],
    }


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff", b"null", b'{"id":"0"}'])
async def test_what_nobody_of_ours_wrote_lets_nobody_in(keys: Keys, redis_client: Redis, stored: bytes) -> None:
    made = make_key("x", [Scope.ADMIN], now=NOON)
    await redis_client.hset(API_KEYS, made.key.id, stored)

    assert await keys.verify(made.text) is None
    assert await keys.all() == []


async def test_a_key_under_the_id_of_another_lets_nobody_in(keys: Keys, redis_client: Redis) -> None:
    made = await added(keys)
    value = await redis_client.hget(API_KEYS, made.key.id)
    await redis_client.hset(API_KEYS, "0" * 16, value)

    assert await keys.verify(f"ck_{'0' * 16}_{made.text.split('_', 2)[2]}") is None


@pytest.mark.parametrize("name", ["", " a", "a\n", "a" * 129, "\x1b[31m", "\u202eadmin", "\ud800"])
def test_a_name_that_could_speak_to_a_terminal_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name"):
        make_key(name, [Scope.ADMIN], now=NOON)


def test_a_key_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="scope"):
        make_key("x", [], now=NOON)


@given(text=st.text(max_size=100))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_makes_it_fail(keys: Keys, text: str) -> None:
    assert await keys.verify(text) is None


async def test_without_redis_a_key_is_neither_right_nor_wrong() -> None:
    made = make_key("x", [Scope.ADMIN], now=NOON)
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        with pytest.raises(UnavailableError):
            await Keys(away, clock=lambda: NOON).verify(made.text)


async def commands(redis: Redis, name: str) -> int:
    return (await calls(redis))[name]


# The command.

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(redis_server: str, redis_client: Redis) -> Run:
    assert redis_client

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api", "keys", *arguments],
            env={**os.environ, "REDIS_URL": redis_server, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return command


async def test_a_key_has_the_user_that_it_was_made_for(run: Run, keys: Keys) -> None:
    made = run("add", "--scope", "positions:read", "--user", "ann")
    key = await keys.verify(made.stdout.strip())

    assert key is not None
    assert key.user == "ann"
    [row] = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert row["user"] == "ann"
    refused = run("add", "--scope", "positions:read", "--user", "ann|admin")
    assert refused.returncode == 2
    assert "'ann|admin' is no name of a user" in refused.stderr


async def test_a_key_without_a_user_is_stored_as_it_was_before_there_were_any(keys: Keys, redis_client: Redis) -> None:
    made = await added(keys)
    (stored,) = await redis_client.hvals(API_KEYS)
    assert json.loads(stored).keys() == {"id", "name", "scopes", "hash", "created_at"}
    assert made.key.user == ""


@pytest.mark.parametrize("purpose", [" a", "a\n", "a" * 201, "\x1b[31m", "\u202eparking", "\ud800"])
def test_a_purpose_that_could_speak_to_a_terminal_is_refused(purpose: str) -> None:
    with pytest.raises(ValueError, match="purpose"):
        make_key("x", [Scope.ADMIN], now=NOON, purpose=purpose)


async def test_a_key_says_what_positions_are_read_for(run: Run, keys: Keys) -> None:
    made = run("add", "--scope", "positions:exact", "--purpose", "a study of queues", PRIVACY="protected")
    key = await keys.verify(made.stdout.strip())

    assert key is not None
    assert key.purpose == "a study of queues"
    [row] = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert row["purpose"] == "a study of queues"


@pytest.mark.parametrize("scope", ["positions:read", "positions:exact"])
async def test_unless_all_is_open_no_key_for_positions_is_made_without_a_purpose(
    run: Run, keys: Keys, tmp_path: Path, scope: str
) -> None:
    file = tmp_path / "api-key"
    file.write_text(f"ck_{'0123456789abcdef'}_{'x' * 43}\n")
    for arguments in (("add",), ("import", str(file))):
        refused = run(*arguments, "--scope", scope, PRIVACY="protected")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr == (
            f"{scope} needs --purpose, since PRIVACY is protected: say what positions are read for, in a few words.\n"
        )
    assert await keys.all() == []
    assert run("add", "--scope", "admin", "--scope", "positions:write", PRIVACY="protected").returncode == 0
    assert run("import", str(file), "--scope", scope, PRIVACY="open").returncode == 0


def test_a_user_that_no_rule_could_name_is_refused() -> None:
    with pytest.raises(ValueError, match="is no name of a user"):
        make_key("x", [Scope.ADMIN], now=NOON, user="two words")


async def test_keys_are_added_listed_and_removed_by_command(run: Run, keys: Keys) -> None:
    made = run("add", "--scope", "positions:read", "--scope", "positions:write", "--name", "parking [red]app")
    text = made.stdout.strip()
    key = await keys.verify(text)

    assert (made.returncode, key is not None) == (0, True)
    assert key is not None
    assert (key.name, key.scopes) == ("parking [red]app", (Scope.POSITIONS_READ, Scope.POSITIONS_WRITE))
    assert text not in made.stderr
    [row] = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert row["id"] == key.id
    assert row["scopes"] == ["positions:read", "positions:write"]
    assert row["last_used_at"] == "2026-03-01T12:00:00Z"
    table = run("list").stdout
    assert "parking [red]app" in table
    assert key.hash not in table
    assert text not in table
    removed = run("remove", key.id, "0" * 16)
    assert (removed.returncode, removed.stdout) == (1, "1 removed\n")
    assert "no such key: 0000000000000000" in removed.stderr
    assert await keys.all() == []


async def test_a_key_that_a_deployment_has_made_is_let_in_as_often_as_it_is_imported(
    run: Run, keys: Keys, tmp_path: Path
) -> None:
    file = tmp_path / "api-key"
    text = f"ck_{'0123456789abcdef'}_{'x' * 43}"
    file.write_text(f"{text}\n")
    first, again = (run("import", str(file), "--scope", "admin", "--name", "first admin") for _ in range(2))

    assert (first.stdout, again.stdout) == ("0123456789abcdef is added\n", "0123456789abcdef is known already\n")
    key = await keys.verify(text)
    assert key is not None
    assert (key.name, key.scopes) == ("first admin", (Scope.ADMIN,))
    assert text not in first.stdout + first.stderr


def test_a_file_that_holds_no_key_is_refused_without_showing_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("ck_0123_hunter2")
    refused = run("import", str(tmp_path / "short"), "--scope", "admin")
    assert refused.returncode == 2
    assert "a key is ck_" in refused.stderr
    assert "hunter2" not in refused.stderr
    assert run("import", str(tmp_path / "absent"), "--scope", "admin").returncode == 2


def test_the_command_says_what_is_wrong(run: Run) -> None:
    assert "--scope" in run("add").stderr
    assert "positions:read" in run("add", "--scope", "everything").stderr
    away = run("list", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert away.returncode == 1
    assert "REDIS_URL" in away.stderr
    assert "Traceback" not in away.stderr


async def test_a_key_is_right_also_while_redis_takes_no_writes(
    keys: Keys, redis_client: Redis, clock: HandClock
) -> None:
    made = await added(keys)
    await redis_client.config_set("maxmemory", 1)
    try:
        assert await keys.verify(made.text) == made.key
    finally:
        await redis_client.config_set("maxmemory", 0)
    clock.now += CACHE_MS
    assert await keys.verify(made.text) == made.key
    # What could not be noted is noted now.
    assert await keys.all() == [(made.key, clock.now)]
