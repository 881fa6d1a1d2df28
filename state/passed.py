"""Waiting until what was on its way has passed through the decoders."""

import asyncio
import re
from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from state.access import Right, access
from state.backlog import is_no_stream
from state.client import Redis
from state.codes import code_of
from state.raw import ARCHIVE_GROUP, OBSERVE_GROUP, POSITION_GROUPS, keys_of
from state.raw_redis import raw_redis
from state.totals import SPLIT

ACCESS = {
    # Nothing that tells what is in an entry.
    Right.READ: [
        access("raw:{p} positions:{p}", "XLEN XINFO|GROUPS XPENDING"),
        access("totals:{p}", "HGET"),
        access("", "TIME"),
    ]
}
LOOK_SECONDS = 0.05
_ENTRY_ID = re.compile(r"(\d+)-(\d+)", re.ASCII)


async def until_passed(client: Redis, partitions: int, until: float) -> bool:
    """Wait until all that is in `raw` now is decoded, and all that is in `positions` then is stored and exported.

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
        for group in await _groups(client, each.positions):
            if not await _until_passed(client, each.positions, group, until):
                return False
    return True


async def _groups(client: Redis, stream: str) -> list[str]:
    """Whoever reads a stream of positions: that of the archive, and those of targets that somebody exports to."""
    try:
        found = {group["name"].decode() for group in await client.xinfo_groups(stream)}
    except ResponseError as error:
        if not is_no_stream(error):
            raise
        found = set()
    return [group for group in POSITION_GROUPS if group == ARCHIVE_GROUP or group in found]


async def _split(client: Redis, totals: str) -> int:
    found = await cast("Any", client.hget(totals, SPLIT))
    return int(found or 0)


async def _until_passed(client: Redis, stream: str, group: str, until: float) -> bool:
    begun_at: int | None = None
    last: tuple[int, int] | None = None
    while True:
        found = await _look(client, stream, group)
        begun_at = found.now if begun_at is None else begun_at
        if not found.length:
            return True
        if last is None and found.has_all_since(begun_at):
            # All that was there is delivered by now. A look from here on tells whether something of it is pending.
            last = found.delivered
            continue
        if last is not None and (found.oldest is None or found.oldest > last):
            return True
        if asyncio.get_running_loop().time() >= until:
            return False
        await asyncio.sleep(LOOK_SECONDS)


class _Look(NamedTuple):
    """A stream and one of its groups; entries by the two numbers of their ids."""

    length: int
    pending: int
    oldest: tuple[int, int] | None
    """That is pending."""
    delivered: tuple[int, int]
    """The last one."""
    lag: int | None
    """How many are undelivered, as Redis has it: None where it does not know, and too many after a start."""
    now: int
    """Milliseconds since the epoch, by the clock of Redis."""

    def has_all_since(self, begun_at: int) -> bool:
        """Whether all that there was then, and is not cut off, is delivered: entries are, in their order."""
        # Ids are times of Redis's clock, unless that was set back.
        is_later = begun_at < self.delivered[0] <= self.now
        return is_later or self.length == self.pending or self.lag == 0


async def _look(client: Redis, stream: str, group: str) -> _Look:
    # In this order: what is pending by now are entries that there were before, or others behind all of those; and what
    # was delivered last comes after that.
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.xlen(stream)
        pipeline.xpending(stream, group)
        pipeline.xinfo_groups(stream)
        pipeline.time()
        length, pending, groups, time = await pipeline.execute(raise_on_error=False)
    for answer in (length, pending, groups, time):
        # A stream that nothing was ever added to has no groups, and XINFO calls that an error.
        if isinstance(answer, Exception) and code_of(answer) != "NOGROUP" and not is_no_stream(answer):
            raise answer
    now = time[0] * 1000 + time[1] // 1000
    told = [] if isinstance(groups, Exception) else [each for each in groups if each["name"] == group.encode()]
    if isinstance(pending, Exception) or not told:
        return _Look(length, 0, None, (0, 0), None, now)
    oldest = _order(pending["min"]) if pending["pending"] else None
    return _Look(length, pending["pending"], oldest, _order(told[0]["last-delivered-id"]), told[0].get("lag"), now)


def _order(entry_id: bytes) -> tuple[int, int]:
    found = _ENTRY_ID.fullmatch(entry_id.decode())
    return (int(found[1]), int(found[2])) if found else (0, 0)
