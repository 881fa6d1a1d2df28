"""All hashes that a device has, by its plain id: for whoever erases or exports what there is of it.

They are those of each key that is there, with each source, and that of DEVICE_KEY alone, of before keys rotated. What a
device had while a key held that is destroyed nobody can find by its id any more.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from core.kinds import KindId
from runtime.devices import DeviceHasher, device_hasher
from runtime.settings import DeviceSettings
from state.client import Redis, open_redis
from state.device_keys import DeviceKeys
from state.keys_redis import open_keys_redis
from state.sources import read_sources


class OfDevice(NamedTuple):
    """What is known of a device."""

    hashes: list[tuple[KindId, str]]
    """Those of before keys rotated first, then in the order of time."""
    since: int | None
    """Of before then (ms since the epoch) there are no keys; None where there never were any."""


class KnownHashes:
    """Asks both Redis each time: keys go, and others come."""

    def __init__(self, hasher: DeviceHasher, *, redis: Redis | None, keys: Redis | None) -> None:
        """`redis` has the sources, `keys` is the Redis of keys; None where there are none."""
        self.hasher = hasher
        self._redis = redis
        self._keys = keys

    async def of(self, kinds: Iterable[KindId], device_id: str) -> OfDevice:
        """Of the devices of these kinds that call themselves so. Raises UnavailableError."""
        keys = [] if self._keys is None else await DeviceKeys(self._keys).read()
        sources = [] if self._redis is None else await read_sources(self._redis)
        found = [
            (kind, hashed)
            for kind in kinds
            for hashed in self.hasher.hashes(kind, device_id, keys=keys, sources=sources)
        ]
        return OfDevice(found, keys[0].start if keys else None)


@asynccontextmanager
async def open_known_hashes(settings: DeviceSettings, user: str, *, by_source: bool) -> AsyncIterator[KnownHashes]:
    """For a command: Redis is asked only where devices may have several hashes; `user` is who logs in to both.

    `by_source`: whether who sends is a part of who a device is. Raises BadSettingsError.
    """
    async with AsyncExitStack() as opened:
        several = settings.has_keys_redis or by_source
        redis = await opened.enter_async_context(open_redis(settings, user)) if several else None
        keys = await opened.enter_async_context(open_keys_redis(settings, user)) if settings.has_keys_redis else None
        yield KnownHashes(device_hasher(settings), redis=redis, keys=keys)
