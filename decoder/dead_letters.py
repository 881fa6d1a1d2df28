"""What could not be used, and why, as Redis keeps it: buried by the stages; read, replayed and dropped by people."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio.client import Pipeline

from core.clock import EARLIEST_MS, LATEST_MS
from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from state import streams
from state.client import Redis, redis_errors
from state.lua import lua
from state.slots import partition_of
from state.totals import lifetime_counts

BATCH = 100
"""Letters to a round trip: with payloads of the largest size they are 9 MB."""
FIRST, LAST = "-", "+"
# Whole nodes of the stream first, so that no script takes long. KEYS: dead, totals. ARGV: before when (ms), the total's
# name. Answers how many it removed, and 1 if there may be more.
_EXPIRE = """
local gone = redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[1], 'LIMIT', 500)
local left = gone > 400 and 1 or 0
if left == 0 then
    gone = gone + redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
end
if gone > 0 then
    redis.call('HINCRBY', KEYS[2], ARGV[2], gone)
end
return {gone, left}
"""

Found = tuple[str, DeadLetter]
"""A dead letter with its id."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which letters are meant; what is None does not matter."""

    reason: Reason | None = None
    since: int | None = None
    """Received at this time or later, in milliseconds since the epoch."""
    before: int | None = None
    """Received before this time, in milliseconds since the epoch."""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (self.reason is None or letter.reason is self.reason)
            and (self.since is None or letter.received_at >= self.since)
            and (self.before is None or letter.received_at < self.before)
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """How many dead letters there are and were."""

    ever: dict[str, int]
    """Buried, by reason, in alphabetical order."""
    kept: int
    replayed: int
    dropped: int
    """By hand."""
    expired: int
    """Older than DEAD_LETTERS_KEEP."""

    @property
    def capped(self) -> int:
        """Pushed out by newer ones, once there were DEAD_LETTERS_MAX."""
        return max(0, sum(self.ever.values()) - self.kept - self.replayed - self.dropped - self.expired)


def bury(pipeline: Pipeline, letters: Iterable[DeadLetter], maximum: int) -> None:
    """Add to a transaction that dead letters are kept, `maximum` of them at the most, and counted."""
    for letter in letters:
        pipeline.xadd(streams.DEAD, letter.encode(), maxlen=maximum, approximate=False)  # type: ignore[arg-type]  # redis-py's dict is invariant
        pipeline.hincrby(streams.TOTALS, f"dead:{letter.reason}", 1)


async def kept(client: Redis) -> Kept:
    """How many there are and were. Raises Unavailable if Redis does not answer, as all that follows."""
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.xlen(streams.DEAD)
        pipeline.hgetall(streams.TOTALS)
        with redis_errors():
            length, totals = await pipeline.execute()
    counted = Counter(lifetime_counts(totals))
    return Kept(
        ever={
            name.removeprefix(streams.DEAD_TOTAL): count
            for name, count in sorted(counted.items())
            if name.startswith(streams.DEAD_TOTAL)
        },
        kept=length,
        replayed=counted[streams.REPLAYED],
        dropped=counted[streams.DROPPED],
        expired=counted[streams.EXPIRED],
    )


async def expire(client: Redis, before: int) -> int:
    """Remove what was buried before a time (milliseconds since the epoch), for ever; how many."""
    expired = 0
    expire_some = client.register_script(_EXPIRE)
    while True:
        with redis_errors():
            answer = await expire_some(keys=[streams.DEAD, streams.TOTALS], args=[before, streams.EXPIRED])
        some, left = cast("list[int]", answer)
        expired += some
        if not left:
            return expired


async def newest(client: Redis, which: Which) -> AsyncIterator[Found]:
    """The letters that are meant, the newest first."""
    last = LAST
    while True:
        with redis_errors():
            page = cast("list[Any]", await client.xrevrange(streams.DEAD, last, FIRST, count=BATCH))
        if not page:
            return
        for found in map(_decoded, page):
            if which.matches(found[1]):
                yield found
        last = f"({page[-1][0].decode()}"


async def batches(client: Redis, which: Which) -> AsyncIterator[list[Found]]:
    """The letters that are meant, the oldest first, in batches; none that is buried after this began."""
    with redis_errors():
        end = cast("list[Any]", await client.xrevrange(streams.DEAD, count=1))
    first = FIRST
    while end:
        with redis_errors():
            page = cast("list[Any]", await client.xrange(streams.DEAD, first, end[0][0], count=BATCH))
        if not page:
            return
        yield [found for found in map(_decoded, page) if which.matches(found[1])]
        first = f"({page[-1][0].decode()}"


async def named(client: Redis, letter_ids: Sequence[str]) -> list[Found]:
    """The letters with these ids, as far as they are there."""
    async with client.pipeline(transaction=False) as pipeline:
        for letter_id in letter_ids:
            pipeline.xrange(streams.DEAD, letter_id, letter_id)
        with redis_errors():
            answers = await pipeline.execute()
    return [_decoded(entry) for answer in answers for entry in answer]


async def replay(client: Redis, letters: Iterable[Found], partitions: int) -> int:
    """Put the messages of letters back into `raw`, each in place of its letter; how many.

    A letter whose payload was not kept stays, and so does nothing of one that somebody else has taken meanwhile. It is
    safe to do this again after a failure: a letter is gone if and only if its message is in the stream.
    """
    replayable = [(letter_id, letter) for letter_id, letter in letters if letter.payload is not None]
    take = client.register_script(lua("take_letter"))
    async with client.pipeline(transaction=False) as pipeline:
        for letter_id, letter in replayable:
            message = RawMessage(letter.topic, letter.user, letter.role, letter.received_at, letter.payload or b"")
            # Any partition will do, for nothing depends on the order; this one spreads them.
            stream = streams.raw(partition_of(letter_id, partitions))
            texts = [text for pair in message.encode().items() for text in pair]
            await take(
                keys=[streams.DEAD, streams.TOTALS, stream],
                args=[letter_id, streams.REPLAYED, *texts],
                client=pipeline,
            )
        with redis_errors():
            return sum(await pipeline.execute())


async def drop(client: Redis, letter_ids: Iterable[str]) -> int:
    """Remove letters for ever; how many."""
    take = client.register_script(lua("take_letter"))
    async with client.pipeline(transaction=False) as pipeline:
        for letter_id in letter_ids:
            await take(keys=[streams.DEAD, streams.TOTALS], args=[letter_id, streams.DROPPED], client=pipeline)
        with redis_errors():
            return sum(await pipeline.execute())


def _decoded(entry: tuple[bytes, dict[bytes, bytes]]) -> Found:
    entry_id, fields = entry
    letter = None
    with suppress(KeyError, ValueError):
        letter = DeadLetter.decode(fields)
    if letter is None or not EARLIEST_MS <= letter.received_at <= LATEST_MS:
        # A newer version's, say: it can be seen, and dropped.
        at = min(int(entry_id.partition(b"-")[0]), LATEST_MS)
        detail = "an entry of the stream dead that no decoder of this version wrote"
        letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", at, payload=None)
    return entry_id.decode(), letter
