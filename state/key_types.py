"""What type each key has, and what becomes of one that has another: it is set aside, so that the rest goes on."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import redis.asyncio
import structlog
from redis.exceptions import MovedError, NoPermissionError

from core.clock import system_clock
from core.errors import Reason
from core.messages import DeadLetter
from state.access import Access, access
from state.lua import lua
from state.slots import CAMPUS, MQTT, guard
from state.totals import DEAD_TOTAL, dead_key, totals_key

TYPES = {
    "confirmed:{p}": "string",
    "confirmed:{mqtt}": "string",
    "raw:{p}": "stream",
    "progress:{p}": "hash",
    "positions:{p}": "stream",
    "presence:{p}:": "zset",
    "touched:{p}": "zset",
    "touched:{p}:": "string",
    "dead:{p}": "stream",
    "totals:{p}": "hash",
    "dead:{mqtt}": "stream",
    "totals:{mqtt}": "hash",
    "dead:{campus}": "stream",
    "totals:{campus}": "hash",
    "layout:{campus}": "hash",
    "restoring:{campus}": "hash",
    "campus:{campus}": "hash",
    "lake:{campus}": "string",
    "lake:{campus}:": "hash",
    "campus:{campus}:": "stream",
    "fence:{p}": "hash",
    "newest:{p}:": "string",
    "away:{p}:": "zset",
    "seen:{p}:": "hash",
    "life:{p}:": "string",
    "lives:{p}": "zset",
    "dirty:{p}": "zset",
    "claimed:{p}": "zset",
    "count:{p}:": "hash",
    "nodes:{mqtt}": "hash",
    "node:{mqtt}:": "hash",
    "inbox:{mqtt}:": "stream",
    "interest:{mqtt}:": "set",
    "clients:{mqtt}:": "hash",
    "will:{mqtt}:": "hash",
    "routes:{mqtt}": "hash",
    "routes:log:{mqtt}": "stream",
    "routes:version:{mqtt}": "string",
    "sessions:{mqtt}": "set",
    "sessions:bytes:{mqtt}": "hash",
    "owner:{mqtt}:": "set",
    "session:{mqtt}:": "hash",
    "subscriptions:{mqtt}:": "hash",
    "queue:{mqtt}:": "stream",
    "brief:{mqtt}:": "stream",
    "brief:{mqtt}": "zset",
    "released:{mqtt}:": "zset",
    "received:{mqtt}:": "set",
    "sessions:expiry:{mqtt}": "zset",
    "retained:{mqtt}": "hash",
    "states:{mqtt}": "zset",
    "states:gone:{mqtt}": "zset",
    "states:qos:{mqtt}": "hash",
    "states:version:{mqtt}": "string",
    "retained:anonymous:{mqtt}": "set",
    "retained:bytes:{mqtt}": "hash",
    "coverage:{campus}:": "string",
    "coverage:dirty:{campus}": "set",
    "judge:{campus}": "zset",
    "judging:{campus}": "zset",
    "marks:{campus}": "zset",
    "marks:{campus}:": "hash",
    "carried:{mqtt}": "string",
    "newest-input:{campus}": "zset",
    "users:{mqtt}": "hash",
    "users:version:{mqtt}": "string",
    "users:removed:{mqtt}": "set",
    "api-keys:{campus}": "hash",
    "audit:{campus}": "stream",
    "api-keys:used:{campus}": "hash",
    "mirror:{campus}": "string",
    "mirror:client:{campus}": "string",
    "mirror:topics:{campus}": "set",
    "spent:{campus}:": "string",
    "apps:{campus}": "hash",
    "apps:slots:{campus}": "hash",
    "apps:number:{campus}": "string",
    "apps:changes:{campus}": "stream",
    "apps:places:{campus}": "hash",
    "apps:seen:{campus}": "string",
    "apps:figures:{campus}": "hash",
    "apps:canary:{campus}": "hash",
    "faults:{campus}": "string",
    "traces:{campus}": "stream",
    "windows:{campus}": "stream",
    "gaps:{campus}": "set",
    "rewriting:{campus}": "hash",
    "raw-keys:{campus}": "hash",
    "released:{campus}": "hash",
    "released:{campus}:": "hash",
    "release:{campus}": "string",
    "device-keys:{campus}": "hash",
    "sources:{campus}": "zset",
}
"""By key, or by how a key begins where that ends in a colon, in Redis's own names; `{p}` is the tag of any partition.

