"""Waiting until what was on its way has passed through the decoders."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast

from state.access import Right, access
from state.client import Redis
from state.raw import ARCHIVE_GROUP, OBSERVE_GROUP, keys_of
from state.raw_redis import raw_redis
from state.totals import SPLIT

ACCESS = {
    Right.READ: [
        access("raw:{p} positions:{p}", "XREVRANGE XRANGE XINFO|GROUPS XPENDING"),
        access("totals:{p}", "HGET"),
    ]
}
LOOK_SECONDS = 0.05
_ENTRY_ID = re.compile(r"(\d+)-(\d+)", re.ASCII)


async def until_passed(client: Redis, partitions: int, until: float) -> bool:
    """Wait until all that is in `raw` now is decoded, and all that is in `positions` then is stored.

    False where that takes longer than `until`, by the event loop's clock. Raises UnavailableError.
    """
    client = raw_redis(client)
    keys = [keys_of(partition, partitions) for partition in range(partitions)]
    for each in keys:
        # What decoders died of is taken apart, and comes again, behind what was the newest.
        split = -1
        while split != (split := await _split(client, each.totals)):
            if not await _until_passed(client, each.raw, OBSERVE_GROUP, until):
                return False
    for each in keys:
        if not await _until_passed(client, each.positions, ARCHIVE_GROUP, until):
            return False
    return True


async def _split(client: Redis, totals: str) -> int:
    found = await cast("Any", client.hget(totals, SPLIT))
    return int(found or 0)


async def _until_passed(client: Redis, stream: str, group: str, until: float) -> bool:
    newest = cast("list[Any]", await client.xrevrange(stream, count=1))
    while newest and not await _has_passed(client, stream, group, newest[0][0]):
        if asyncio.get_running_loop().time() >= until:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


async def _has_passed(client: Redis, stream: str, group: str, newest: bytes) -> bool:
    """Whether a group has acknowledged an entry, and all before it."""
    if not await client.xrange(stream, "-", newest, count=1):
        return True  # cut off: that is done behind the groups
    known = {told["name"]: told for told in cast("list[Any]", await client.xinfo_groups(stream))}
    told = known.get(group.encode())
    if told is None or _order(told["last-delivered-id"]) < _order(newest):
        return False
    pending = cast("Mapping[str, Any]", await client.xpending(stream, group))
    return not pending["pending"] or _order(pending["min"]) > _order(newest)


def _order(entry_id: bytes) -> tuple[int, int]:
    found = _ENTRY_ID.fullmatch(entry_id.decode())
    return (int(found[1]), int(found[2])) if found else (0, 0)
