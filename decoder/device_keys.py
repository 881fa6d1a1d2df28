"""The keys of device hashes in a decoder: taken up before they hold, and destroyed once nobody needs them."""

from collections.abc import Iterable
from contextlib import suppress
from zoneinfo import ZoneInfo

import structlog

from core.clock import Clock
from core.errors import UnavailableError
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from runtime.devices import DeviceHasher
from runtime.epochs import DeviceKey, Rotation, name_of
from runtime.service import Stop, pause
from state.client import Redis
from state.device_keys import DeviceKeys, destroyed_until
from state.keys_redis import rewrite_keys

EVERY_SECONDS = 60.0
"""How often a decoder looks: `keys rotate` leaves ten minutes for it."""

_log = structlog.stdlib.get_logger("decoder")


class KeyKeeper:
    """Gives the hasher of one process the present keys; as many may run as there are decoders."""

    def __init__(
        self,
        *,
        client: Redis,
        hasher: DeviceHasher,
        rotation: Rotation,
        zone: ZoneInfo,
        clock: Clock,
        metrics: DecoderMetrics,
    ) -> None:
        """`client` is of the Redis of keys; `zone` is whose midnights the keys change at.

        Where they do not rotate, or not any more, none is made, and those that are there are destroyed all the same.
        """
        self._client = client
        self._keys = DeviceKeys(client)
        self._hasher = hasher
        self._rotation = rotation
        self._zone = zone
        self._clock = clock
        self._retry = StageRetry("device-keys", metrics)
        # Who died after a deletion may have left it in the file.
        self._is_rewritten = False
        self._deleted: list[DeviceKey] = []

    async def run(self, stop: Stop) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            if self._rotation is Rotation.NEVER:
                # Nothing waits for keys of before: those that are left are destroyed when their time has come.
                with suppress(UnavailableError):
                    await self.look()
            else:
                await self._retry.until_available(self.look)
            await pause(EVERY_SECONDS, stop)

    async def look(self) -> None:
        """Destroy the keys of whose time nothing may come, and take up those of now. Raises UnavailableError."""
        deleted = await self._keys.destroy(now=self._clock())
        await self.refresh()
        self._deleted += deleted
        if self._is_rewritten and not deleted:
            return
        self._is_rewritten = False
        if not await rewrite_keys(self._client):
            _log.warning("the Redis of keys may not be asked to rewrite its file: what was deleted stays in it")
        self._is_rewritten = True
        for key in self._deleted:
            _log.info("device key destroyed", began=name_of(key.start, self._zone), ended=name_of(key.end, self._zone))
        self._deleted = []

    async def refresh(self, wanted: Iterable[int] = ()) -> None:
        """Take up the keys of now, and of `wanted` times (ms since the epoch). Raises UnavailableError."""
        if self._rotation is Rotation.NEVER:
            return
        now = self._clock()
        keys = await self._keys.prepare(self._rotation, self._zone, now=now, wanted=wanted)
        self._hasher.take_up(keys, destroyed_until=destroyed_until(now))
