"""How a backup waits for a store: a few times, with backoff. Whoever starts it, such as a CronJob, starts it again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import UnavailableError
from runtime import retry

ATTEMPTS = 6
"""With the waits between them half a minute at the least."""
Result = TypeVar("Result")


class _Attempts:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._left = ATTEMPTS - 1
        self._say = say

    def waits(self, error: UnavailableError) -> bool:
        self._left -= 1
        if self._left >= 0:
            self._say(f"waiting: {error}")
        return self._left >= 0

    def answered(self) -> None:
        pass


async def patiently(work: Callable[[], Awaitable[Result]], say: Callable[[str], None]) -> Result:
    """The result of `work`, which is safe to do again. Raises UnavailableError after `ATTEMPTS`."""
    return await retry.until_available(work, told=_Attempts(say), backoff=retry.FOR_STORES)
