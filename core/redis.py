"""The connection to Redis, and what its errors mean."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import redis.asyncio
import stamina
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, TimeoutError  # noqa: A004

from core.errors import BadSettings, Unavailable
from core.settings import CommonSettings

Redis = redis.asyncio.Redis
READ_TIMEOUT_SECONDS = 10.0
"""How long one answer may take; blocking reads ask Redis for much less."""
MAX_CONNECTIONS = 64

_log = structlog.stdlib.get_logger("redis")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn what means "not now" into `Unavailable`; other errors of Redis are defects and pass through."""
    try:
        yield
    except (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error


@asynccontextmanager
async def open_redis(settings: CommonSettings) -> AsyncIterator[Redis]:
    """A pool of connections to REDIS_URL; answers are bytes. Opening does not wait for Redis: see `wait_for_redis`."""
    try:
        client = Redis.from_url(
            settings.redis_address,
            socket_timeout=READ_TIMEOUT_SECONDS,
            socket_connect_timeout=READ_TIMEOUT_SECONDS,
            max_connections=MAX_CONNECTIONS,
            # Once, for connections that Redis closed while they were idle; more patience is the caller's to have.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise BadSettings(f"REDIS_URL: {error}") from error
    try:
        yield client
    finally:
        await client.aclose()


async def wait_for_redis(client: Redis) -> None:
    """Return as soon as Redis answers, however long that takes; cancel it to give up."""
    told = False
    async for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=None, wait_max=1.0):
        with attempt, redis_errors():
            try:
                await client.ping()
            except (RedisError, OSError) as error:
                if not told:
                    told = True
                    _log.info("waiting for Redis", error=str(error))
                raise
    if told:
        await asyncio.sleep(0)
        _log.info("Redis answers")
