"""What cannot be read from Redis: a dead letter says so, once, for whoever removes it writes it."""

from typing import Any, cast

import structlog

from core.clock import system_clock
from core.errors import Reason
from core.messages import DeadLetter
from state.client import Redis
from state.slots import CAMPUS
from state.totals import DEAD_TOTAL, dead_key, totals_key

LETTERS_MAX = 1000
"""Dead letters that are kept beside such a one; as many as DEAD_LETTERS_MAX is unless somebody has set it."""

_log = structlog.stdlib.get_logger("redis")


async def bury_unreadable(client: Redis, where: str, *removal: str | bytes | int) -> None:
    """Remove it by the command `removal`, if there is one, and leave a dead letter. Raises Unavailable.

    `where` names the kind of key; nothing of what is there is kept, for nobody knows what it is. The two are not one
    transaction, for they lie in different slots: of several who meet it, the one who removes it writes the letter; one
    who dies in between has said so in its log, and leaves no letter.
    """
    if removal and not await cast("Any", client).execute_command(*removal):
        return
    _log.error("something that cannot be read is removed", where=where)
    detail = f"what is in {where} cannot be read: no service of this version wrote it"
    letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", system_clock(), payload=None)
    fields = [text for pair in letter.encode().items() for text in pair]
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("XADD", dead_key(CAMPUS), "MAXLEN", "~", LETTERS_MAX, "*", *fields)
        pipeline.hincrby(totals_key(CAMPUS), f"{DEAD_TOTAL}{letter.reason}", 1)
        await pipeline.execute()
