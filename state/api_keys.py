"""The keys of the API.

Keys of Redis:

    api-keys:{campus}       hash  id of an API key -> JSON: id, name, scopes, hash (SHA-256), created_at, and user
                                  and purpose where there are. Written by `python -m api keys`
    api-keys:used:{campus}  hash  id of an API key -> when it was last used (ms), to the minute
"""

from typing import Any, cast

from state.access import Right, access
from state.client import Redis
from state.credentials import Credentials, Item
from state.slots import CAMPUS, guard

ACCESS = {
    Right.READ: [access("api-keys:{campus} api-keys:used:{campus}", "HMGET HGETALL EXISTS HEXISTS")],
    # Whoever may say that a key was used can still make none.
    Right.TELL: [
        access("api-keys:{campus} api-keys:used:{campus}", "EVAL"),
        access("api-keys:{campus}", "HEXISTS"),
        access("api-keys:used:{campus}", "HSET"),
    ],
    Right.WRITE: [access("api-keys:{campus} api-keys:used:{campus}", "HSET HDEL")],
}
API_KEYS = f"api-keys:{CAMPUS}"
USED = f"api-keys:used:{CAMPUS}"

# KEYS: the guard, the keys, when they were used. ARGV: a key's id, the time in ms. Of a key that was removed nothing is
# noted.
_NOTE = """
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
end
"""


class KeyStore(Credentials[Item]):
    """The keys. All methods raise UnavailableError where Redis does not answer."""

    async def put(self, key: Item) -> None:
        """Let a key in from now on."""
        for some in self._encoded([key]):
            await cast("Any", self._client.hset(API_KEYS, mapping=some))

    async def remove(self, key_id: str) -> bool:
        """Let a key in no more; False if there is none of that id."""
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(API_KEYS, key_id)
            pipeline.hdel(USED, key_id)
            removed, _ = await pipeline.execute()
        return bool(removed)

    async def used(self) -> dict[str, int]:
        """When keys were last used, by id: milliseconds since the epoch, to the minute."""
        found = await cast("Any", self._client.hgetall(USED))
        return {name.decode(errors="replace"): int(at) for name, at in found.items() if at.isdigit()}

    async def note_use(self, key_id: str, at: int) -> None:
        """A key was used (milliseconds since the epoch)."""
        await self._client.register_script(_NOTE)(keys=[guard(CAMPUS), API_KEYS, USED], args=[key_id, at])


async def is_known(client: Redis, key_id: str) -> bool:
    """Whether there is a key of this id. Raises UnavailableError."""
    return bool(await cast("Any", client.hexists(API_KEYS, key_id)))
