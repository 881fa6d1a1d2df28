"""A line of the log now and then, however often its reason happens; and how many it stands for."""

from collections.abc import Callable, Iterable

EVERY_SECONDS = 60.0
MAX_REMEMBERED = 1000
FORGOTTEN = "others"
"""What is held back of keys that are more than can be remembered."""


class LogThrottle:
    """Lets through one line a minute for each key. `clock` gives seconds, and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def lets_through(self, key: str) -> bool:
        """Whether it is time to log it again; True counts as logged."""
        now = self._clock()
        if now - self._logged.get(key, -EVERY_SECONDS) < EVERY_SECONDS:
            self._held[key] = self._held.get(key, 0) + 1
            return False
        if key not in self._logged and len(self._logged) >= MAX_REMEMBERED:
            self._make_room(now)
        self._logged[key] = now
        return True

    def held_back(self, key: str) -> int:
        """How many lines were held back since the last one of this key, and are not told yet; from now on they are."""
        return self._held.pop(key, 0)

    def overdue(self) -> Iterable[tuple[str, int]]:
        """What is held back of keys whose last line is a minute ago: from now on it is told, and counts as a line."""
        now = self._clock()
        due = [key for key in self._held if now - self._logged.get(key, -EVERY_SECONDS) >= EVERY_SECONDS]
        for key in due:
            if key in self._logged:
                self._logged[key] = now
        return [(key, self._held.pop(key)) for key in due]

    def rest(self) -> Iterable[tuple[str, int]]:
        """All that is held back, for whoever will say nothing more."""
        held, self._held = self._held, {}
        return held.items()

    def _make_room(self, now: float) -> None:
        self._logged = {key: at for key, at in self._logged.items() if now - at < EVERY_SECONDS}
        if len(self._logged) >= MAX_REMEMBERED:
            self._logged.clear()
        if not self._logged or len(self._held) >= MAX_REMEMBERED:
            # Nobody need have asked what is overdue.
            left = {key: count for key, count in self._held.items() if key in self._logged}
            if forgotten := sum(self._held.values()) - sum(left.values()):
                left[FORGOTTEN] = forgotten
            self._held = left
