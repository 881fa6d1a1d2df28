"""Which of several API processes mirrors: a lease in Redis, of a few seconds, that its holder renews."""

import secrets
import time
from collections.abc import Callable

from state import streams
from state.client import Redis, redis_errors

LEASE_SECONDS = 5.0
"""So long after the death of its holder somebody else takes it at the latest."""
MARGIN_SECONDS = 1.0
"""So long before its end the holder leaves off."""

# KEYS: the lease, the client id. ARGV: who wants it, for how many ms, a client id for the case that there is none yet.
_TAKE = """
local holder = redis.call('GET', KEYS[1])
-- Every lease has an end: what has none is nobody's.
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) > 0 then
    return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local client = redis.call('GET', KEYS[2])
if not client or not string.match(client, '^mirror%-%x+$') then
    client = ARGV[3]
    redis.call('SET', KEYS[2], client)
end
return client
"""

# KEYS: the lease. ARGV: whose it may be.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""


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

    async def take(self) -> str | None:
        """Take or renew it: the MQTT client id of whoever holds it; None where another does. Raises Unavailable."""
        asked = self._elapsed()
        with redis_errors():
            client_id = await self._client.register_script(_TAKE)(
                keys=[streams.MIRROR, streams.MIRROR_CLIENT],
                args=[self._me, int(LEASE_SECONDS * 1000), f"mirror-{secrets.token_hex(8)}"],
            )
        if client_id is None:
            self._until = float("-inf")
            return None
        self._until = asked + LEASE_SECONDS
        return str(client_id.decode())

    async def release(self) -> None:
        """Leave it to others at once. Raises Unavailable; then it ends by itself."""
        self._until = float("-inf")
        with redis_errors():
            await self._client.register_script(_RELEASE)(keys=[streams.MIRROR], args=[self._me])
