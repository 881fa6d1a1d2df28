"""What cannot be read from Redis: a dead letter says so, once, for whoever meets it removes it."""

import structlog

from core.clock import system_clock
from core.errors import Reason
from core.messages import DeadLetter
from state import streams
from state.client import Redis, redis_errors

LETTERS_MAX = 1000
"""Dead letters that are kept beside such a one; as many as DEAD_LETTERS_MAX is unless somebody has set it."""

_log = structlog.stdlib.get_logger("redis")


def letter_for_unreadable(where: str) -> list[tuple[str | bytes | int, ...]]:
    """The commands that bury and count it; they go together with one that removes it.

    `where` names the kind of key; nothing of what is there is kept, for nobody knows what it is.
    """
    detail = f"what is in {where} cannot be read: no service of this version wrote it"
    letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", system_clock(), payload=None)
    fields = [text for pair in letter.encode().items() for text in pair]
    _log.error("something that cannot be read is removed", where=where)
    return [
        ("XADD", streams.DEAD, "MAXLEN", "~", LETTERS_MAX, "*", *fields),
        ("HINCRBY", streams.TOTALS, f"{streams.DEAD_TOTAL}{letter.reason}", 1),
    ]


async def bury_unreadable(client: Redis, where: str, *removal: str | bytes | int) -> None:
    """Remove it by the command `removal`, and put a dead letter in its place, together. Raises Unavailable."""
    async with client.pipeline(transaction=True) as pipeline:
        for command in [*([removal] if removal else []), *letter_for_unreadable(where)]:
            pipeline.execute_command(*command)
        with redis_errors():
            await pipeline.execute()
