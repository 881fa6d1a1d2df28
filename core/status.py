"""What Redis holds at present: the backlog of each stage, and the lifetime counts."""

from dataclasses import dataclass
from typing import Any, cast

from core import streams
from core.redis import Redis, redis_errors


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the whole system, as the streams tell it."""

    backlogs: dict[str, int]
    """What each stage has yet to do: entries of `raw` and `positions` by stream, and dirty windows."""
    totals: dict[str, int]
    """Lifetime counts, in alphabetical order: see `core.streams`."""
    dead_letters: int
    """How many are kept."""


async def read_status(client: Redis, partitions: int) -> Status:
    """Ask Redis, in one round trip. Raises Unavailable if it does not answer."""
    names = [
        *(streams.raw(partition) for partition in range(partitions)),
        *(streams.positions(partition) for partition in range(partitions)),
    ]
    async with client.pipeline(transaction=False) as pipeline:
        for name in names:
            # Entries that are done are cut off at once: what is there is what is left to do.
            pipeline.xlen(name)
        pipeline.zcard(streams.DIRTY_WINDOWS)
        pipeline.xlen(streams.DEAD)
        pipeline.hgetall(streams.TOTALS)
        with redis_errors():
            *backlogs, dirty, dead, totals = await pipeline.execute()
    counted = {name.decode(): int(count) for name, count in cast("dict[bytes, Any]", totals).items()}
    return Status(
        backlogs=dict(zip(names, backlogs, strict=True)) | {streams.DIRTY_WINDOWS: dirty},
        totals=dict(sorted(counted.items())),
        dead_letters=dead,
    )
