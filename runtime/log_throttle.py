"""A line of the log now and then, however often its reason happens."""

from collections.abc import Callable

EVERY_SECONDS = 60.0
MAX_REMEMBERED = 1000


class LogThrottle:
    """Lets through one line a minute for each key. `clock` gives seconds, and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def lets_through(self, key: str) -> bool:
        """Whether it is time to log it again; True counts as logged."""
        now = self._clock()
        if now - self._logged.get(key, -EVERY_SECONDS) < EVERY_SECONDS:
            return False
        if len(self._logged) >= MAX_REMEMBERED:
            self._logged.clear()
        self._logged[key] = now
        return True
