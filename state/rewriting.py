"""Having Redis write its append-only files anew for somebody who has erased something, and knowing that it has.

    rewriting:{campus}  hash  `asked` how often that was asked for, `done` up to which of these it is done, `refused` up
                              to which it cannot be done, for nobody of ours may have it done

Whoever erases asks and waits; a decoder does it (`decoder.housekeeping`), which may. Law 4, no trace.
"""

from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from core.errors import UnavailableError
from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {
    Right.TELL: [access("rewriting:{campus}", "HINCRBY HMGET")],
    Right.WRITE: [access("rewriting:{campus}", "HMGET HSET")],
}
REWRITING = f"rewriting:{CAMPUS}"
_ASKED, _DONE, _REFUSED = "asked", "done", "refused"


class Rewritings(NamedTuple):
    """Numbers of those that were asked for; 0 is none."""

    asked: int
    done: int
    refused: int

    @property
    def answered(self) -> int:
        """Up to which nothing is to be done any more."""
        return max(self.done, self.refused)


async def ask_for_rewriting(client: Redis) -> int:
    """Want the files without what was deleted until now; the number of this wish. Raises UnavailableError."""
    try:
        return int(await cast("Any", client.hincrby(REWRITING, _ASKED, 1)))
    except ResponseError as error:
        raise UnavailableError(f"{REWRITING} of Redis holds something else than a number: delete that key") from error


async def rewritings(client: Redis) -> Rewritings:
    """How far it is. Raises UnavailableError."""
    found = await cast("Any", client.hmget(REWRITING, [_ASKED, _DONE, _REFUSED]))
    return Rewritings(*(int(each) if each and each.isdigit() else 0 for each in found))


async def note_rewriting(client: Redis, number: int, *, refused: bool = False) -> None:
    """Note that all wishes up to this one are fulfilled, or never will be. Raises UnavailableError."""
    await cast("Any", client.hset(REWRITING, _REFUSED if refused else _DONE, str(number)))
