"""Which of several API processes mirrors: a lease in Redis, of a few seconds, that its holder renews."""

import secrets
import time
from collections.abc import Callable

from state.client import Redis
from state.mirror import release_lease, take_lease

LEASE_SECONDS = 5.0
"""So long after the death of its holder somebody else takes it at the latest."""
RENEW_SECONDS = 1.0
"""How often its holder renews it."""
MARGIN_SECONDS = 1.0
"""So long before its end the holder leaves off."""


class Lease:
    """The lease, as one process sees it."""

    def __init__(self, client: Redis, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`elapsed` gives seconds since any moment, and never goes back."""
        self._client = client
        self._elapsed = elapsed
        self._me = secrets.token_hex(8)
        self._until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether it is ours, with time enough to do something about it."""
        return self._elapsed() < self._until - MARGIN_SECONDS

    @property
    def due(self) -> bool:
        """Whether it should be renewed: `RENEW_SECONDS` have passed since it was."""
        return self._elapsed() >= self._until - LEASE_SECONDS + RENEW_SECONDS

    async def take(self) -> str | None:
        """Take or renew it: the MQTT client id of whoever holds it; None where another does.

        Raises UnavailableError.
        """
        asked = self._elapsed()
        client_id = await take_lease(
            self._client, self._me, for_ms=int(LEASE_SECONDS * 1000), client_id=f"mirror-{secrets.token_hex(8)}"
        )
        self._until = float("-inf") if client_id is None else asked + LEASE_SECONDS
        return client_id

    async def release(self) -> None:
        """Leave it to others at once. Raises UnavailableError; then it ends by itself."""
        self._until = float("-inf")
        await release_lease(self._client, self._me)
