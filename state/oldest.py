"""The age of the oldest entry that waits, where nobody has it in hand: for those who may read entries."""

from dataclasses import replace

from state.access import Right, access
from state.backlog import Backlog, age_of, read_backlogs
from state.client import Redis
from state.raw_redis import raw_redis
from state.window_stream import read_window_backlogs

ACCESS = {Right.READ: [access("raw:{p} positions:{p}", "XRANGE"), access("", "TIME")]}


async def read_ages(client: Redis, partitions: int) -> list[Backlog]:
    """As `read_backlogs`, with the age of the oldest wherever there is one, and with what exports windows.

    Raises UnavailableError.
    """
    return await _read_ages(client, partitions) + await read_window_backlogs(client)


async def _read_ages(client: Redis, partitions: int) -> list[Backlog]:
    found = await read_backlogs(client, partitions)
    wanted = [each for each in found if each.undelivered and not each.pending]
    if not wanted:
        return found
    async with raw_redis(client).pipeline(transaction=False) as pipeline:
        pipeline.time()
        for each in wanted:
            pipeline.xrange(each.stream, f"({each.delivered}", "+", count=1)
        (seconds, microseconds), *answers = await pipeline.execute()
    now = seconds * 1000 + microseconds // 1000
    ages = {
        (each.stream, each.group): age_of(entries[0][0], now)
        for each, entries in zip(wanted, answers, strict=True)
        if entries
    }
    return [replace(each, oldest_seconds=ages.get((each.stream, each.group), each.oldest_seconds)) for each in found]
