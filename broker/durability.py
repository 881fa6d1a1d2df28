"""What an acknowledgement promises, and whether Redis is set up to keep that promise."""

from enum import StrEnum
from typing import Any, cast

from redis.exceptions import ResponseError

from core.errors import BadSettings
from state.client import Redis, redis_errors
from state.codes import RedisUnavailable


class Durability(StrEnum):
    """When a publisher is acknowledged."""

    ACCEPTED = "accepted"
    """Redis holds the message; it is on disk as soon as Redis's own `appendfsync` says."""
    FSYNCED = "fsynced"
    """Redis has synced the message to its disk."""


async def check_durability(client: Redis, durability: Durability) -> None:
    """Raises BadSettings if Redis is not set up for it, Unavailable if it does not answer."""
    if durability is Durability.ACCEPTED:
        return
    with redis_errors():
        try:
            found = cast("dict[str, Any]", await client.config_get("append*"))
        except (RedisUnavailable, ResponseError) as error:
            if isinstance(error, RedisUnavailable) and error.code != "NOPERM":
                raise
            raise BadSettings(f"DURABILITY=fsynced: Redis does not tell how it is set up: {error}") from error
    if found.get("appendonly") != "yes" or found.get("appendfsync") != "always":
        raise BadSettings(
            "DURABILITY=fsynced needs a Redis with `appendonly yes` and `appendfsync always`; this one has "
            f"`appendonly {found.get('appendonly')}` and `appendfsync {found.get('appendfsync')}`"
        )
