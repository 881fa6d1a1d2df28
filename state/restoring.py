"""A Redis that a backup is being restored to: no service works on it before that has come to its end.

    restoring:{campus}  hash  the layout of the backup (`state.layout`), until it takes the place of the present one

While it goes on, the layout has the field `restoring`, which names the backups; of an empty Redis it is the only field.
Whoever dies meanwhile leaves that behind, so that services go on refusing, and the same restore may be done again.
"""

from collections.abc import Sequence
from typing import Any, cast

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.client import Redis
from state.layout import LAYOUT
from state.raw_redis import all_redis
from state.server import masters
from state.slots import CAMPUS

RESTORED = f"restoring:{CAMPUS}"
FIELD = "restoring"
LOOK_SECONDS = 3.0
"""A service that runs writes something each second."""
_OWN = 2
"""Keys at the most that a restore has written before it writes others."""

Dumped = tuple[bytes, int, bytes]
"""A key, when it ends (ms since the epoch; 0: never), and what DUMP answered."""


async def marked(client: Redis) -> str | None:
    """Which restore was begun and has not come to its end. Raises UnavailableError."""
    found = cast("bytes | None", await cast("Any", client.hget(LAYOUT, FIELD)))
    return None if found is None else found.decode(errors="replace")


async def mark(client: Redis, name: str) -> None:
    """Have services refuse to work until `finish`. Raises UnavailableError."""
    await cast("Any", client.hset(LAYOUT, FIELD, name))


async def keys_there(client: Redis) -> int:
    """How many keys there are, also in a Redis of `raw`. Raises UnavailableError."""
    return sum([int(await server.dbsize()) for each in all_redis(client) for server in await masters(each)])


async def flush(client: Redis) -> None:
    """Remove all keys of this database, also in a Redis of `raw`. Raises UnavailableError."""
    for each in all_redis(client):
        for server in await masters(each):
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
