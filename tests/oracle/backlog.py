"""What the streams of the system hold, asked in the plainest way: Redis 6 knows no lag."""

from typing import Any, cast

from redis.asyncio import Redis

from state import dirty_windows
from state.raw import keys_of

ARCHIVE_GROUP = "archive"
OBSERVE_GROUP = "observe"

BACKLOG = 500
"""Messages that may wait for a decoder before more arrive, so that there is always work and never all of it."""


async def waiting(client: Redis, partitions: int) -> int:
    """Entries that nobody has read yet; beyond BACKLOG in a partition it does not count on."""
    keys = [keys_of(partition, partitions) for partition in range(partitions)]
    return sum([await _undelivered(client, each.raw, OBSERVE_GROUP) for each in keys])


async def is_observed(client: Redis, partitions: int) -> bool:
    """Whether each message has had its effects, and each position its document."""
    for stream, group in stages(partitions):
        if await _undelivered(client, stream, group) or await holders(client, stream, group):
            return False
    return True


async def remains(client: Redis, partitions: int) -> list[str]:
    """What is left to do, or was done and is still there, a sentence each."""
    left = []
    for stream, group in stages(partitions):
        if length := await client.xlen(stream):
            left.append(f"{length} entries remain in {stream}")
        if names := await holders(client, stream, group):
            left.append(f"entries of {stream} are pending for {', '.join(names)}")
    if dirty := await dirty_windows.waiting(client, partitions):
        left.append(f"{dirty} windows are not rolled up")
    return left


def stages(partitions: int) -> list[tuple[str, str]]:
    """Stream and group: first of the messages, then of the positions that come of them."""
    keys = [keys_of(partition, partitions) for partition in range(partitions)]
    return [(each.raw, OBSERVE_GROUP) for each in keys] + [(each.positions, ARCHIVE_GROUP) for each in keys]


async def _undelivered(client: Redis, stream: str, group: str) -> int:
    last = await _last_delivered(client, stream, group)
    return len(await client.xrange(stream, min=f"({last}", count=BACKLOG) or []) if last else 1


async def _last_delivered(client: Redis, stream: str, group: str) -> str | None:
    """None before there is such a group."""
    groups = cast("Any", await client.xinfo_groups(stream)) if await client.exists(stream) else []
    return next((found["last-delivered-id"].decode() for found in groups if found["name"] == group.encode()), None)


async def holders(client: Redis, stream: str, group: str) -> list[str]:
    if not await _last_delivered(client, stream, group):
        return []
    pending = cast("Any", await client.xpending(stream, group))
    return [consumer["name"].decode() for consumer in pending["consumers"]]
