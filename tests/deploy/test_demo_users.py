import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from core.kinds import DEFAULT_KINDS
from deploy.laptop.demo_users import demo_users
from deploy.laptop.settings import LaptopSettings
from runtime.demo_users import kept_demo_users

DEMO_USERS = "demo-users.csv"
USERS = "users:{mqtt}"
VERSION = "users:version:{mqtt}"

Start = Callable[[], list[str]]


@pytest.fixture
def start(laptop: LaptopSettings, environment: dict[str, str], tmp_path: Path) -> Start:
    """What a start says of the demo users."""
    return lambda: demo_users(laptop, DEFAULT_KINDS, folder=tmp_path, environment=environment, show=True)


def in_redis(client: redis.Redis) -> dict[bytes, bytes]:
    return client.hgetall(USERS)  # type: ignore[return-value]


def test_the_first_start_makes_a_user_for_each_role_and_prints_them(
    client: redis.Redis, start: Start, tmp_path: Path
) -> None:
    head, *lines = start()
    users = kept_demo_users(tmp_path)
    assert {user.name: user.role for user in users} == {
        "demo-car": "car",
        "demo-mobile": "mobile",
        "demo-gateway": "gateway",
        "demo-service": "service",
        "demo-app": "app",
    }
    assert str(tmp_path / DEMO_USERS) in head
    assert [line.split() for line in lines] == [[user.name, user.password] for user in users]
    assert len({user.password for user in users}) == 5
    assert stat.S_IMODE((tmp_path / DEMO_USERS).stat().st_mode) == 0o600
    assert {name.decode() for name in in_redis(client)} == {user.name for user in users}
    assert not any(user.password.encode() in value for user in users for value in in_redis(client).values())


def test_where_nobody_sits_at_a_terminal_no_password_is_printed(
    laptop: LaptopSettings, environment: dict[str, str], tmp_path: Path
) -> None:
    (line,) = demo_users(laptop, DEFAULT_KINDS, folder=tmp_path, environment=environment, show=False)
    users = kept_demo_users(tmp_path)
    assert len(users) == 5
    assert str(tmp_path / DEMO_USERS) in line
    assert not [user for user in users if user.password in line]


def test_the_file_is_one_that_the_import_command_reads(
    client: redis.Redis, start: Start, tmp_path: Path, redis_server: str
) -> None:
    start()
    version = client.get(VERSION)
    assert version is not None
    done = subprocess.run(
        [sys.executable, "-m", "broker", "users", "import", str(tmp_path / DEMO_USERS)],
        env={**os.environ, "REDIS_URL": redis_server},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "0 added, 0 replaced, 5 unchanged\n", done.stderr
    assert client.get(VERSION) == version, "nothing has changed"


def test_later_starts_change_nothing_and_print_no_password(client: redis.Redis, start: Start, tmp_path: Path) -> None:
    start()
    before = in_redis(client), (tmp_path / DEMO_USERS).read_text()
    client.hdel(USERS, "demo-service")
    (line,) = start()
    assert str(tmp_path / DEMO_USERS) in line
    assert not any(user.password in line for user in kept_demo_users(tmp_path))
    # Who was removed stays out.
    assert in_redis(client).keys() == before[0].keys() - {b"demo-service"}
    assert (tmp_path / DEMO_USERS).read_text() == before[1]


@pytest.mark.parametrize("lost", ["file", "redis"])
def test_where_the_file_or_redis_is_new_it_is_a_first_start(
    client: redis.Redis, start: Start, tmp_path: Path, lost: str
) -> None:
    start()
    before = kept_demo_users(tmp_path)
    if lost == "file":
        (tmp_path / DEMO_USERS).unlink()
    else:
        client.flushall()
    assert len(start()) == 6
    assert len(in_redis(client)) == 5
    assert not {user.password for user in before} & {user.password for user in kept_demo_users(tmp_path)}


def test_other_users_of_that_redis_stay(client: redis.Redis, start: Start) -> None:
    client.hset(USERS, "car-7", "x")
    start()
    assert in_redis(client)[b"car-7"] == b"x"


def test_where_they_cannot_be_made_it_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    environment = {**os.environ, "REDIS_URL": f"unix://{tmp_path}/none.sock"}
    settings = LaptopSettings(data_dir=tmp_path)
    (line,) = demo_users(settings, DEFAULT_KINDS, folder=tmp_path, environment=environment, show=True)
    assert line.startswith("the demo users could not be made: Redis does not answer")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_has_broken_holds_no_users(tmp_path: Path) -> None:
    assert kept_demo_users(tmp_path) == []
    for broken in (b"\xff\xfe", b'"', b"a,b\n", b""):
        (tmp_path / DEMO_USERS).write_bytes(broken)
        assert kept_demo_users(tmp_path) == []
