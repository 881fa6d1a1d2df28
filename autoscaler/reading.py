"""The load, as far as Redis knows it."""

from collections.abc import Iterable

from redis.exceptions import ResponseError

from core import streams
from core.redis import Redis, redis_errors


async def decoder_lag(client: Redis, partitions: Iterable[int]) -> int:
    """How many entries of the streams `raw` no decoder has finished, over these partitions.

    Exact where Redis knows a group's lag (7.0 and later); else the length of the stream, which is that or a little
    more, since streams are cut off behind the decoders. Raises Unavailable if Redis does not answer.
    """
    return sum([await _lag(client, streams.raw(partition)) for partition in partitions])


async def _lag(client: Redis, stream: str) -> int:
    with redis_errors():
        try:
            groups = await client.xinfo_groups(stream)
        except ResponseError:
            return 0  # nothing was ever published
        for group in groups:
            if group["name"] == streams.OBSERVE_GROUP.encode() and group.get("lag") is not None:
                return int(group["lag"]) + int(group["pending"])
        return int(await client.xlen(stream))
