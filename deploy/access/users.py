"""Which service and command uses which modules of `state/`, and what its user of Redis may do therefore.

`python -m deploy.access` writes that down for each Redis, in files beside this one, since those who make passwords have
the standard library alone (`deploy.access.acl`).
"""

import importlib
from collections.abc import Iterable, Mapping

from state.access import CONNECTION, Access, Accesses, Right, access, guards, pattern
from state.key_types import mending
from state.layout import LAYOUT
from state.users import VERSION

READ, TELL, WRITE, ERASE = Right.READ, Right.TELL, Right.WRITE, Right.ERASE
VERSIONS = ("6.2", "7.0", "7.2")
"""Of Redis, as far as users differ; Redis 8 and Valkey are as 7.2."""
_UNKNOWN = {"6.2": {"WAITAOF"}, "7.0": {"WAITAOF", "CLIENT|SETINFO"}, "7.2": set[str]()}
"""Commands that a Redis does not have: a list of users that names one is refused. 6.2 looks at no subcommand."""

_API: Mapping[str, tuple[Right, ...]] = {
    "sealing": (READ, TELL),
    "raw": (TELL,),
    "confirmed": (WRITE,),
    "rate_limits": (WRITE,),
    "api_keys": (READ, TELL),
    "audit": (TELL,),
    "campus": (READ, WRITE),
    "mirror": (WRITE,),
    "newest_input": (READ, TELL),
    "backlog": (READ,),
    "marks": (READ,),
    "apps": (READ, WRITE),
    "faults": (READ, WRITE),
    "traces": (READ,),
    "passed": (READ,),
    "nodes": (READ,),
    "devices": (ERASE,),
    "seen": (ERASE,),
    "judging": (ERASE,),
    "lake": (ERASE,),
    "queued_positions": (ERASE,),
    "dead_letters": (READ, ERASE),
    "rewriting": (TELL,),
    "layout": (READ, WRITE),
    "server": (READ,),
    "durability": (READ,),
    "disk": (READ,),
    "sources": (READ,),
    "device_keys": (READ,),
}
USERS: Mapping[str, Mapping[str, tuple[Right, ...]]] = {
    "broker": {
        "mqtt": (WRITE,),
        "raw": (TELL,),
        "sealing": (TELL,),
        "confirmed": (WRITE,),
        "nodes": (READ, WRITE),
        "routes": (WRITE,),
        "sessions": (WRITE,),
        "retained": (WRITE,),
        "newest_input": (TELL,),
        "users": (READ,),
        "apps": (READ,),
        "layout": (READ, WRITE),
        "server": (READ,),
        "durability": (READ,),
        "disk": (READ,),
    },
    "decoder": {
        "effects": (WRITE,),
        "raw": (READ, WRITE),
        "sealing": (READ, TELL, WRITE),
        "raw_group": (WRITE,),
        "group": (WRITE,),
        "confirmed": (WRITE,),
        "windows": (READ,),
        "dirty_windows": (READ, WRITE),
        "coverage": (WRITE,),
        "tidying": (WRITE,),
        "judging": (TELL, WRITE),
        "marks": (READ,),
        "dead_letters": (READ, TELL),
        "refusals": (TELL,),
        "campus": (READ, WRITE),
        "newest_input": (READ,),
        "traces": (READ, WRITE),
        "publishing": (READ,),
        "window_stream": (TELL, READ),
        "export_gaps": (WRITE,),
        "lake": (WRITE,),
        "backlog": (READ,),
        "oldest": (READ,),
        "layout": (READ, WRITE),
        "server": (READ, WRITE),
        "rewriting": (WRITE,),
        "presence": (READ,),
        "presence_reader": (READ,),
        "released": (WRITE,),
        "durability": (READ,),
        "disk": (READ,),
        "sources": (TELL,),
        "device_keys": (WRITE,),
    },
    # Where counts are not told as they are, and where they are: the one may not read presence.
    "api": {"released": (READ,), **_API},
    "api-open": {"presence": (READ,), "presence_reader": (READ,), **_API},
    "autoscaler": {"backlog": (READ,)},
    "controller": {
        "apps": (READ, WRITE),
        "faults": (READ, WRITE),
        "users": (READ,),
        "api_keys": (READ,),
        "layout": (READ,),
    },
    "users-command": {"users": (READ, WRITE), "layout": (READ,)},
    "keys-command": {"api_keys": (READ, WRITE), "layout": (READ,)},
    "auditor": {"audit": (READ,), "layout": (READ,)},
    "dead-letters": {"dead_letters": (READ, WRITE), "sealing": (READ, TELL), "layout": (READ,)},
    "status": {
        "status": (READ,),
        "backlog": (READ,),
        "oldest": (READ,),
        "window_stream": (READ,),
        "dirty_windows": (READ,),
        "layout": (READ,),
    },
}
"""The rights of each, by module of `state/`; the most used come first, for Redis looks through them in this order."""

