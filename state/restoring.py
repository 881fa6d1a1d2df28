"""A Redis that a backup is being restored to: no service works on it before that has come to its end.

    restoring:{campus}  hash  the layout of the backup (`state.layout`), until it takes the place of the present one

While it goes on, the layout has the field `restoring`, which names the backups, behind the word `emptying` until what
was there is gone; of an empty Redis it is the only field. Whoever dies meanwhile leaves that behind, so that services
go on refusing, and the same restore may be done again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.client import Redis
from state.cluster import ClusterClient
from state.commands import slot_of
from state.layout import LAYOUT
from state.raw_redis import all_redis
from state.server import masters
from state.slots import CAMPUS

RESTORED = f"restoring:{CAMPUS}"
FIELD = "restoring"
LOOK_SECONDS = 3.0
"""A service that runs writes something each second."""
_OWN = 1
"""Keys that a restore has written before it writes others: that of the mark."""
_EMPTYING = "emptying "
Dumped = tuple[bytes, int, bytes]
"""A key, when it ends (ms since the epoch; 0: never), and what DUMP answered."""


class Mark(NamedTuple):
    """A restore that was begun and has not come to its end."""

    name: str
    """Its backups."""
    emptied: bool
    """Whether nothing is there but what it has written; False: it was to remove something, and perhaps has not."""


async def marked(client: Redis) -> Mark | None:
    """Which restore was begun and has not come to its end. Raises UnavailableError."""
    found = cast("bytes | None", await cast("Any", client.hget(LAYOUT, FIELD)))
    if found is None:
        return None
    text = found.decode(errors="replace")
    return Mark(text.removeprefix(_EMPTYING), emptied=not text.startswith(_EMPTYING))


async def mark(client: Redis, name: str, *, emptied: bool = True) -> None:
    """Have services refuse to work until `finish`. Raises UnavailableError."""
    await cast("Any", client.hset(LAYOUT, FIELD, name if emptied else _EMPTYING + name))


async def keys_there(client: Redis) -> int:
    """How many keys there are, also in a Redis of `raw`. Raises UnavailableError."""
    return sum([int(await server.dbsize()) for each in all_redis(client) for server in await masters(each)])


async def empty(client: Redis, name: str) -> None:
    """Remove all keys of this database but the mark of this restore, also in a Redis of `raw`. Raises UnavailableError.

    Whoever dies meanwhile leaves the mark, which says that it is not done.
    """
    await mark(client, name, emptied=False)
    # In one step: there is no moment in which part of a Redis is there without a mark.
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.flushdb()
        pipeline.hset(LAYOUT, FIELD, _EMPTYING + name)
        await pipeline.execute()
    marked_one = client
    if isinstance(client, ClusterClient):
        marked_one = (await client.slot_map.master(slot_of(LAYOUT))).client
    for each in all_redis(client):
        for server in await masters(each):
            if server is not marked_one:
                await server.flushdb()


async def refuse_others(client: Redis) -> None:
    """Raise BadSettingsError where somebody writes to a Redis that was empty a moment ago but for the mark."""
    await pause(LOOK_SECONDS, Stop())
    if await keys_there(client) > _OWN:
        raise BadSettingsError("somebody writes to this Redis: stop all services, and restore again with --over")


async def put(client: Redis, keys: Sequence[Dumped]) -> None:
    """Restore keys, in the place of others of their names; the layout is put aside.

    Raises UnavailableError, and BadSettingsError where this Redis is older than the one that they are of.
    """
    async with client.pipeline(transaction=False) as pipeline:
        for name, ends, value in keys:
            key = RESTORED.encode() if name == LAYOUT.encode() else name
            pipeline.execute_command("RESTORE", key, ends, value, "REPLACE", *(["ABSTTL"] if ends else []))
        answers = await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, UnavailableError):
            raise answer
        if isinstance(answer, Exception):
            raise BadSettingsError(
                "REDIS_URL: this Redis does not take a key of the backup; it may be older than the one that was saved:"
                f" {answer}"
            ) from answer


async def partitions(client: Redis) -> int | None:
    """For how many partitions what was restored is laid out. Raises UnavailableError."""
    for key in (RESTORED, LAYOUT):
        found = cast("bytes | None", await cast("Any", client.hget(key, "partitions")))
        if found is not None and found.isdigit():
            return int(found)
    return None


async def finish(client: Redis) -> None:
    """Let services work again, on what was restored. Raises UnavailableError."""
    # One step: nobody finds a Redis that is neither being restored nor laid out.
    if await client.exists(RESTORED):
        await client.rename(RESTORED, LAYOUT)
    else:
        await cast("Any", client.hdel(LAYOUT, FIELD))
