"""What Redis holds at present: the backlog of each stage, and the lifetime counts."""

from dataclasses import dataclass

from state import streams
from state.backlog import read_backlogs
from state.client import Redis, redis_errors
from state.dirty_windows import waiting
from state.totals import lifetime_counts


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the whole system, as the streams tell it."""

    backlogs: dict[str, int]
    """What each stage has yet to do: entries of `raw` and `positions` by stream, and the windows that have changed."""
    oldest_seconds: dict[str, float]
    """Age of the oldest of them by stream, where there is one."""
    totals: dict[str, int]
    """Lifetime counts, in alphabetical order: see `state.streams`."""
    dead_letters: int
    """How many are kept."""


async def read_status(client: Redis, partitions: int) -> Status:
    """Ask Redis, in a few round trips. Raises Unavailable if it does not answer."""
    # Groups that somebody else has added read the same streams; they are no stages.
    stages = [
        backlog
        for backlog in await read_backlogs(client, partitions)
        if backlog.group in (streams.OBSERVE_GROUP, streams.ARCHIVE_GROUP)
    ]
    windows = await waiting(client, partitions)
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.xlen(streams.DEAD)
        pipeline.hgetall(streams.TOTALS)
        with redis_errors():
            dead, totals = await pipeline.execute()
    return Status(
        backlogs={stage.stream: stage.entries for stage in stages} | {"windows": windows},
        oldest_seconds={stage.stream: stage.oldest_seconds for stage in stages if stage.oldest_seconds is not None},
        totals=lifetime_counts(totals),
        dead_letters=dead,
    )
