"""Saying something now and then, however often it happens."""

from collections.abc import Callable

EVERY_SECONDS = 60.0
MAX_REMEMBERED = 1000


class Seldom:
    """Whether something is to be said: once a minute for each key. `clock` gives seconds, and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        """Whether it is time to say it again."""
        now = self._clock()
        if now - self._said.get(key, -EVERY_SECONDS) < EVERY_SECONDS:
            return False
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said[key] = now
        return True
