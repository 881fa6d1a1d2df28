"""Token buckets by key: so much at once, and then so much a second, for each of many; bounded in how many it knows."""

from collections import OrderedDict
from collections.abc import Callable

MAX_KEYS = 10_000
"""Keys that are told apart; of those above it the one that was silent for the longest time is forgotten."""


class Buckets:
    """A token bucket for each key."""

    def __init__(self, *, rate: float, burst: float, seconds: Callable[[], float], most: int = MAX_KEYS) -> None:
        """`rate` is a second's; `seconds` never goes back, and its zero is any."""
        self._rate = rate
        self._burst = burst
        self._seconds = seconds
        self._most = most
        # By key, the one that was silent for the longest time first: what was left, and when that was.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> float:
        """Take `cost` of a key's; 0 if there is enough, or the seconds after which to try again, and nothing is taken.

        What costs more than a whole bucket takes the whole one.
        """
        now = self._seconds()
        cost = min(cost, self._burst)
        left, then = self._left.get(key, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        wait = 0.0 if left >= cost else (cost - left) / self._rate
        self._left[key] = (left if wait else left - cost, now)
        self._left.move_to_end(key)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return wait
