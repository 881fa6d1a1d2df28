"""What brokers and the API accepted and no decoder has finished, and how far decoders are with it.

Of a partition, by its hash tag (`state.slots`); all in one slot:

    raw:{p}        stream  an entry a batch of messages (`state.entries`); consumer group `observe`. Entries are
                           acknowledged after their effects, and cut off below the oldest entry that is still pending
    progress:{p}   hash    id of an entry -> how many of its messages are done, where all are too much for one step
    positions:{p}  stream  several positions to an entry: `d` (`core.messages.encode_positions`), in `i` which of
                           them are implausible, and in `t` of which entries of `raw` they are, of those that are traced
                           (`state.traces`), joined by commas; group `archive`, and one for each target of the
                           export that is chosen: `export-parquet`, `export-kafka`
    dead:{p}       stream  dead letters, see `state.dead_letters`
    totals:{p}     hash    lifetime counts, see `state.totals`. Of them `accepted` and `finished` are the messages that
                           were appended, and that are done: what is between them waits

What is done once, with messages whose effects are there, is one script (`state/lua/finish.lua`): totals, dead letters,
positions for the archive, and the acknowledgement. Effects may be repeated; they lie where the devices do.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec

from core.errors import UnavailableError
from core.messages import DeadLetter, Position, encode_positions
from state.access import Right, access
from state.client import Redis
from state.durability import Writes
from state.entries import Entry
from state.lua import lua
from state.raw_redis import raw_redis
from state.sealing import ALWAYS, sealing_of
from state.slots import guard, tag
from state.totals import DEAD_TOTAL, FINISHED, dead_key, lifetime_counts, totals_key

ACCESS = {
    Right.READ: [access("totals:{p}", "HMGET")],
    # Whoever appends can read nothing of what waits.
    Right.TELL: [
        access("raw:{p} progress:{p} totals:{p}", "EVAL"),
        access("raw:{p}", "XADD XLEN"),
        access("progress:{p}", "DEL"),
        access("totals:{p}", "HGET HINCRBY HMGET HSET"),
    ],
    Right.WRITE: [
        access("raw:{p} progress:{p} positions:{p} dead:{p} totals:{p}", "EVAL"),
        access("raw:{p}", "EXISTS XACK XINFO|GROUPS XLEN XPENDING XRANGE XTRIM"),
        access("progress:{p}", "HLEN HMGET HSET HDEL DEL"),
        access("positions:{p} dead:{p}", "XADD XLEN"),
        access("totals:{p}", "HDEL HGET HINCRBY HSET"),
    ],
}
OBSERVE_GROUP = "observe"
ARCHIVE_GROUP = "archive"
EXPORT_GROUPS = {"parquet": "export-parquet", "kafka": "export-kafka"}
"""By target: one that is away holds up no other."""
POSITION_GROUPS = (ARCHIVE_GROUP, *EXPORT_GROUPS.values())
"""Those of the stream `positions`; only the first is always there."""
TRACED = b"t"


class PartitionKeys(NamedTuple):
    """The keys of one partition that this module and its neighbours own."""

    guard: str
    raw: str
    progress: str
    positions: str
    dead: str
    totals: str


@lru_cache(maxsize=1024)
def keys_of(partition: int, partitions: int) -> PartitionKeys:
    """Of a partition, from 0, of so many."""
    own = tag(partition, partitions)
    return PartitionKeys(
        guard(own), f"raw:{own}", f"progress:{own}", f"positions:{own}", dead_key(own), totals_key(own)
    )


async def work_done(client: Redis, partitions: int) -> int:
    """A number that goes up with each message that decoders finish, in any partition. Raises UnavailableError."""
    async with raw_redis(client).pipeline(transaction=False) as pipeline:
        for partition in range(partitions):
            # Those of the version before were not counted when they were appended.
            pipeline.hmget(keys_of(partition, partitions).totals, FINISHED, "messages")
        answers = await pipeline.execute()
    found = [lifetime_counts({b"finished": one or b"", b"messages": other or b""}) for one, other in answers]
    return sum(sum(counts.values()) for counts in found)


class Appended(NamedTuple):
    """What an append came to."""

    waiting: int
    """Messages of the partition that wait for a decoder."""
    taken: bool
    """False where more wait than may."""


class Raw:
    """The raw streams of all partitions, for those who append to them."""

    def __init__(self, *, client: Redis, partitions: int, writes: Writes | None = None) -> None:
        """`writes`, of the Redis of `raw`, says when what was appended counts; unless given, once it has answered."""
        self._partitions = partitions
        self._sealing = sealing_of(client)
        client = raw_redis(client)
        self._writes = writes or Writes(client)
        self._append = client.register_script(lua("totals", "append"))

    async def append(self, partition: int, entries: Sequence[Entry], *, most: int) -> Appended:
        """Append entries in their order, all of them, unless more than `most` messages wait already.

        They are there when this returns, as durable as DURABILITY asks for. Raises UnavailableError if Redis does not
        answer: they may be there then or not, and it does no harm to append them again.
        """
        keys = keys_of(partition, self._partitions)
        until = ALWAYS
        if self._sealing is not None:
            entries, until = await self._sealing.sealed(entries)
        answer = await self._writes.run(
            self._append,
            keys=[keys.guard, keys.raw, keys.progress, keys.totals],
            args=[most, *(text for entry in entries for text in entry)],
        )
        if self._sealing is not None and not self._sealing.counts(until):
            raise UnavailableError("what was appended took so long that its key may be gone")
        waiting, taken = cast("tuple[int, int]", answer)
        return Appended(waiting, bool(taken))


class Part(NamedTuple):
    """An entry, and which of its messages are done together with those of others."""

    entry_id: bytes
    first: int
    """How many of its messages were done before."""
    end: int | None
    """How many are done afterwards; None where it comes to its end."""
    counted: int
    """How many of those that are done now were counted when they were appended."""


class Finisher:
    """Does what is done once, for all partitions."""

    def __init__(self, *, client: Redis, partitions: int, dead_letters_max: int) -> None:
        """`dead_letters_max` is of one partition."""
        self._sealing = sealing_of(client)
        client = raw_redis(client)
        self._partitions = partitions
        self._dead_letters_max = dead_letters_max
        self._finish = client.register_script(lua("trim", "totals", "finish"))
        self._trim = client.register_script(lua("trim") + "return trim(KEYS[2])")

    async def finish(
        self,
        partition: int,
        parts: Sequence[Part],
        *,
        totals: Counter[str],
        positions: Sequence[Position] = (),
        implausible: Sequence[int] = (),
        letters: Sequence[DeadLetter] = (),
        traced: Sequence[bytes] = (),
    ) -> dict[bytes, int | None] | None:
        """Do what is done once with some messages, acknowledge the entries that come to their end, and cut them off.

        `parts` are of several entries in their order; only the last may not come to its end. `implausible` are indices
        of `positions`, `traced` ids of those entries whose positions are traced; dead letters are counted by this. None
        where it was done. Nothing is done where one of the entries is not as `parts` says: then the answer is, of each
        of them, how many messages are done, None for all. Raises UnavailableError if Redis does not answer: it may be
        done or not, and is to be tried again.
        """
        fields = [letter.encode() for letter in letters]
        if self._sealing is not None:
            fields = [await self._sealing.sealed_letter(each) for each in fields]
        counts = totals + Counter(f"{DEAD_TOTAL}{letter.reason}" for letter in letters)
        given: dict[str, Any] = {
            "entries": [part.entry_id.decode() for part in parts],
            "from": [part.first for part in parts],
            "to": parts[-1].end,
            "counts": [part.counted for part in parts],
            "marked": ",".join(map(str, implausible)),
            "totals": list(counts.items()),
            "letters": [2 * len(each) for each in fields],
            "letters_max": self._dead_letters_max,
        }
        if traced:
            given["traced"] = b",".join(traced).decode()
        keys = keys_of(partition, self._partitions)
        texts: list[Any] = [text for each in fields for pair in each.items() for text in pair]
        answer = await self._finish(
            keys=list(keys),
            args=[
                OBSERVE_GROUP,
                msgspec.msgpack.encode(given),
                encode_positions(list(positions)) if positions else b"",
                *texts,
            ],
        )
        if isinstance(answer, list):
            known = cast("list[int]", answer)
            return {part.entry_id: None if done < 0 else done for part, done in zip(parts, known, strict=True)}
        left = answer
        while left:
            left = await self._trim(keys=[keys.guard, keys.raw])
        return None
