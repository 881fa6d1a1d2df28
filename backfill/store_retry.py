"""How a backfill waits for a store: with backoff, as long as the store asks, and not for ever."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import UnavailableError
from runtime import retry

LASTING_SECONDS = 600.0
"""A store that has not answered for so long is away for longer than anybody wants to watch."""
Result = TypeVar("Result")


class StoreRetry:
    """The attempts to ask one store. One that never answered is given up at once: most likely its address is wrong."""

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

    async def until_available(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """As `runtime.retry.until_available`; raises UnavailableError where the store is given up."""
        return await retry.until_available(work, told=self, backoff=retry.FOR_STORES)

    def answered(self) -> None:
        """Note that the store did."""
        self._answered_at = self._monotonic()
        if self._waits:
            self._waits = False
            self._say(None)

    def waits(self, error: UnavailableError) -> bool:
        """Whether the store is to be asked again."""
        if isinstance(error, self._works):
            self._answered_at = self._monotonic()
        if self._answered_at is None or self._monotonic() - self._answered_at > LASTING_SECONDS:
            return False
        self._waits = True
        self._say(str(error))
        return True
