"""What cannot be read from Redis: a dead letter says so, once, for whoever meets it removes it."""

import structlog

from core.clock import system_clock
from core.errors import Reason
from core.messages import DeadLetter
from state.access import Access, access
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, MQTT, guard
from state.totals import DEAD_TOTAL, dead_key, totals_key

LETTERS_MAX = 1000
"""Dead letters that are kept beside such a one; as many as DEAD_LETTERS_MAX is unless somebody has set it."""

_SCRIPT = lua("totals", "unreadable")
_log = structlog.stdlib.get_logger("redis")


def unreadable(keys: str, removal: str) -> list[Access]:
    """What whoever removes what cannot be read from these keys, by this command, may do; for a module's ACCESS."""
    own = MQTT if MQTT in keys else CAMPUS
    return [
        access(f"{keys} dead:{own} totals:{own}", "EVAL"),
        access(keys, removal),
        access(f"dead:{own}", "XADD"),
        access(f"totals:{own}", "HLEN HINCRBY HSET"),
    ]


async def remove_unreadable(client: Redis, where: str, command: str, key: str, *rest: str | bytes) -> None:
    """Remove it by a command that answers how many were removed, and leave a dead letter, in one script.

    `where` names the kind of key; nothing of what is there is kept, for nobody knows what it is. Of several who meet it
    one leaves a letter, in the slot of the key. Raises UnavailableError.
    """
    await _dead_letter(client, where, MQTT if MQTT in key else CAMPUS, [key], [command, *rest])


async def dead_letter_for_unreadable(client: Redis, where: str, hash_tag: str) -> None:
    """Leave a dead letter for something that goes anyhow. Raises UnavailableError."""
    await _dead_letter(client, where, hash_tag, [], [])


async def _dead_letter(client: Redis, where: str, hash_tag: str, keys: list[str], removal: list[str | bytes]) -> None:
    detail = f"what is in {where} cannot be read: no service of this version wrote it"
    letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", system_clock(), payload=None)
    fields = [text for pair in letter.encode().items() for text in pair]
    done = await client.register_script(_SCRIPT)(
        keys=[guard(hash_tag), dead_key(hash_tag), totals_key(hash_tag), *keys],
        args=[LETTERS_MAX, f"{DEAD_TOTAL}{letter.reason}", len(fields), *fields, *removal],
    )
    if done:
        _log.error("something that cannot be read is removed", where=where)
