"""A Redis that a backup is being restored to: no service works on it before that has come to its end.

    restoring:{campus}  hash  the layout of the backup (`state.layout`), until it takes the place of the present one

While it goes on, the layout has the field `restoring`, which names the backups, behind the word `emptying` until what
was there is gone; of an empty Redis it is the only field. Whoever dies meanwhile leaves that behind, so that services
go on refusing, and the same restore may be done again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.calls import ERRORS
from state.client import Redis
from state.cluster import ClusterClient
from state.codes import unavailable
from state.commands import slot_of
from state.layout import LAYOUT
from state.raw_redis import all_redis
from state.released import WALKS
from state.server import masters
from state.slots import CAMPUS

RESTORED = f"restoring:{CAMPUS}"
FIELD = "restoring"
LOOK_SECONDS = 3.0
"""A service that runs writes something each second."""
_OWN = 1
"""Keys that a restore has written before it writes others: that of the mark."""
_EMPTYING = "emptying "
USUAL_MOST = 512 * 1024 * 1024
"""Of Redis, unless it is set otherwise."""
LARGE_BYTES = 1024 * 1024
PIECE_BYTES = 256 * 1024
LARGE_SECONDS = 120.0
"""For Redis to take a piece of a large value, and to make a key of it."""
Dumped = tuple[bytes, int, bytes | bytearray]
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


async def takes_at_once(client: Redis) -> int:
    """Bytes of the largest value that all of its servers take (`proto-max-bulk-len`). Raises UnavailableError."""
    found = []
    for each in all_redis(client):
        for server in await masters(each):
            try:
                told = cast("dict[str, str]", await server.config_get("proto-max-bulk-len"))
            except ResponseError:
                told = {}  # one that is managed does not tell
            found.append(int(told.get("proto-max-bulk-len", USUAL_MOST)))
    return min(found)


async def put(client: Redis, keys: Sequence[Dumped]) -> None:
    """Restore keys, in the place of others of their names; the layout is put aside. Large ones are not copied for it.

    Raises UnavailableError, and BadSettingsError where this Redis is older than the one that they are of.
    """
    large = [_restore(*each) for each in keys if len(each[2]) > LARGE_BYTES]
    async with client.pipeline(transaction=False) as pipeline:
        for name, ends, value in keys:
            if len(value) <= LARGE_BYTES:
                pipeline.execute_command(*_restore(name, ends, bytes(value)))
        answers = await pipeline.execute(raise_on_error=False)
    answers += [await _put_large(client, words) for words in large]
    for answer in answers:
        if isinstance(answer, UnavailableError):
            raise answer
        if isinstance(answer, Exception):
            raise BadSettingsError(
                "REDIS_URL: this Redis does not take a key of the backup; it may be older than the one that was saved:"
                f" {answer}"
            ) from answer


def _restore(name: bytes, ends: int, value: bytes | bytearray) -> tuple[bytes | bytearray, ...]:
    key = RESTORED.encode() if name == LAYOUT.encode() else name
    return (b"RESTORE", key, b"%d" % ends, value, b"REPLACE", *([b"ABSTTL"] if ends else []))


async def _put_large(client: Redis, words: Sequence[bytes | bytearray]) -> object:
    """What Redis answers to a command that is written piece by piece: redis-py would hold it three times."""
    server = client
    if isinstance(client, ClusterClient):
        server = (await client.slot_map.master(slot_of(words[1]))).client
    pool: Any = server.connection_pool
    connection = pool.make_connection()
    try:
        await connection.connect()
        writer = connection._writer  # noqa: SLF001 - redis-py writes whole commands alone
        writer.write(b"*%d\r\n" % len(words))
        for word in words:
            writer.write(b"$%d\r\n" % len(word))
            with memoryview(word) as view:
                for at in range(0, len(word), PIECE_BYTES):
                    writer.write(view[at : at + PIECE_BYTES])
                    async with asyncio.timeout(LARGE_SECONDS):
                        await writer.drain()
            writer.write(b"\r\n")
        return await connection.read_response(timeout=LARGE_SECONDS)
    except ERRORS as error:
        return unavailable(error) or error
    finally:
        await connection.disconnect(nowait=True)


async def partitions(client: Redis) -> int | None:
    """For how many partitions what was restored is laid out. Raises UnavailableError."""
    for key in (RESTORED, LAYOUT):
        found = cast("bytes | None", await cast("Any", client.hget(key, "partitions")))
        if found is not None and found.isdigit():
            return int(found)
    return None


async def finish(client: Redis) -> None:
    """Let services work again, on what was restored. Raises UnavailableError."""
    # Thresholds of then must not be used again beside counts of now: they are drawn anew.
    await client.delete(WALKS)
    # One step: nobody finds a Redis that is neither being restored nor laid out.
    if await client.exists(RESTORED):
        await client.rename(RESTORED, LAYOUT)
    else:
        await cast("Any", client.hdel(LAYOUT, FIELD))
