"""How often a client may ask, of all API processes together, at no round trip for any request.

Each process decides at once by what it knows, and tells Redis in the background what clients have spent: of all of them
together, four times a second, and sooner where one is new to it or spends much. What comes back is what all processes
have noted. So for a moment a client may have a little more than it may, and waits for it afterwards: over time it has
what it may, however many processes there are. While Redis is away each process counts for itself.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import structlog

from core.errors import UnavailableError
from runtime.service import Stop, Wakeup, pause
from state.client import Redis
from state.rate_limits import spend

EVERY_SECONDS = 0.25
"""How often what clients have spent is told."""
SOONEST_SECONDS = 0.01
"""The same where it is urgent."""
AWAY_SECONDS = 1.0
"""How often Redis is asked while it is away."""
MUCH = 0.1
"""Of what a client may have at once: who has spent more than that is urgent."""
MAX_CLIENTS = 10_000
"""Clients that are told apart; of those above it the one that was silent for the longest time is forgotten."""
_ROUNDED = 1e-6
"""Seconds that sums of fractions may be wrong by."""

_log = structlog.stdlib.get_logger("api")


class SharedLimits:
    """A token bucket for each client, as one process knows it."""

    def __init__(
        self,
        client: Redis,
        name: str,
        *,
        rate: float,
        burst: float,
        hidden: Callable[[str], str],
        elapsed: Callable[[], float],
    ) -> None:
        """`name` tells the limit from others; `rate` is a second's, `burst` what may be had at once.

        `hidden` is what Redis is told in the place of a client's name: an address is nobody's business there. `elapsed`
        gives seconds since any moment, and never goes back.
        """
        self.name = name
        self._redis = client
        self._rate = rate
        self._whole = burst / rate
        """Seconds in which all comes back that may be had at once."""
        self._hidden = hidden
        self._elapsed = elapsed
        # By client, the one that was silent for the longest time first: when all that it has spent has come back.
        self._back_at: OrderedDict[str, float] = OrderedDict()
        self._untold: dict[str, float] = {}
        """What others do not know of yet, in seconds in which it comes back."""
        self._work, self._hurry = Wakeup(), Wakeup()

    def take(self, client: str, cost: float = 1.0) -> float:
        """Take `cost` of a client's; 0 if there is enough, else the seconds after which to try again: nothing is taken.

        What costs more than all that may be had at once takes all of that.
        """
        now, seconds = self._elapsed(), min(cost / self._rate, self._whole)
        known = self._back_at.get(client)
        missing = seconds if known is None else max(0.0, known - now) + seconds
        if missing > self._whole + _ROUNDED:
            return missing - self._whole
        self._note(client, now + missing)
        untold = self._untold[client] = self._untold.get(client, 0.0) + seconds
        if known is None or untold > MUCH * self._whole:
            self._hurry.wake()
        self._work.wake()
        return 0.0

    async def run(self, stop: Stop) -> None:
        """Tell what was spent, and learn what others have noted, until `stop`."""
        away = False
        with self._work.woken_by(stop), self._hurry.woken_by(stop):
            while not stop.is_set():
                await self._work.wait()
                await self._until_due(stop)
                try:
                    await self.exchange()
                except UnavailableError as error:
                    if not away:
                        _log.warning("each process counts for itself", limit=self.name, error=str(error))
                    away = True
                    await pause(AWAY_SECONDS, stop)
                else:
                    if away:
                        _log.info("all processes count together again", limit=self.name)
                    away = False

    async def exchange(self) -> None:
        """Tell what was spent, and take over what all have noted. Raises UnavailableError: it may be noted then or not.

        It is not told again: by then it has come back.
        """
        told, self._untold = self._untold, {}
        clients = {self._hidden(client): client for client in told}
        spent = {hidden: told[client] for hidden, client in clients.items()}
        missing = await spend(self._redis, self.name, spent, whole=self._whole)
        now = self._elapsed()
        for hidden, seconds in missing.items():
            client = clients[hidden]
            self._note(client, now + seconds + self._untold.get(client, 0.0))

    async def _until_due(self, stop: Stop) -> None:
        await pause(SOONEST_SECONDS, stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS - SOONEST_SECONDS):
                await self._hurry.wait()

    def _note(self, client: str, back_at: float) -> None:
        self._back_at[client] = back_at
        self._back_at.move_to_end(client)
        if len(self._back_at) > MAX_CLIENTS:
            self._back_at.popitem(last=False)
