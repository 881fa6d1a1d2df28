"""The Redis of keys that are to be destroyed (KEYS_REDIS_URL): small, by itself, and in no backup.

What was deleted from a Redis is still in its append-only file, until that is rewritten, and in each copy of it. So keys
whose end is to be the end of what they open have a Redis of their own: a file of a few KB, which is rewritten in
milliseconds each time that one is destroyed, and written to disk before a key is used (`appendfsync always`).

    device-keys:{campus}  see `state.device_keys`
    raw-keys:{campus}     see `state.sealing`

Whoever has neither its file nor its memory cannot read what its keys have sealed, whatever else they have
(docs/decisions/0072-what-waits-is-sealed.md).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.errors import BadSettingsError, UnavailableError
from runtime.settings import KeysSettings
from state.address import parse_address
from state.client import Redis, client_of
from state.server import Rewriting, begin_rewriting, is_rewriting

__all__ = ["KeysSettings", "open_keys_redis", "rewrite_keys"]

_LOOK_SECONDS = 0.05
_LOOKS = 400


@asynccontextmanager
async def open_keys_redis(settings: KeysSettings, user: str = "") -> AsyncIterator[Redis]:
    """Connections to KEYS_REDIS_URL, or to the socket of a laptop run; as `state.client.open_redis`.

    Raises BadSettingsError where there is none, and for an address that is none.
    """
    url = settings.keys_redis_address_of(user)
    # The authority is that of REDIS_URL, too; where only that one is encrypted, it is none of this.
    authority = settings.redis_ca if url.startswith("rediss") else None
    try:
        client = client_of(parse_address(url, authority))
    except BadSettingsError as error:
        raise BadSettingsError(str(error).replace("REDIS_URL", "KEYS_REDIS_URL", 1)) from error
    try:
        yield client
    finally:
        await client.aclose()


async def rewrite_keys(client: Redis) -> bool:
    """Have its files written without what was deleted, and wait for that; False where its user may not have it done.

    It takes the right to write of `state.server`.
    Raises UnavailableError where it does not answer, or is not done within 20 s: to be tried again.
    """
    begun = await begin_rewriting(client)
    if begun is Rewriting.NEVER:
        return False
    for _ in range(_LOOKS):
        if begun is Rewriting.LATER:
            # One that was under way may have begun before the deletion.
            begun = await begin_rewriting(client)
        elif (running := await is_rewriting(client)) is None:
            begun = Rewriting.LATER
        elif not running:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    raise UnavailableError("the Redis of keys has not rewritten its file")
