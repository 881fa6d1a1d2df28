"""How far the decoders are behind with what brokers accepted: so old may a count be, however fresh the answer.

The API may read no message, so it is told the age of those alone that a decoder has in hand. While decoders are behind,
they have some, and those are the oldest. Where none has, as while no decoder runs, what waits came after the last
message that was delivered, and was there at the first look that saw it.
"""

import asyncio

from core.clock import Clock
from state.backlog import Backlog, read_backlogs
from state.client import Redis
from state.raw import OBSERVE_GROUP

CACHE_MS = 1_000
"""How long what was read stays good: many answers share one look at the streams."""


class DecoderLag:
    """The age of the oldest message that no decoder has counted yet, as one process sees it."""

    def __init__(self, client: Redis, *, partitions: int, clock: Clock) -> None:
        self._client = client
        self._partitions = partitions
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read: tuple[int, int] | None = None
        self._looked = False
        self._since: dict[str, tuple[str, int]] = {}
        """Of streams in which messages wait and none is in hand: the last that was delivered, and since when they wait
        (ms since the epoch)."""

    async def seconds(self) -> int:
        """Whole seconds; 0 where nothing waits. At most a second old.

        Raises UnavailableError if Redis does not answer.
        """
        async with self._reading:
            now = self._clock()
            if self._read is not None and 0 <= now - self._read[0] < CACHE_MS:
                return self._read[1]
            backlogs = await read_backlogs(self._client, self._partitions)
            ages = [self._age(each, now) for each in backlogs if each.group == OBSERVE_GROUP]
            self._looked = True
            lag = int(max(ages, default=0))
            self._read = (now, lag)
            return lag

    def _age(self, backlog: Backlog, now: int) -> float:
        """Of the oldest that waits in a stream, seconds; 0 where nothing does."""
        known = self._since.pop(backlog.stream, None)
        if backlog.oldest_seconds is not None or not backlog.undelivered:
            return backlog.oldest_seconds or 0
        if known is None or known[0] != backlog.delivered:
            # It came after the look before. Where there was none, it may be as old as it can be.
            age = 0 if self._looked else backlog.delivered_seconds or 0
            known = backlog.delivered, now - int(1000 * age)
        self._since[backlog.stream] = known
        return max(0, now - known[1]) / 1000
