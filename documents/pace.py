"""Keeping within a plan that allows so many writes a second."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

SECOND = 1.02
"""How long a write counts: a second, and what two machines' clocks may differ by in one."""


class Pace:
    """At most so many writes within any second, as the server sees them. Of one process: it knows of no other.

    Cloudant looks at a sliding second, counts each document of a request, and counts a request when it arrives, of
    which we know only that it was before its answer. So a write counts until a second after its answer, and one
    request goes at a time.
    """

    def __init__(
        self,
        per_second: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`now` and `sleep` are in seconds."""
        self.per_second = per_second
        self._now = now
        self._sleep = sleep
        self._answered: deque[tuple[float, int]] = deque()
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def writing(self, documents: int) -> AsyncIterator[None]:
        """Wait until there is room for that many documents, `per_second` at the most, and count them."""
        async with self._one:
            while True:
                now = self._now()
                while self._answered and self._answered[0][0] + SECOND <= now:
                    self._answered.popleft()
                if sum(count for _, count in self._answered) + documents <= self.per_second:
                    break
                await self._sleep(self._answered[0][0] + SECOND - now)
            try:
                yield
            finally:
                # Also what was refused, or never answered, may have been counted.
                self._answered.append((self._now(), documents))
