"""What the stages have yet to do, as their consumer groups tell it: for operators, and for whoever scales decoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from state.access import Right, access
from state.client import Redis
from state.raw import ARCHIVE_GROUP, OBSERVE_GROUP, keys_of
from state.raw_redis import raw_redis
from state.totals import ACCEPTED, FINISHED, lifetime_counts

ACCESS = {
    # Nothing that tells what is in an entry.
    Right.READ: [
        access("raw:{p} positions:{p}", "XLEN XINFO|GROUPS XPENDING"),
        access("totals:{p}", "HMGET"),
        access("", "TIME"),
    ]
}

NONE_DELIVERED = "0-0"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one group has yet to do in one stream."""

    stream: str
    group: str
    undelivered: int
    """Entries that no consumer has asked for."""
    pending: int
    """Entries that a consumer has in hand, or has left unfinished."""
    waiting: int
    """What it has yet to do: messages of `raw`, entries of `positions`."""
    oldest_seconds: float | None
    """Age of the oldest of them, by the clock of Redis; None where there is none, or none is pending: that of the first
    that is undelivered is in no answer but the entry itself (`state.oldest`)."""
    delivered: str = NONE_DELIVERED
    """The last entry that a consumer has asked for."""
    delivered_seconds: float | None = None
    """Its age; None where nobody ever asked for one. What is undelivered is younger."""


async def read_backlogs(client: Redis, partitions: int) -> list[Backlog]:
    """The backlog of every group of the streams `raw` and `positions`, in two round trips. No entry is read.

    The groups `observe` and `archive` are there even before a decoder has made them. Exact where Redis knows a group's
    lag (7.0 and later, until it is started again); else by the length of the stream, which is that or a little more,
    since streams are cut off behind the groups. Messages of `raw` are exact. Raises UnavailableError if Redis does not
    answer.
    """
    client = raw_redis(client)
    keys = [keys_of(partition, partitions) for partition in range(partitions)]
    meant = [(each.raw, OBSERVE_GROUP) for each in keys] + [(each.positions, ARCHIVE_GROUP) for each in keys]
    found = await _groups(client, meant)
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for stream, group in found:
            # Of a group that nobody has made, nothing is pending; to ask would be an error.
            if group.made:
                pipeline.xpending(stream, group.name)
        for each in keys:
            pipeline.hmget(each.totals, ACCEPTED, FINISHED)
        (seconds, microseconds), *answers = await pipeline.execute()
    waiting = {each.raw: _waiting(*counts) for each, counts in zip(keys, answers[-len(keys) :], strict=True)}
    now = seconds * 1000 + microseconds // 1000
    backlogs = []
    for stream, group in found:
        oldest = answers.pop(0)["min"] if group.made else None
        entries = group.undelivered + group.pending
        # Messages are counted for the decoders, behind whom the stream is cut off. Some entries were not counted.
        messages = max(entries, waiting.get(stream, 0)) if group.name == OBSERVE_GROUP and entries else entries
        backlogs.append(
            Backlog(
                stream,
                group.name,
                group.undelivered,
                group.pending,
                messages,
                # Entries are delivered in their order: what is pending is older than what is not delivered.
                None if oldest is None else age_of(oldest, now),
                group.delivered,
                None if group.delivered == NONE_DELIVERED else age_of(group.delivered.encode(), now),
            )
        )
    return backlogs


def group_backlog(stream: str, told: dict[str, Any], length: int, *, oldest: bytes | None, now: int) -> Backlog:
    """That of a group of another stream, as XINFO GROUPS has told it, by its oldest entry; `now` is in ms."""
    group = _group(told, length)
    return Backlog(
        stream,
        group.name,
        group.undelivered,
        group.pending,
        group.undelivered + group.pending,
        None if oldest is None else age_of(oldest, now),
        group.delivered,
        None if group.delivered == NONE_DELIVERED else age_of(group.delivered.encode(), now),
    )


def age_of(entry_id: bytes, now: int) -> float:
    """Seconds since an entry was added, at `now` (ms since the epoch)."""
    return max(0, now - int(entry_id.partition(b"-")[0])) / 1000


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    undelivered: int
    pending: int = 0
    delivered: str = NONE_DELIVERED
    made: bool = True


async def _groups(client: Redis, meant: Sequence[tuple[str, str]]) -> list[tuple[str, _Group]]:
    async with client.pipeline(transaction=False) as pipeline:
        for stream, _ in meant:
            pipeline.xlen(stream)
            pipeline.xinfo_groups(stream)
        answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            # A stream that nothing was ever added to has no groups, and XINFO calls that an error.
            if isinstance(answer, Exception) and not is_no_stream(answer):
                raise answer
    groups = []
    for (stream, name), length, told in zip(meant, answers[::2], answers[1::2], strict=True):
        known = [] if isinstance(told, Exception) else [_group(each, length) for each in told]
        if name not in {group.name for group in known}:
            known.append(_Group(name, undelivered=length, made=False))
        groups += [(stream, group) for group in known]
    return groups


def _group(told: dict[str, Any], length: int) -> _Group:
    lag, pending = told.get("lag"), told["pending"]
    at_most = max(0, length - pending)
    return _Group(
        name=told["name"].decode(errors="backslashreplace"),
        # Once Redis 7 has loaded its append-only file, which keeps no reads, its lag may be far too high, and stays so.
        undelivered=at_most if lag is None else min(lag, at_most),
        pending=pending,
        delivered=told["last-delivered-id"].decode(),
    )


def _waiting(accepted: bytes | None, finished: bytes | None) -> int:
    counts = lifetime_counts({b"accepted": accepted or b"", b"finished": finished or b""})
    return counts.get(ACCEPTED, 0) - counts.get(FINISHED, 0)


def is_no_stream(answer: Exception) -> bool:
    """Whether this says that there is no such stream."""
    return isinstance(answer, ResponseError) and "no such key" in str(answer)
