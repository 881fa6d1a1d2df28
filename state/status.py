"""What Redis holds at present: the backlog of each stage, and the lifetime counts."""

from dataclasses import dataclass
from typing import Any

from state.access import Right, access
from state.backlog import Backlog
from state.client import Redis
from state.dirty_windows import waiting
from state.oldest import read_ages
from state.raw import ARCHIVE_GROUP, EXPORT_GROUPS, OBSERVE_GROUP
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
    """What each stage has yet to do: messages of `raw`, entries of `positions`, and the windows that have changed.

    What is exported is named by its group, too: `positions:{0} export-kafka`."""
    oldest_seconds: dict[str, float]
    """Age of the oldest of them by stream, and group, where there is one."""
    totals: dict[str, int]
    """Lifetime counts, in alphabetical order: see `state.totals`."""
    dead_letters: int
    """How many are kept."""


async def read_status(client: Redis, partitions: int) -> Status:
    """Ask Redis, in a few round trips. Raises UnavailableError if it does not answer."""
    # Groups that somebody else has added read the same streams; they are no stages.
    stages = {name: found for found in await read_ages(client, partitions) if (name := _name(found))}
    windows = await waiting(client, partitions)
    answers: list[Any] = []
    for each in all_redis(client):
        async with each.pipeline(transaction=False) as pipeline:
            for own in (*(tag(partition, partitions) for partition in range(partitions)), MQTT, CAMPUS):
                pipeline.hgetall(totals_key(own))
                pipeline.xlen(dead_key(own))
            answers += await pipeline.execute()
    return Status(
        backlogs={name: stage.waiting for name, stage in stages.items()} | {"windows": windows},
        oldest_seconds={
            name: stage.oldest_seconds for name, stage in stages.items() if stage.oldest_seconds is not None
        },
        totals=added_up(answers[::2]),
        dead_letters=sum(answers[1::2]),
    )


def _name(backlog: Backlog) -> str | None:
    """How a stage's backlog is called; None of a group that is none of a stage's."""
    if backlog.group in (OBSERVE_GROUP, ARCHIVE_GROUP):
        return backlog.stream
    return f"{backlog.stream} {backlog.group}" if backlog.group in EXPORT_GROUPS.values() else None
