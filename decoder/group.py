"""One consumer of a consumer group: reads entries, takes over what others left, and cuts off what is done."""

from collections.abc import Sequence
from typing import Any, cast

from redis.exceptions import ResponseError

from core.redis import Redis, redis_errors

Entry = tuple[bytes, dict[bytes, bytes]]
BLOCK_MS = 500
"""How long a read waits for something to arrive; also how long a stop may go unnoticed."""


class Group:
    """A consumer of one group of one stream.

    `claim_after_ms` is how long an entry may be with a consumer before another takes it over: longer than any batch
    takes. Until it has an answer of its own, every method raises Unavailable if Redis does not answer.
    """

    def __init__(self, *, client: Redis, stream: str, group: str, consumer: str, claim_after_ms: int) -> None:
        self._client = client
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._claim_after_ms = claim_after_ms

    async def create(self) -> None:
        """Make the stream and the group, from its first entry on, unless they are there."""
        with redis_errors():
            try:
                await self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def read(self, count: int) -> list[Entry]:
        """New entries, up to `count`; none if nothing arrived within `BLOCK_MS`."""
        with redis_errors():
            answer = await self._client.xreadgroup(
                self._group, self._consumer, {self._stream: ">"}, count=count, block=BLOCK_MS
            )
        return _entries(cast("Any", answer))

    async def own(self, count: int) -> list[Entry]:
        """Entries that a process of this name had read and not acknowledged, the oldest first."""
        with redis_errors():
            answer = await self._client.xreadgroup(self._group, self._consumer, {self._stream: "0"}, count=count)
        return _entries(cast("Any", answer))

    async def abandoned(self, count: int) -> list[Entry]:
        """Take over entries that another consumer has had for `claim_after_ms`, the oldest first."""
        with redis_errors():
            answer = await self._client.xautoclaim(
                self._stream, self._group, self._consumer, min_idle_time=self._claim_after_ms, count=count
            )
        return [(entry_id, fields or {}) for entry_id, fields in cast("Any", answer)[1]]

    async def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """Tell the group that entries are done."""
        with redis_errors():
            await self._client.xack(self._stream, self._group, *entry_ids)

    async def trim(self) -> None:
        """Cut off all entries that every group of the stream has acknowledged; never one that is still pending."""
        with redis_errors():
            # Asked first: what is delivered after this counts as not delivered, which errs on the safe side.
            groups = cast("Any", await self._client.xinfo_groups(self._stream))
            done = []
            for group in groups:
                pending = cast("Any", await self._client.xpending(self._stream, group["name"]))
                delivered = _after(group["last-delivered-id"])
                done.append(min(delivered, _key(pending["min"])) if pending["pending"] else delivered)
            milliseconds, sequence = min(done)
            await self._client.xtrim(self._stream, minid=f"{milliseconds}-{sequence}", approximate=False)


def _entries(answer: list[Any]) -> list[Entry]:
    """The entries of the one stream that was asked for; those that were cut off meanwhile have no fields."""
    return [(entry_id, fields or {}) for entry_id, fields in answer[0][1]] if answer else []


def _key(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)


def _after(entry_id: bytes) -> tuple[int, int]:
    milliseconds, sequence = _key(entry_id)
    return milliseconds, sequence + 1
