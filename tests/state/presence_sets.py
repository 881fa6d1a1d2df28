"""Presence sets, written as decoders do."""

from collections.abc import Mapping

from redis.asyncio import Redis

from core.messages import Kind
from state.presence import presence_key, touched_at_key, touched_key
from state.slots import tag

_CHANGE = """
for index = 2, #ARGV, 2 do
    redis.call('ZADD', KEYS[1], ARGV[index], ARGV[index + 1])
end
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[1])
"""


async def see(
    redis: Redis, zone: str, kind: Kind, devices: Mapping[str, int], *, partition: int = 0, partitions: int = 1
) -> None:
    """Let devices be seen in a zone, each at its time (ms since the epoch)."""
    hash_tag = tag(partition, partitions)
    keys = [presence_key(hash_tag, zone, kind), touched_key(hash_tag), touched_at_key(hash_tag)]
    arguments: list[str | int] = [part for device, at in devices.items() for part in (at, device)]
    await redis.eval(_CHANGE, len(keys), *keys, f"{zone}:{kind}", *arguments)


async def leave(redis: Redis, zone: str, kind: Kind, *devices: str, partition: int = 0, partitions: int = 1) -> None:
    """Let devices be gone from a zone; all of them unless some are named."""
    hash_tag = tag(partition, partitions)
    key = presence_key(hash_tag, zone, kind)
    await (redis.zrem(key, *devices) if devices else redis.delete(key))
    await see(redis, zone, kind, {}, partition=partition, partitions=partitions)
