"""A snapshot of one Redis server, as it sends it to a replica: no file on its disk, no tool, one moment in time.

It is asked as a replica asks (PSYNC, https://redis.io/docs/latest/operate/oss_and_stack/management/replication/) and
left once the snapshot is there. Redis forks for it, as for a rewrite of its append-only file. It is told that the
snapshot is all that is wanted (`rdb-only`, from Redis 6.2 on), so it keeps nothing of what is written meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from core.errors import UnavailableError
from state.calls import ERRORS
from state.client import Redis
from state.codes import code_of, unavailable

READ_BYTES = 256 * 1024
LINE_BYTES = 1024
WAIT_SECONDS = 120.0
"""For the next bytes: Redis says every few seconds that it is still at it."""
_MARK_BYTES = 40


async def dump(server: Redis) -> AsyncIterator[bytes]:
    """The snapshot (RDB) of a server, piece by piece. Raises UnavailableError, also where its user may not copy it."""
    # Never put back: after the snapshot it would get what is written.
    pool: Any = server.connection_pool
    connection = pool.make_connection()
    try:
        await connection.connect()
        # The end is marked then, and Redis needs no file on its disk.
        await _told(connection, "REPLCONF", "capa", "eof")
        # What is written meanwhile is not kept for us: no `client-output-buffer-limit replica` ends it.
        await _told(connection, "REPLCONF", "rdb-only", "1")
        await connection.send_command("PSYNC", "?", "-1")
        async for data in _snapshot(connection._reader):  # noqa: SLF001 - redis-py reads answers alone, and this is none
            yield data
    except ERRORS as error:
        raise _why(error) from error
    finally:
        await connection.disconnect(nowait=True)


async def _told(connection: Any, *words: str) -> None:  # noqa: ANN401 - redis-py's own
    await connection.send_command(*words)
    await connection.read_response()


async def _snapshot(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    line = await _line(reader)
    if not line.startswith(b"+FULLRESYNC"):
        raise _refusal(line)
    line = await _line(reader)
    if not line.startswith(b"$"):
        raise _refusal(line)
    if line.startswith(b"$EOF:"):
        async for data in _until(reader, line[5:]):
            yield data
        return
    left = int(line[1:])
    while left:
        data = await _some(reader, min(left, READ_BYTES))
        left -= len(data)
        yield data


async def _until(reader: asyncio.StreamReader, mark: bytes) -> AsyncIterator[bytes]:
    """What comes before the mark, with which Redis ends, and sends nothing behind it."""
    if len(mark) != _MARK_BYTES:
        raise UnavailableError("Redis did not say how its snapshot ends")
    held = b""
    while True:
        held += await _some(reader, READ_BYTES)
        if held.endswith(mark):
            yield held[:-_MARK_BYTES]
            return
        if len(held) > _MARK_BYTES:
            yield held[:-_MARK_BYTES]
            held = held[-_MARK_BYTES:]


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line that is none of those by which Redis says that it is still there."""
    while True:
        async with asyncio.timeout(WAIT_SECONDS):
            line = await reader.readline()
        if not line.endswith(b"\n") or len(line) > LINE_BYTES:
            raise UnavailableError("Redis closed the connection before its snapshot began")
        if line.strip():
            return line.strip()


async def _some(reader: asyncio.StreamReader, most: int) -> bytes:
    async with asyncio.timeout(WAIT_SECONDS):
        data = await reader.read(most)
    if not data:
        raise UnavailableError("Redis broke its snapshot off")
    return data


def _refusal(line: bytes) -> UnavailableError:
    words = line.decode(errors="replace")[:200]
    if "NOPERM" in words:
        return _may_not(words)
    return UnavailableError(f"Redis gives no snapshot: {words}")


def _may_not(words: object) -> UnavailableError:
    return UnavailableError(
        "the user of REDIS_URL may not copy Redis: give it +psync and +replconf. A managed Redis that allows nobody to "
        f"has backups of its own. It says: {words}"
    )


def _why(error: BaseException) -> UnavailableError:
    if isinstance(error, Exception) and code_of(error) == "NOPERM":
        return _may_not(error)
    known = unavailable(error) if isinstance(error, Exception) else None
    return cast("UnavailableError | None", known) or UnavailableError(
        f"Redis gives no snapshot: {error or type(error).__name__}"
    )
