"""What Redis's error codes mean: one table, and the way to the code wherever Redis or redis-py hides it."""

import re
from enum import Enum

from redis.exceptions import (
    ConnectionError,  # noqa: A004
    InvalidResponse,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from core.closed_connection import was_closed
from core.errors import UnavailableError


class Then(Enum):
    """What to do about an error code."""

    WAIT = "wait"
    """Not now: the same command may be taken later, by the same server."""
    FAIL_OVER = "fail over"
    """Not here: as WAIT, but over new connections, for another server is the primary now."""
    DEFECT = "defect"
    """Never: the command is wrong, or what it was to work on. Whoever expects it says so; else it is a mistake."""


CODES = {
    # The whole server.
    "LOADING": Then.WAIT,  # it has just been started, and reads its file
    "BUSY": Then.WAIT,  # somebody's script takes more than five seconds
    "UNKILLABLE": Then.WAIT,  # the same, and the script has written already
    "OOM": Then.WAIT,  # maxmemory is reached
    "MISCONF": Then.WAIT,  # it cannot write to its disk
    "NOREPLICAS": Then.WAIT,  # fewer replicas than min-replicas-to-write
    "INPROG": Then.WAIT,  # a failover is under way
    "TRYAGAIN": Then.WAIT,  # keys are on their way to another node
    "CLUSTERDOWN": Then.WAIT,
    "IOERR": Then.WAIT,  # keys could not be moved
    "EXECABORT": Then.WAIT,  # of a transaction nothing was done; the cause has an error of its own
    "NOSCRIPT": Then.WAIT,  # scripts were forgotten; the next attempt brings them
    # Another server is the one to ask.
    "READONLY": Then.FAIL_OVER,  # this one is a replica now
    "MASTERDOWN": Then.FAIL_OVER,  # it is a replica without its primary
    "UNBLOCKED": Then.FAIL_OVER,  # a blocking read ended, for the server became a replica
    "REDIRECT": Then.FAIL_OVER,  # Valkey 8 names the new primary
    "NOMASTERLINK": Then.FAIL_OVER,
    # Its settings are to be changed; when they are, it goes on by itself.
    "NOAUTH": Then.FAIL_OVER,  # a connection from before the password was set
    "WRONGPASS": Then.WAIT,
    "NOPERM": Then.WAIT,  # the user of REDIS_URL may not do this
    "DENIED": Then.WAIT,  # protected mode
    # Of a Redis Cluster; `state.cluster` follows them, and they are met where that takes too long.
    "MOVED": Then.WAIT,
    "ASK": Then.WAIT,
    # What is asked for is wrong. Who knows better handles it.
    "ERR": Then.DEFECT,
    "WRONGTYPE": Then.DEFECT,
    "NOGROUP": Then.DEFECT,  # state/group.py makes the group again
    "CROSSSLOT": Then.DEFECT,  # keys of several slots in one command or script
    "BUSYGROUP": Then.DEFECT,
    "BUSYKEY": Then.DEFECT,
    "NOTBUSY": Then.DEFECT,
    "NOPROTO": Then.DEFECT,
}
"""By code; one that is not here is a defect."""
_NOT_NOW = ("max number of clients", "Server closed the connection")
"""How errors begin that have no code but ERR, and mean WAIT all the same."""

# redis-py puts the command before the server's words: safe to look for from the end, for the words come last.
_IN_A_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: (?:\(['\"])?(.*)", re.DOTALL)
_IN_AN_EXEC = re.compile(r"Transaction discarded because of: ([A-Z][A-Z0-9_]*) ")
# Redis 6.2 alone; 7 puts the code first, as everywhere.
_IN_A_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z][A-Z0-9_]*) ")
# What a script calls that its user may not: 6.2 and 7.0 first, 7.2 and later after it.
_NOT_PERMITTED = re.compile(
    r"(?:^|@user_script: ?\d+: )(?:The user executing the script can't|ACL failure in script)", re.MULTILINE
)
# On a server that was the primary a moment ago.
_OF_A_REPLICA = re.compile(r"(?:ERR )?WAIT(?:AOF)? cannot be used with replica instances")
_CODE = re.compile(r"([A-Z][A-Z0-9_]*)(?: |$)")


class RedisUnavailableError(UnavailableError):
    """Redis does not answer, or says "not now"."""

    def __init__(self, message: str, *, code: str | None) -> None:
        """`code` is that of Redis's error; None where nothing came from it."""
        super().__init__(message)
        self.code = code


def code_of(error: Exception) -> str | None:
    """The code of an error that Redis has sent, that of its cause where it names one; None where it has sent none."""
    if isinstance(error, ConnectionError) and error.args and isinstance(error.args[0], RedisError):
        # What Redis said when the connection was made.
        error = error.args[0]
    if not isinstance(error, RedisError):
        return None
    text = str(error)
    if found := _IN_A_PIPELINE.match(text):
        text = found[1]
    code = error.status_code
    if code is None and isinstance(error, ResponseError) and (found := _CODE.match(text)):
        code = found[1]
    if code == "ERR" and _NOT_PERMITTED.search(text):
        code = "NOPERM"
    if _OF_A_REPLICA.match(text):
        code = "READONLY"
    hidden = {"EXECABORT": _IN_AN_EXEC, "ERR": _IN_A_SCRIPT}.get(code or "")
    if hidden and (found := hidden.search(text)):
        code = found[1]
    return code


def then(error: Exception) -> Then:
    """What to do about an error of a call of Redis."""
    code = code_of(error)
    if code is not None and not (code == "ERR" and _says_not_now(str(error))):
        meant = CODES.get(code, Then.DEFECT)
        return Then.WAIT if meant is Then.DEFECT and isinstance(error, ConnectionError) else meant
    if isinstance(error, ConnectionError | TimeoutError | InvalidResponse | ResponseError | OSError):
        # A reply that is none, or too few of them: redis-py has closed the connection, and the next one begins anew.
        return Then.WAIT
    return Then.WAIT if was_closed(error) else Then.DEFECT


def unavailable(error: Exception) -> RedisUnavailableError | None:
    """What to raise in its place; None where it is a defect."""
    if then(error) is Then.DEFECT:
        return None
    code = code_of(error)
    if code is None or code == "LOADING":
        return RedisUnavailableError(f"Redis does not answer: {error}", code=code)
    return RedisUnavailableError(f"Redis takes nothing at present ({code}): {error}", code=code)


def _says_not_now(text: str) -> bool:
    found = _IN_A_PIPELINE.match(text)
    return (found[1] if found else text).removeprefix("ERR ").startswith(_NOT_NOW)
