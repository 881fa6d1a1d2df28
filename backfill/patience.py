"""How a backfill waits for a store: with backoff, as long as the store asks, and not for ever."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from core.errors import UnavailableError

LASTING_SECONDS = 600.0
"""A store that has not answered for so long is away for longer than anybody wants to watch."""
WAIT_MAX_SECONDS = 10.0
JITTER_SECONDS = 0.1
Answer = TypeVar("Answer")


class Patience:
    """With one store. One that never answered is told of at once: most likely its address is wrong."""

    def __init__(
        self,
        say: Callable[[str | None], None],
        *,
        works: tuple[type[UnavailableError], ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` hears what is waited for, and None once it is there again; `works` are errors of one that is busy."""
        self._works = works
        self._say = say
        self._monotonic = monotonic
        self._answered_at: float | None = None
        self._waits = False

    def answered(self) -> None:
        """Note that the store did."""
        self._answered_at = self._monotonic()
        if self._waits:
            self._waits = False
            self._say(None)

    def attempts(self) -> "stamina._core._RetryContextIterator":  # its type has no public name
        """As `stamina.retry_context`; an attempt that gets something done calls `answered`."""
        return stamina.retry_context(on=self._again, attempts=None, timeout=None, wait_max=WAIT_MAX_SECONDS)

    async def ask(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, which must be safe to do twice."""
        async for attempt in self.attempts():
            with attempt:
                answer = await work()
                self.answered()
                return answer
        raise AssertionError("retries without an end have ended")

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, UnavailableError):
            return False
        if isinstance(error, self._works):
            self._answered_at = self._monotonic()
        if self._answered_at is None or self._monotonic() - self._answered_at > LASTING_SECONDS:
            return False
        self._waits = True
        self._say(str(error))
        return True if error.retry_after is None else error.retry_after + random.uniform(0, JITTER_SECONDS)  # noqa: S311 - no secret
