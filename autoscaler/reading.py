"""The load, as far as Redis knows it."""

from core import streams
from core.backlog import read_backlogs
from core.redis import Redis


async def decoder_lag(client: Redis, partitions: int) -> int:
    """How many entries of the streams `raw` no decoder has finished, over all partitions.

    Raises Unavailable if Redis does not answer.
    """
    found = await read_backlogs(client, partitions)
    return sum(backlog.entries for backlog in found if backlog.group == streams.OBSERVE_GROUP)
