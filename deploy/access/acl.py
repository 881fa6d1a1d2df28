"""The users of Redis with their passwords, as its `aclfile` has them. The standard library alone.

What each may do is in `rules/`, a file for each Redis whose users differ: `python -m deploy.access` writes them.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

RULES = Path(__file__).resolve().parent / "rules"
DEFAULT_VERSION = "7.2"
"""Redis 7.2 and later, and Valkey."""
KEYS_USERS = ("broker", "decoder", "api", "dead-letters", "migrate")
"""Of the Redis of keys: who uses keys, and who may do everything by hand. No backup, no replica."""
_USER = re.compile(r"user (\S+) on (PASSWORD|nopass) (.*)")


def versions() -> list[str]:
    """Those of Redis whose users differ, the oldest first."""
    return sorted((path.stem for path in RULES.glob("*.acl")), key=_numbers)


def version_for(redis: str) -> str:
    """The newest of `versions` that a Redis of this version understands. Raises ValueError for one that is too old."""
    found = re.match(r"(\d+)\.(\d+)", redis if "." in redis else f"{redis}.0")
    known = [each for each in versions() if found and _numbers(each) <= (int(found[1]), int(found[2]))]
    if not known:
        raise ValueError(f"{redis!r} is no version of Redis from {versions()[0]} on, such as {DEFAULT_VERSION}")
    return known[-1]


def users() -> list[str]:
    """The users that have a password."""
    return [name for name, password, _ in _users(DEFAULT_VERSION) if password == "PASSWORD"]  # noqa: S105 - a mark


def acl(passwords: Mapping[str, str], *, version: str = DEFAULT_VERSION) -> str:
    """The lines of `aclfile` for these passwords, by user; users without one are left out.

    Redis loads its append-only file with the rights of `default`: without them, what is in it would be lost. Nobody can
    log in as that.
    """
    lines = [(RULES / f"{version}.acl").read_text().partition("\n")[0]]
    for name, password, rules in _users(version):
        if password == "nopass":  # noqa: S105 - a word of Redis
            lines.append(f"user {name} on nopass {rules}")
        elif name in passwords:
            lines.append(f"user {name} on #{hashlib.sha256(passwords[name].encode()).hexdigest()} {rules}")
    return "".join(f"{line}\n" for line in lines)


def _users(version: str) -> list[tuple[str, str, str]]:
    found = map(_USER.fullmatch, (RULES / f"{version}.acl").read_text().splitlines())
    return [(each[1], each[2], each[3]) for each in found if each]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
