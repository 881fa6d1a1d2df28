"""How fast one user's messages are taken: what is over it waits in its connections, which are not read meanwhile."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from core.kinds import Role
from runtime.position_rates import Rate

LEAST_PAUSE = 0.1
"""Seconds that a connection waits at least: so some messages are taken at a time."""
MAX_USERS = 10_000
"""Users whose rate is remembered; at more, those are forgotten who have been silent for long enough."""


class UserRate:
    """A token bucket that all connections of one user share, and those that wait for it, in their order."""

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        """`now` gives seconds, as the event loop does."""
        self._rate = rate
        self._now = now
        self._left = rate.burst
        self._then = now()
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left(self) -> float:
        """How many positions may be taken now; what is taken over that is owed."""
        now = self._now()
        self._left = min(self._rate.burst, self._left + (now - self._then) * self._rate.rate)
        self._then = now
        return self._left

    @property
    def is_idle(self) -> bool:
        """Whether it is as a new one would be."""
        return not self._waiting and self.left >= self._rate.burst

    def take(self, positions: int) -> None:
        """Count what was taken."""
        self._left -= positions

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when something may be taken again, and those have had their turn that wait already."""
        self._waiting.append(go_on)
        self._schedule()

    def close(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._waiting and self._timer is None:
            pause = max(LEAST_PAUSE, (1 - self.left) / self._rate.rate)
            self._timer = asyncio.get_running_loop().call_later(pause, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        # Who has to wait again meanwhile waits for the next time.
        for _ in range(len(self._waiting)):
            if self.left <= 0:
                break
            self._waiting.popleft()()
        self._schedule()


class UserRates:
    """The rates of a node's users. Each node has its own: a user of two nodes has twice as much."""

    def __init__(self, rates: Mapping[Role, Rate], now: Callable[[], float]) -> None:
        self._rates = rates
        self._now = now
        self._users: dict[str, UserRate] = {}

    def close(self) -> None:
        """Nobody waits any more."""
        for each in self._users.values():
            each.close()

    def of(self, role: Role, whose: str) -> UserRate | None:
        """The rate of a user with a role; None where that has no limit."""
        rate = self._rates.get(role)
        if rate is None:
            return None
        key = f"{role.name} {whose}"
        if key not in self._users and len(self._users) >= MAX_USERS:
            self._users = {each: found for each, found in self._users.items() if not found.is_idle}
        return self._users.setdefault(key, UserRate(rate, self._now))
