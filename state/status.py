"""What Redis holds at present: the backlog of each stage, and the lifetime counts."""

from dataclasses import dataclass
from typing import Any

from state.access import Right, access
from state.client import Redis
from state.dirty_windows import waiting
from state.oldest import read_ages
from state.raw import ARCHIVE_GROUP, OBSERVE_GROUP
from state.raw_redis import all_redis
from state.slots import CAMPUS, MQTT, tag
from state.totals import added_up, dead_key, totals_key

ACCESS = {
    Right.READ: [
        access("dead:{p} dead:{mqtt} dead:{campus}", "XLEN"),
        access("totals:{p} totals:{mqtt} totals:{campus}", "HGETALL"),
    ]
}


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the whole system, as the streams tell it."""

    backlogs: dict[str, int]
    """What each stage has yet to do: messages of `raw`, entries of `positions`, and the windows that have changed."""
    oldest_seconds: dict[str, float]
    """Age of the oldest of them by stream, where there is one."""
    totals: dict[str, int]
    """Lifetime counts, in alphabetical order: see `state.totals`."""
    dead_letters: int
    """How many are kept."""


async def read_status(client: Redis, partitions: int) -> Status:
    """Ask Redis, in a few round trips. Raises UnavailableError if it does not answer."""
    # Groups that somebody else has added read the same streams; they are no stages.
    stages = [
        backlog for backlog in await read_ages(client, partitions) if backlog.group in (OBSERVE_GROUP, ARCHIVE_GROUP)
    ]
    windows = await waiting(client, partitions)
    answers: list[Any] = []
    for each in all_redis(client):
        async with each.pipeline(transaction=False) as pipeline:
            for own in (*(tag(partition, partitions) for partition in range(partitions)), MQTT, CAMPUS):
                pipeline.hgetall(totals_key(own))
                pipeline.xlen(dead_key(own))
            answers += await pipeline.execute()
    return Status(
        backlogs={stage.stream: stage.waiting for stage in stages} | {"windows": windows},
        oldest_seconds={stage.stream: stage.oldest_seconds for stage in stages if stage.oldest_seconds is not None},
        totals=added_up(answers[::2]),
        dead_letters=sum(answers[1::2]),
    )
