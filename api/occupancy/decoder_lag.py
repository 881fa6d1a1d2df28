"""How far the decoders are behind with what brokers accepted: so old may a count be, however fresh the answer."""

import asyncio

from core.clock import Clock
from state.backlog import read_backlogs
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

    async def seconds(self) -> int:
        """Whole seconds; 0 where nothing waits. At most a second old.

        Raises UnavailableError if Redis does not answer.
        """
        async with self._reading:
            now = self._clock()
            if self._read is not None and 0 <= now - self._read[0] < CACHE_MS:
                return self._read[1]
            backlogs = await read_backlogs(self._client, self._partitions)
            ages = [
                backlog.oldest_seconds
                for backlog in backlogs
                if backlog.group == OBSERVE_GROUP and backlog.oldest_seconds is not None
            ]
            lag = int(max(ages, default=0))
            self._read = (now, lag)
            return lag
