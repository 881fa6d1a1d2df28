"""A consumer of a raw stream: it reads about as many messages as it wants, and takes apart what decoders die of."""

import math
from collections.abc import Sequence
from typing import Any, cast

from core.messages import DeadLetter
from state.access import Right, access
from state.client import Redis
from state.entries import counted, decode_entry, encode_entry, group_of
from state.group import Entry, Group, Leftover
from state.lua import lua
from state.raw import OBSERVE_GROUP, keys_of
from state.raw_redis import raw_redis
from state.sealing import opened_by, sealing_of

ACCESS = {
    Right.WRITE: [
        access("raw:{p} progress:{p} totals:{p}", "EVAL"),
        access("raw:{p}", "XACK XADD XDEL XPENDING XREADGROUP"),
        access("progress:{p}", "HGET HDEL"),
        access("totals:{p}", "HINCRBY HLEN HSET"),
    ]
}
READ_BYTES = 4 * 1024 * 1024
"""A read ends at so many, too, or a few entries later."""
MOST_AT_ONCE = 16
"""Entries that one command reads: 8 MB, were each as large as it may be."""


class RawGroup(Group):
    """A consumer of the group `observe`."""

    def __init__(self, *, client: Redis, partition: int, partitions: int, consumer: str, claim_after_ms: int) -> None:
        keys = keys_of(partition, partitions)
        self._all = client
        client = raw_redis(client)
        super().__init__(
            client=client, stream=keys.raw, group=OBSERVE_GROUP, consumer=consumer, claim_after_ms=claim_after_ms
        )
        self._dead_letter_keys.append(keys.progress)
        self._split_keys = [*self._keys, keys.progress, keys.totals]
        self._progress = keys.progress
        self._usual = 1.0
        """Messages of an entry, as it was the last time: so one command mostly reads as much as is wanted."""
        self._read = client.register_script(lua("read"))
        self._split = client.register_script(lua("totals", "split"))

    async def read(self, count: int) -> list[Entry]:
        """New entries of about `count` messages, one at least; none if nothing arrived within `BLOCK_MS`."""
        at_once = max(1, min(MOST_AT_ONCE, math.ceil(count / self._usual)))
        found = await super().read(at_once)
        messages = self.size(found)
        if found:
            self._usual = messages / len(found)
        if len(found) == at_once and messages < count:
            # There is more: a script takes it entry by entry, for nobody knows how many messages they have.
            async with self._asking():
                more = await self._read(
                    keys=self._keys, args=[self._group, self._consumer, count - messages, READ_BYTES]
                )
            found += [(entry_id, _fields(texts)) for entry_id, texts in cast("list[Any]", more)]
        return found

    def size(self, entries: Sequence[Entry]) -> int:
        """How many messages entries hold."""
        return sum(max(1, counted(fields)) for _, fields in entries)

    async def opened(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries as they were before they were sealed. Raises UnavailableError where the keys are away."""
        return await opened_by(self._all, entries)

    async def look(self, leftover: Leftover) -> Entry:
        """As of any stream, and opened."""
        (entry,) = await self.opened([await super().look(leftover)])
        return entry

    async def dead_letter(self, entry_id: bytes, letter: DeadLetter, maximum: int) -> bool:
        """As of any stream; its messages do not wait any more."""
        _, fields = await self.look(Leftover(entry_id, 0, 0))
        return await self._put_letter(entry_id, letter, maximum, counted=counted(fields))

    async def split(self, leftover: Leftover) -> bool:
        """Put an entry of one message each in the place of one with several.

        False where it has one, or nobody can read it: then it is to become a dead letter as a whole.
        """
        _, fields = await self.look(leftover)
        try:
            messages = decode_entry(fields)
        except ValueError:
            return False
        if len(messages) < 2:  # noqa: PLR2004 - that is what "several" means
            return False
        async with self._asking():
            done = int(cast("Any", await self._client.hget(self._progress, leftover.entry_id.decode())) or 0)
            entries = [encode_entry([group_of(message)]) for message in messages[done:]]
            if sealing := sealing_of(self._all):
                entries, _ = await sealing.sealed(entries)
            await self._split(
                keys=self._split_keys,
                args=[
                    self._group,
                    leftover.entry_id,
                    done,
                    *(entry.batch for entry in entries),
                ],
            )
        # Nothing was done where somebody else had it meanwhile: it is not abandoned then.
        return True


def _fields(texts: list[bytes] | None) -> dict[bytes, bytes]:
    return dict(zip(texts[::2], texts[1::2], strict=True)) if texts else {}
