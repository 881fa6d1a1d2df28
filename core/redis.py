"""The connection to Redis, and what its errors mean."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import redis.asyncio
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from core.errors import BadSettings, Unavailable
from core.settings import CommonSettings

Redis = redis.asyncio.Redis
READ_TIMEOUT_SECONDS = 10.0
"""How long one answer may take; blocking reads ask Redis for much less."""
MAX_CONNECTIONS = 32
"""Commands under way at the same time; more of them wait for their turn."""
_NOT_NOW = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
"""How Redis begins to say that its disk is full, or that a part of it is away."""


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn what means "not now" into `Unavailable`; other errors of Redis are defects and pass through."""
    try:
        yield
    except (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
    except ResponseError as error:
        if isinstance(error, OutOfMemoryError) or str(error).startswith(_NOT_NOW):
            raise Unavailable(f"Redis takes nothing at present: {error}") from error
        raise


@asynccontextmanager
async def open_redis(settings: CommonSettings) -> AsyncIterator[Redis]:
    """A pool of connections to REDIS_URL; answers are bytes. Opening does not wait for Redis.

    Raises BadSettings for an address that is none.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            settings.redis_address,
            timeout=READ_TIMEOUT_SECONDS,
            socket_timeout=READ_TIMEOUT_SECONDS,
            socket_connect_timeout=READ_TIMEOUT_SECONDS,
            max_connections=MAX_CONNECTIONS,
            # Once, for connections that Redis closed while they were idle; more patience is the caller's to have.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise BadSettings(f"REDIS_URL: {error}") from error
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()
