"""Presence sets as decoders write them, for what needs devices in zones and no decoder: benchmarks and tests."""

from collections.abc import Mapping

from redis.asyncio import Redis

from core.kinds import KindId
from state.presence import presence_key, touched_at_key, touched_key
from state.slots import tag

SEE = """
for index = 2, #ARGV, 2 do
    redis.call('ZADD', KEYS[1], ARGV[index], ARGV[index + 1])
end
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[1])
"""
"""A script that lets devices be seen; with `keys_of` and `arguments_of`."""


def keys_of(zone: str, kind: KindId, *, partition: int = 0, partitions: int = 1) -> list[str]:
    """The keys of one presence set: itself, and those that say that it has changed."""
    hash_tag = tag(partition, partitions)
    return [presence_key(hash_tag, zone, kind), touched_key(hash_tag), touched_at_key(hash_tag)]


def arguments_of(zone: str, kind: KindId, devices: Mapping[str, int]) -> list[str | int]:
    """What `SEE` is given beside the keys: devices with the time at which each is seen, ms since the epoch."""
    return [f"{zone}:{kind}", *(part for device, at in devices.items() for part in (at, device))]


async def see(
    redis: Redis, zone: str, kind: KindId, devices: Mapping[str, int], *, partition: int = 0, partitions: int = 1
) -> None:
    """Let devices be seen in a zone, each at its time (ms since the epoch)."""
    keys = keys_of(zone, kind, partition=partition, partitions=partitions)
    await redis.eval(SEE, len(keys), *keys, *arguments_of(zone, kind, devices))


async def leave(redis: Redis, zone: str, kind: KindId, *devices: str, partition: int = 0, partitions: int = 1) -> None:
    """Let devices be gone from a zone; all of them unless some are named."""
    key = keys_of(zone, kind, partition=partition, partitions=partitions)[0]
    await (redis.zrem(key, *devices) if devices else redis.delete(key))
    await see(redis, zone, kind, {}, partition=partition, partitions=partitions)
