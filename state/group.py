"""One consumer of a consumer group: reads entries, finishes what was left over, and cuts off what is done."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
from redis.exceptions import ResponseError

from core.errors import UnavailableError
from core.messages import DeadLetter
from state.access import Right, access
from state.client import Redis
from state.codes import code_of
from state.lua import lua
from state.slots import guard
from state.totals import DEAD_TOTAL, dead_key, totals_key

ACCESS = {
    Right.WRITE: [
        access(
            "raw:{p} positions:{p} progress:{p} dead:{p} totals:{p} windows:{campus} dead:{campus} totals:{campus}",
            "EVAL",
        ),
        access(
            "raw:{p} positions:{p} windows:{campus}",
            "EXISTS XACK XCLAIM XGROUP|CREATE XGROUP|DELCONSUMER XGROUP|DESTROY XGROUP|SETID XINFO|CONSUMERS "
            "XINFO|GROUPS XLEN XPENDING XRANGE XREADGROUP XTRIM",
        ),
        access("progress:{p}", "HGET HDEL DEL"),
        access("dead:{p} dead:{campus}", "XADD XLEN"),
        access("totals:{p} totals:{campus}", "HGET HINCRBY HLEN HSET"),
    ]
}
Entry = tuple[bytes, dict[bytes, bytes]]
BLOCK_MS = 500
"""How long a read waits for something to arrive; also how long a stop may go unnoticed."""
GONE_AFTER_MS = 3_600_000
"""A living consumer asks every `BLOCK_MS`; one that has not asked for this long, and has nothing pending, is gone."""
AT_ONCE = 1000
"""Entries that one command or script is told of at the most."""
SKIPPED_AT_ONCE = 100
"""Entries that one script passes over: of those that nobody has read it has all that is in them before it."""

_log = structlog.stdlib.get_logger("decoder")


@dataclass(frozen=True, slots=True)
class Leftover:
    """An entry that was delivered and never acknowledged."""

    entry_id: bytes
    deliveries: int
    """How often it was delivered so far."""
    idle_ms: int
    """How long nobody may have touched it, for it to be claimed."""


class Group:
    """A consumer of one group of one stream.

    `claim_after_ms` is how long an entry may be with a consumer before another takes it over. Until it has an answer of
    its own, every method raises UnavailableError if Redis does not answer.
    """

    def __init__(self, *, client: Redis, stream: str, group: str, consumer: str, claim_after_ms: int) -> None:
        self._client = client
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._claim_after_ms = claim_after_ms
        own = stream.partition(":")[2]
        self._keys = [guard(own), stream]
        self._dead_letter_keys = [*self._keys, dead_key(own), totals_key(own)]
        self._trim = client.register_script(lua("trim") + "return trim(KEYS[2])")
        self._acknowledge = client.register_script(lua("trim", "acknowledge"))
        self._dead_letter = client.register_script(lua("trim", "totals", "dead_letter_entry"))
        self._dismiss = client.register_script(lua("dismiss"))
        self._skip = client.register_script(lua("trim", "skip"))

    def __str__(self) -> str:
        """As sentences call it."""
        return f"{self._group} of {self._stream}"

    async def create(self) -> None:
        """Make the stream and the group, from its first entry on, unless they are there."""
        try:
            await self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def read(self, count: int) -> list[Entry]:
        """New entries, up to `count`; none if nothing arrived within `BLOCK_MS`."""
        async with self._asking():
            answer = await self._client.xreadgroup(
                self._group, self._consumer, {self._stream: ">"}, count=count, block=BLOCK_MS
            )
        found = cast("list[Any]", answer)
        return [(entry_id, fields or {}) for entry_id, fields in found[0][1]] if found else []

    async def own(self, count: int) -> list[Leftover]:
        """What a process of this name had read and not acknowledged, the oldest first."""
        async with self._asking():
            found = await self._client.xpending_range(
                self._stream, self._group, "-", "+", count, consumername=self._consumer
            )
        return _leftovers(found, idle_ms=0)

    async def abandoned(self, count: int) -> list[Leftover]:
        """What any consumer has had for `claim_after_ms` without a sign of life, the oldest first."""
        async with self._asking():
            # Redis looks through all that is pending until it has `count`: XAUTOCLAIM, which stops earlier, would need
            # its cursor carried along, and would deliver a whole page at once.
            found = await self._client.xpending_range(
                self._stream, self._group, "-", "+", count, idle=self._claim_after_ms
            )
        return _leftovers(found, idle_ms=self._claim_after_ms)

    async def claim(self, leftover: Leftover) -> Entry | None:
        """Have it delivered once more, to this consumer; None where somebody was faster, or has finished it."""
        async with self._asking():
            found = await self._client.xclaim(
                self._stream, self._group, self._consumer, leftover.idle_ms, [leftover.entry_id]
            )
        # Of an entry that was cut off the stream by hand, Redis 6 says that it is pending, and nothing else.
        return (leftover.entry_id, cast("Any", found)[0][1] or {}) if found else None

    async def claim_together(self, leftovers: Sequence[Leftover]) -> list[Entry]:
        """Have several delivered once more, to this consumer: those that nobody else was faster with, or has finished.

        They are of one answer of `own` or `abandoned`.
        """
        if not leftovers:
            return []
        async with self._asking():
            found = await self._client.xclaim(
                self._stream,
                self._group,
                self._consumer,
                max(leftover.idle_ms for leftover in leftovers),
                [leftover.entry_id for leftover in leftovers],
            )
        # As in `claim`. Redis 6 has nil in the place of an entry that was cut off by hand: its id is not told.
        return [(each[0], each[1] or {}) for each in cast("Any", found) if each[0] is not None]

    async def keep(self, entry_ids: Sequence[bytes]) -> None:
        """Say that entries are in hand and did no harm: nobody takes them over, and earlier deliveries are forgotten.

        What is acknowledged already stays so.
        """
        await self._hold(entry_ids, idle_ms=0)

    async def held(self, entry_ids: Sequence[bytes]) -> set[bytes]:
        """Those of these entries, in their order, that are still this consumer's to finish.

        Others were finished by whoever took them over, or passed over (`skip_before`): while Redis, or what is waited
        for, was away for long.
        """
        found: set[bytes] = set()
        start = entry_ids[0].decode() if entry_ids else ""
        async with self._asking():
            while start:
                page = cast(
                    "Any",
                    await self._client.xpending_range(
                        self._stream,
                        self._group,
                        start,
                        entry_ids[-1].decode(),
                        AT_ONCE,
                        consumername=self._consumer,
                    ),
                )
                found |= {each["message_id"] for each in page}
                start = f"({page[-1]['message_id'].decode()}" if len(page) == AT_ONCE else ""
        return found.intersection(entry_ids)

    async def give_back(self, entry_ids: Sequence[bytes]) -> None:
        """Leave entries to whoever looks for abandoned ones first; this delivery is not held against them."""
        await self._hold(entry_ids, idle_ms=self._claim_after_ms)

    async def look(self, leftover: Leftover) -> Entry:
        """The entry, without its being delivered; without fields where it is gone."""
        async with self._asking():
            found = cast("Any", await self._client.xrange(self._stream, leftover.entry_id, leftover.entry_id))
        return leftover.entry_id, found[0][1] if found else {}

    async def dead_letter(self, entry_id: bytes, letter: DeadLetter, maximum: int) -> bool:
        """Acknowledge an entry and put `letter` in its place, `maximum` of them at the most: together, and once.

        False where the entry is not pending any more: somebody else has finished it, or made a dead letter of it.
        """
        return await self._put_letter(entry_id, letter, maximum)

    async def _put_letter(self, entry_id: bytes, letter: DeadLetter, maximum: int, *, counted: int = 0) -> bool:
        """`counted` is for how many messages the entry was counted when it was appended."""
        texts = [text for pair in letter.encode().items() for text in pair]
        async with self._asking():
            done = await self._dead_letter(
                keys=self._dead_letter_keys,
                args=[self._group, entry_id, maximum, f"{DEAD_TOTAL}{letter.reason}", counted, *texts],
            )
        return bool(done)

    async def split(self, leftover: Leftover) -> bool:
        """Put several entries in the place of one that holds several things; False where it cannot be split."""
        del leftover
        return False

    def size(self, entries: Sequence[Entry]) -> int:
        """How many things entries hold, as `count` of `read` means them."""
        return len(entries)

    async def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """Tell the group that entries are done, and cut them off as `trim` does.

        Of more than `AT_ONCE` some may be done, and others not, where Redis goes away meanwhile.
        """
        async with self._asking():
            for start in range(0, len(entry_ids), AT_ONCE):
                at_once = entry_ids[start : start + AT_ONCE]
                left = await self._acknowledge(keys=self._keys, args=[self._group, *at_once])
                while left:  # more had piled up than one script cuts off
                    left = await self._trim(keys=self._keys)

    async def trim(self) -> None:
        """Cut off all entries that every group of the stream has acknowledged; never one that is still pending.

        `acknowledge` and `dead_letter` do that by themselves: this is for what other groups have acknowledged since.
        """
        async with self._asking():
            while await self._trim(keys=self._keys):
                pass  # there is more than one script does

    async def before(self, last: str, count: int) -> list[Entry]:
        """Entries up to the id `last`, from the oldest that the group has not finished on: `count` at the most."""
        async with self._asking():
            pending = cast("Any", await self._client.xpending(self._stream, self._group))
            groups = cast("Any", await self._client.xinfo_groups(self._stream))
            delivered = [each["last-delivered-id"] for each in groups if each["name"] == self._group.encode()]
            oldest = pending["min"] if pending["pending"] else b"(" + (delivered or [b"0-0"])[0]
            found = cast("Any", await self._client.xrange(self._stream, oldest, last, count=count))
        return [(entry_id, fields) for entry_id, fields in found]

    async def skip_before(self, last: str) -> int:
        """Pass over all that the group has not finished up to the id `last`, with it; how many entries that were.

        Nobody is given them any more, and what a consumer has in hand of them is not its own any more (`held`).
        """
        skipped = 0
        async with self._asking():
            while True:
                found, left = cast(
                    "list[int]", await self._skip(keys=self._keys, args=[self._group, last, SKIPPED_AT_ONCE])
                )
                while left:
                    left = await self._trim(keys=self._keys)
                skipped += found
                if found < SKIPPED_AT_ONCE:
                    return skipped

    async def destroy(self) -> bool:
        """Remove the group, and cut off what it alone has kept; False where there was none.

        A consumer of it that still asks makes it again.
        """
        try:
            if not await self._client.xgroup_destroy(self._stream, self._group):
                return False
        except ResponseError as error:
            if "key to exist" not in str(error) and "no such key" not in str(error):
                raise
            return False
        while await self._trim(keys=self._keys):
            pass  # there is more than one script does
        return True

    async def empty(self) -> None:
        """Cut off all entries of the stream, whichever of its groups has not taken them."""
        await self._client.xtrim(self._stream, maxlen=0, approximate=False)

    async def is_asked(self, within_ms: int) -> bool:
        """Whether a consumer has asked for entries, or kept some, for so long; False where there is no such group."""
        try:
            consumers = cast("Any", await self._client.xinfo_consumers(self._stream, self._group))
        except ResponseError as error:
            if code_of(error) != "NOGROUP" and "no such key" not in str(error):
                raise
            return False
        return any(consumer["idle"] <= within_ms for consumer in consumers)

    async def dismiss(self) -> list[str]:
        """Remove consumers that are gone (`GONE_AFTER_MS`), and their names: pods have a new one each time."""
        async with self._asking():
            consumers = cast("Any", await self._client.xinfo_consumers(self._stream, self._group))
            gone = [
                consumer["name"]
                for consumer in consumers
                if not consumer["pending"] and consumer["idle"] > GONE_AFTER_MS
            ]
            # A script looks again: to remove a consumer is to forget what is pending for it.
            return [name.decode() for name in gone if await self._dismiss(keys=self._keys, args=[self._group, name])]

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Redis's errors; and where somebody has emptied Redis, or put back an older copy, the group is made again."""
        try:
            yield
        except ResponseError as error:
            if code_of(error) != "NOGROUP" and "no such key" not in str(error):
                raise
            await self.create()
            _log.warning("the group was gone: made again, from the first entry", stream=self._stream, group=self._group)
            raise UnavailableError(f"the group {self._group} of {self._stream} was gone; it is made again") from error

    async def _hold(self, entry_ids: Sequence[bytes], *, idle_ms: int) -> None:
        async with self._asking():
            for start in range(0, len(entry_ids), AT_ONCE):
                await self._client.xclaim(
                    self._stream,
                    self._group,
                    self._consumer,
                    0,
                    list(entry_ids[start : start + AT_ONCE]),
                    idle=idle_ms,
                    retrycount=1,
                    justid=True,
                )


def _leftovers(found: object, *, idle_ms: int) -> list[Leftover]:
    return [Leftover(each["message_id"], each["times_delivered"], idle_ms) for each in cast("Any", found)]
