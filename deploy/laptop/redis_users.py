"""The users of the Redis of a laptop run: made at each start, with passwords in DATA_DIR that stay."""

import hashlib
import re
import secrets
import subprocess
from pathlib import Path

from core.errors import BadSettingsError
from deploy.access.acl import KEYS_USERS, acl, users, version_for
from deploy.laptop.redis_server import KEYS_FOLDER, REDIS_FOLDER, users_file
from runtime.settings import REDIS_PASSWORDS

OWNER = "owner"
"""Whoever owns DATA_DIR may do everything: `redis-cli -s DATA_DIR/redis.sock --user owner --askpass`."""
_ELSEWHERE = {"replica", "cluster", "sentinel", "keda"}
"""Users that a Redis behind a socket has no use for."""


def make_users(executable: str, folder: Path, redis: str = REDIS_FOLDER) -> None:
    """Write the users of a Redis of `folder`, which is DATA_DIR, for the program `executable`.

    Of that of keys they are the few that use keys, with the same passwords. Raises BadSettingsError where that cannot
    be done.
    """
    try:
        version = version_for(_version(executable))
        names = KEYS_USERS if redis == KEYS_FOLDER else [name for name in users() if name not in _ELSEWHERE]
        passwords = {name: _password(folder / REDIS_PASSWORDS, name) for name in names}
        owner = hashlib.sha256(_password(folder / REDIS_PASSWORDS, OWNER).encode()).hexdigest()
        lines = acl(passwords, version=version) + f"user {OWNER} on #{owner} ~* &* +@all\n"
        users_file(folder, redis).parent.mkdir(mode=0o700, exist_ok=True)
        _write(users_file(folder, redis), lines)
    except (OSError, ValueError) as error:
        raise BadSettingsError(f"DATA_DIR: the users of Redis cannot be made in {folder}: {error}") from error


def _version(executable: str) -> str:
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - the Redis of the run itself
    found = re.search(r"\bv=(\d+\.\d+)", told)
    if found is None:
        raise ValueError(f"{executable} does not tell its version")
    return found[1]


def _password(folder: Path, name: str) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists() or not path.read_text().strip():
        _write(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
