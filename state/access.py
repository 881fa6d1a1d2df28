"""What each module of `state/` needs of Redis: which keys, and which commands on them. Rights follow from that.

Each module says so in its `ACCESS`, by what its caller is to do with what it is about (`Right`). Which service and
command has which right of which module is in `deploy/access/users.py`, which makes users of Redis of it. Tests hold
each ACCESS to the commands and scripts of its module (docs/decisions/0052-rights-follow-from-state.md).

Several `Access` to a right are several pairs of keys and commands: from Redis 7.0 on none of the commands of one may be
used on the keys of another (selectors). Redis 6.2 has one list of keys and one of commands for a user: there all of
them are joined.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple


class Right(Enum):
    """What somebody is to do with what a module is about."""

    READ = "read"
    TELL = "tell"
    """Add what has happened, and change or read nothing of what was told before."""
    WRITE = "write"
    ERASE = "erase"
    """Find and forget what there is of one device."""


class Access(NamedTuple):
    """Some keys, and what may be done with them."""

    keys: tuple[str, ...]
    """As in `state.key_types.TYPES`: a key, or how it begins where that ends in a colon; `{p}` is any partition."""
    commands: tuple[str, ...]
    """Of Redis, in capitals; a subcommand after `|`. `EVAL` is for scripts that name these keys, and no other command:
    what a script does with them is asked for as if its caller did it."""


Accesses = Mapping[Right, Sequence[Access]]
"""What a module's ACCESS is."""

CONNECTION = (
    *("HELLO", "SELECT", "PING", "CLIENT|SETINFO", "MULTI", "EXEC", "DISCARD"),
    *("SCRIPT|LOAD", "SCRIPT|EXISTS", "CLUSTER|SLOTS", "ASKING"),
)
"""What each connection of `state.client` may need, whatever it is for."""


def access(keys: str, commands: str) -> Access:
    """Of keys and commands with spaces between them; keys may be none, for commands of a server."""
    return Access(tuple(keys.split()), tuple(commands.split()))


PARTITION = "{[0-9]*}"
"""The tag of any partition, as Redis matches keys."""


def pattern(key: str) -> str:
    """How Redis names keys of a kind in its rights."""
    return key.replace("{p}", PARTITION) + ("*" if key.endswith(":") else "")


def guards(keys: Sequence[str]) -> list[str]:
    """The guards (`state.slots.guard`) of scripts that name these keys."""
    tags = [key[key.index("{") : key.index("}") + 1] for key in keys]
    return [f"never:{tag}" for tag in dict.fromkeys(tags)]
