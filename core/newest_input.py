"""When the newest message of each kind came in: what tells "nobody is there" from "nothing comes in"."""

from collections.abc import Mapping
from typing import NamedTuple

from core import streams
from core.messages import Kind
from core.redis import Redis, redis_errors


async def note_newest_input(client: Redis, newest: Mapping[Kind, int]) -> None:
    """Note when messages came (ms since the epoch); what is newer stays. Raises Unavailable."""
    with redis_errors():
        await client.zadd(streams.NEWEST_INPUT, {kind.value: at for kind, at in newest.items()}, gt=True)


class Signs(NamedTuple):
    """What says that positions come in, or could."""

    newest: dict[Kind, int]
    """When the newest message of each kind came, ms since the epoch; without the kinds of which none ever has."""
    beats: dict[bytes, bytes]
    """How often each broker node has said that it lives."""


async def signs_of_input(client: Redis) -> Signs:
    """In one round trip. Raises Unavailable."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.zrange(streams.NEWEST_INPUT, 0, -1, withscores=True)
        pipeline.hgetall(streams.NODES)
        with redis_errors():
            came, beats = await pipeline.execute()
    found = dict(came)
    return Signs({kind: int(found[kind.value.encode()]) for kind in Kind if kind.value.encode() in found}, beats)