PLAIN: Mapping[str, str] = {
    # All keys, and what looks at servers: it renames, copies, restores and removes whatever there is, also by hand.
    "migrate": "~* &* +@all -@admin -@dangerous +info +bgrewriteaof +config|get +keys +restore +flushdb +cluster|slots"
    " +client|setinfo",
    # The health check asks without a password whether Redis is there, and no more.
    "health": "+ping",
    # prometheus-redis-exporter: figures of the server, no key and no value. SLOWLOG GET has arguments in it.
    "exporter": "+hello +ping +select +info +slowlog|len +latency|latest +client|setname +cluster|info",
    # KEDA measures how many entries wait.
    "keda": "~raw:{[0-9]*} +hello +ping +select +xlen +cluster|slots +cluster|info +cluster|nodes +readonly",
    # A copy of all that there is, by the protocol of a replica; and whether a backup is being restored there.
    "backup": f"~{LAYOUT} +hget +hello +ping +select +info +psync +sync +replconf +cluster|slots +client|setinfo",
    "replica": "+ping +psync +replconf",
    "cluster": "+ping +cluster +info",
    # Of the Sentinels that watch it: they ask, announce themselves, and promote.
    "sentinel": "&* +multi +exec +ping +info +role +publish +subscribe +replicaof +slaveof +config|rewrite"
    " +client|setname +client|kill +script|kill",
}
"""Users whose rights follow from no module of `state/`."""
WITHOUT_PASSWORD = "health"  # noqa: S105 - a name


MENDED: Mapping[str, tuple[str, ...]] = {"broker": (VERSION,)}
"""Keys that a user only reads, and sets aside where they have the wrong type: without them it can do nothing, and who
writes them runs once in a while. That one is a random number: without it nodes look at their users anew."""


def accesses(user: str) -> list[Access]:
    """What a user of `USERS` may do: of its modules, and to set aside what has the wrong type of what it writes."""
    found = [access("", " ".join(CONNECTION))]
    for module, rights in USERS[user].items():
        of_module: Accesses = importlib.import_module(f"state.{module}").ACCESS
        found += [each for right in rights for each in of_module[right]]
    written = dict.fromkeys(key for each in found if set(each.commands) - _READING for key in each.keys)
    # Nobody sets the audit log aside, whatever it is: who adds to it could give it another name.
    ours = [key for key in written if not key.startswith(("never:", "aside:", "audit:"))]
    ours += MENDED.get(user, ())
    return found + (mending(ours) if ours else [])


_READING = {
    *("EVAL", "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "HRANDFIELD", "HSCAN"),
    *("HSTRLEN", "HVALS", "MGET", "PTTL", "SCARD", "SMEMBERS", "SMISMEMBER", "SRANDMEMBER", "TYPE"),
    *("XINFO|CONSUMERS", "XINFO|GROUPS", "XINFO|STREAM", "XLEN", "XPENDING", "XRANGE", "XREAD", "XREVRANGE"),
    *("ZCARD", "ZCOUNT", "ZMSCORE", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE", "ZSCAN", "ZSCORE"),
}
"""Commands that change nothing. A script may be run on what it only reads."""


def rules(user: str, version: str) -> str:
    """The rights of a user, in the words of Redis's ACL, for one of VERSIONS."""
    if user in PLAIN:
        unknown = {f"+{each.lower()}" for each in _UNKNOWN[version]}
        return _joined(["-@all", *(word for word in PLAIN[user].split() if word not in unknown)])
    by_keys: dict[tuple[str, ...], dict[str, None]] = {}
    for each in accesses(user):
        by_keys.setdefault(_patterns(each), {}).update(dict.fromkeys(_words(each.commands, version)))
    if version == "6.2":
        patterns = dict.fromkeys(each for keys in by_keys for each in keys)
        commands = dict.fromkeys(each for found in by_keys.values() for each in found)
        return _joined(["-@all", *patterns, *commands])
    own = by_keys.pop((), {})
    selectors = [f"({_joined([*keys, *commands])})" for keys, commands in by_keys.items()]
    return _joined(["-@all", *own, *selectors])


def _patterns(each: Access) -> tuple[str, ...]:
    keys = [*each.keys, *(guards(each.keys) if "EVAL" in each.commands else [])]
    return tuple(f"~{pattern(key)}" for key in dict.fromkeys(keys))


def _words(commands: Iterable[str], version: str) -> list[str]:
    known = [each for each in commands if each not in _UNKNOWN[version]]
    return [f"+{word}" for each in known for word in (("eval", "evalsha") if each == "EVAL" else (each.lower(),))]


def _joined(words: Iterable[str]) -> str:
    return " ".join(words)


def template(version: str) -> str:
    """All users, a line each; `PASSWORD` stands where the hash of a password comes."""
    lines = ["user default off resetpass ~* &* +@all"]
    for user in (*USERS, *PLAIN):
        password = "nopass" if user == WITHOUT_PASSWORD else "PASSWORD"
        lines.append(f"user {user} on {password} resetkeys resetchannels {rules(user, version)}")
    return "".join(f"{line}\n" for line in lines)
