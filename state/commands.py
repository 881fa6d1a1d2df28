"""Where the first key of a command stands: Redis Cluster is told by it whom to ask."""

from functools import lru_cache
from typing import Any

from redis.crc import key_slot
from redis.exceptions import DataError

_AFTER_STREAMS = frozenset({"XREAD", "XREADGROUP"})
_COUNTED = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
_SUBCOMMANDS = frozenset({"XGROUP", "XINFO", "OBJECT", "MEMORY"})
_OF_A_SERVER = frozenset(
    {"ACL", "BGREWRITEAOF", "BGSAVE", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "DEBUG", "FAILOVER", "INFO"}
    | {"KEYS", "LASTSAVE", "LATENCY", "MODULE", "MONITOR", "RANDOMKEY", "ROLE", "SAVE", "SCAN", "SHUTDOWN", "SLOWLOG"}
    | {"SWAPDB", "WAIT", "WAITAOF", "WATCH"}
)
ANY = frozenset({"PING", "TIME", "ECHO"})
"""What any master may be asked."""
ALL = frozenset({"SCRIPT", "FLUSHALL", "FLUSHDB"})
"""What is sent to all masters; the answer is that of the first."""


def name_of(args: tuple[Any, ...]) -> str:
    """The name of a command, without its subcommand."""
    word = args[0]
    text = word.decode() if isinstance(word, bytes) else str(word)
    return text.partition(" ")[0].upper()


def slot_of_command(args: tuple[Any, ...]) -> int | None:
    """The slot of a command's first key; None for those of `ANY` and `ALL`.

    Raises DataError for a command that is one server's, or has no key.
    """
    name = name_of(args)
    if name in ANY or name in ALL:
        return None
    if name in _OF_A_SERVER:
        raise DataError(f"{name} asks one server of a Redis Cluster: say which (state.server.masters)")
    try:
        key = args[_index_of_key(name, args)]
    except (IndexError, ValueError):
        raise DataError(f"{name} names no key, and so no server of a Redis Cluster") from None
    return slot_of(key)


def tag_of_command(args: tuple[Any, ...]) -> bytes:
    """The hash tag of a command's first key, with its braces; empty for a command without a key."""
    try:
        key = args[_index_of_key(name_of(args), args)]
    except (IndexError, ValueError):
        return b""
    return b"{" + _tag(key) + b"}"


def slot_of(key: Any) -> int:  # noqa: ANN401 - what redis-py takes for a key: str, bytes, a number
    """The slot of a key."""
    return _crc(_tag(key))


def _tag(key: Any) -> bytes:  # noqa: ANN401 - what redis-py takes for a key
    raw = key if isinstance(key, bytes) else str(key).encode(errors="surrogatepass")
    start = raw.find(b"{")
    end = raw.find(b"}", start + 1)
    return raw[start + 1 : end] if 0 <= start < end - 1 else raw


def _index_of_key(name: str, args: tuple[Any, ...]) -> int:
    if name in _COUNTED:
        if int(args[2]) < 1:
            raise IndexError
        return 3
    if name in _AFTER_STREAMS:
        words = [str(word).upper() if not isinstance(word, bytes) else word.decode("latin-1").upper() for word in args]
        return words.index("STREAMS") + 1
    if name in _SUBCOMMANDS and str(args[0]).upper() == name:
        return 2  # the subcommand is a word of its own
    return 1


@lru_cache(maxsize=4096)
def _crc(tag: bytes) -> int:
    return int(key_slot(tag))