What is in them is told by the module of each, in `state/`.
"""
ASIDE = "aside:"
"""How the names of keys begin that were set aside."""
_ASIDE = ASIDE.encode()
ASIDE_MS = 86_400_000
"""A day: long enough to look at it, and then nothing of it is left."""
_AT_ONCE = 1000
_LETTERS_MAX = 1000
"""Letters that are kept beside that of a key."""
_TAGGED = re.compile(r"([^{]*:)(\{[^}]*\})(:?)")

# KEYS: the key, its name aside. ARGV: its type, how long it is kept aside (ms). Answers 1 for whoever was the one.
_SET_ASIDE = """
local found = redis.call('TYPE', KEYS[1])['ok']
if found == 'none' or found == ARGV[1] then
    return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""

_log = structlog.stdlib.get_logger("redis")


def mending(keys: Iterable[str]) -> list[Access]:
    """What setting aside keys of the wrong type takes, for whoever writes these; as a module's ACCESS has them."""
    dead, totals = ((f"{name}:{{p}}", f"{name}:{MQTT}", f"{name}:{CAMPUS}") for name in ("dead", "totals"))
    return [
        access("", "SCAN"),
        access(" ".join((*dead, *totals)), "EVAL"),
        access(" ".join(dead), "XADD"),
        access(" ".join(totals), "HLEN HINCRBY HSET"),
        # Each by itself: nobody gives a key a name by which they could read it.
        *(access(f"{key} {ASIDE}{key}", "EVAL TYPE RENAME PEXPIRE") for key in keys),
    ]


def type_of(key: str) -> str | None:
    """The type that a key of ours has; None for a key that is none of ours."""
    if found := _TAGGED.match(key):
        tag = found[2] if found[2] in {MQTT, CAMPUS} else "{p}"
        # A tag is followed by a name where there are several of a kind.
        if kind := TYPES.get(f"{found[1]}{tag}{found[3]}"):
            return kind
    return TYPES.get(key) or TYPES.get(f"{key.partition(':')[0]}:")


async def set_aside_wrong_types(client: redis.asyncio.Redis) -> tuple[int, frozenset[bytes]]:
    """Set aside each key of ours that has another type than it should have, with a dead letter for it.

    Answers how many, and the names of all that are aside now, whoever has set them so. Looks at all keys that the user
    of this connection may set aside, which are those that it writes (`mending`): it is for when Redis has said
    WRONGTYPE. Raises what Redis raises.
    """
    script, add = client.register_script(_SET_ASIDE), client.register_script(lua("totals", "dead_letters"))
    letters: list[tuple[str, DeadLetter]] = []
    aside: set[bytes] = set()
    cursor = 0
    while True:
        cursor, keys = cast("Any", await client.scan(cursor, count=_AT_ONCE))
        aside.update(key for key in keys if key.startswith(_ASIDE))
        ours = [(key, kind) for key in keys if (kind := type_of(key.decode(errors="replace")))]
        async with client.pipeline(transaction=False) as pipeline:
            for key, _ in ours:
                pipeline.type(key)
            types = await pipeline.execute(raise_on_error=False)
        for (key, kind), is_now in zip(ours, types, strict=True):
            if isinstance(is_now, NoPermissionError):
                continue  # whoever writes such keys sees to it
            if isinstance(is_now, Exception):
                raise is_now
            wrong = is_now.decode()
            if wrong not in {kind, "none"} and await script(keys=[key, _aside(key)], args=[kind, ASIDE_MS]):
                letters.append((_tag(key), _letter(key, kind, wrong)))
                aside.add(_aside(key))
        if not cursor:
            break
    # In the slots of the keys, for only those are sure to be on this server; and last, for it may have been one of
    # these streams which was set aside.
    for own, letter in letters:
        fields = [text for pair in letter.encode().items() for text in pair]
        with suppress(MovedError):  # of a key without a tag: the log has it
            await add(
                keys=[guard(own), dead_key(own), totals_key(own)],
                args=[_LETTERS_MAX, f"{DEAD_TOTAL}{letter.reason}", len(fields), *fields],
            )
    return len(letters), frozenset(aside)


def _tag(key: bytes) -> str:
    found = _TAGGED.match(key.decode(errors="replace"))
    return found[2] if found else CAMPUS


def _letter(key: bytes, kind: str, wrong: str) -> DeadLetter:
    # Not the whole name: that of a session is what a client has chosen.
    name = key.decode(errors="replace").partition("{")[0].partition(":")[0]
    _log.error("a key of another type was set aside", key=name, type=wrong, should_be=kind)
    detail = f"a key {name} of the type {wrong}, which should be {kind}; it is set aside for a day"
    return DeadLetter(Reason.MALFORMED_ENTRY, detail, "", system_clock(), payload=None)


def _aside(key: bytes) -> bytes:
    """The name aside of a key, in the same slot."""
    return _ASIDE + (key if b"{" in key else b"{" + key + b"}")
