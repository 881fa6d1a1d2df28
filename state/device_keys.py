"""The secrets of device hashes, each of a time, until they are destroyed (`runtime.epochs`). In the Redis of keys.

    device-keys:{campus}  hash  the first millisecond of a time -> the first that is not, a colon, and 32 bytes in
                                hexadecimal digits. Of several that overlap the one that begins later holds

A secret is made by whoever needs it first, at the latest one time ahead: all decoders have read it when it begins to
hold. So a change of DEVICE_KEY_ROTATION holds from the end of the secrets that are there, and `rotate` makes one that
begins at the next midnight. What is deleted here is destroyed once the file of that Redis is rewritten
(`state.keys_redis`).
"""

import secrets
from collections.abc import Iterable
from typing import Any, cast
from zoneinfo import ZoneInfo

from core.errors import UnavailableError
from runtime.epochs import KEEP_MS, DeviceKey, Rotation, in_order, key_at, next_midnight, span_of
from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {
    Right.READ: [access("device-keys:{campus}", "HGETALL")],
    Right.WRITE: [access("device-keys:{campus}", "HGETALL HSETNX HDEL")],
}
DEVICE_KEYS = f"device-keys:{CAMPUS}"
SECRET_BYTES = 32
AHEAD_MS = 600_000
"""How long before a midnight `rotate` may still choose it: decoders look once a minute."""


class DeviceKeys:
    """The secrets in Redis. All methods raise UnavailableError; times are milliseconds since the epoch."""

    def __init__(self, client: Redis) -> None:
        """`client` is of the Redis of keys."""
        self._client = client

    async def read(self) -> list[DeviceKey]:
        """All that there are, in the order of time."""
        found = await cast("Any", self._client.hgetall(DEVICE_KEYS))
        return in_order([_key(start, value) for start, value in found.items()])

    async def prepare(
        self, rotation: Rotation, zone: ZoneInfo, *, now: int, wanted: Iterable[int] = ()
    ) -> list[DeviceKey]:
        """Make what is missing: from the oldest time whose positions may come until the end of the next time.

        `wanted` are further times, of which one is missing to somebody. All that there are then, in order.
        """
        keys = await self.read()
        at = now - KEEP_MS
        until = span_of(rotation, span_of(rotation, now, zone)[1], zone)[1]
        while at < until:
            keys, at = await self._with(keys, at, rotation, zone)
        for each in wanted:
            if each >= now - KEEP_MS:
                keys, _ = await self._with(keys, each, rotation, zone)
        return keys

    async def rotate(self, rotation: Rotation, zone: ZoneInfo, *, now: int) -> int:
        """Let a new one hold from the next midnight of the campus that all decoders will have heard of; which it is.

        Those that were made ahead go, for they are as known as the present one, and of another rotation where that was
        changed. Nothing is hashed with them yet.
        """
        at = next_midnight(now + AHEAD_MS, zone)
        if ahead := [str(key.start) for key in await self.read() if key.start >= at]:
            await cast("Any", self._client.hdel(DEVICE_KEYS, *ahead))
        await self._make(at, span_of(rotation, at, zone)[1])
        return at

    async def destroy(self, *, now: int) -> list[DeviceKey]:
        """Delete those of whose time no position may come any more; which these were.

        They are destroyed once the file of this Redis is rewritten: until then whoever has it has them.
        """
        over = [key for key in await self.read() if key.end <= now - KEEP_MS]
        if over:
            await cast("Any", self._client.hdel(DEVICE_KEYS, *(str(key.start) for key in over)))
        return over

    async def _with(
        self, keys: list[DeviceKey], at: int, rotation: Rotation, zone: ZoneInfo
    ) -> tuple[list[DeviceKey], int]:
        """Those that there are, with one for `at`; and when that one ends."""
        while (found := key_at(keys, at)) is None:
            start, end = span_of(rotation, at, zone)
            # What is there goes on to hold as long as it was to.
            start = max([start, *(key.end for key in keys if key.end <= at)])
            await self._make(start, end)
            keys = await self.read()
        return keys, found.end

    async def _make(self, start: int, end: int) -> None:
        """Unless another was first."""
        value = f"{end}:{secrets.token_hex(SECRET_BYTES)}"
        await cast("Any", self._client.hsetnx(DEVICE_KEYS, str(start), value))


def destroyed_until(now: int) -> int:
    """Of what ended until then there is no key, and none is made."""
    return now - KEEP_MS


def _key(start: bytes, value: bytes) -> DeviceKey:
    end, _, secret = value.partition(b":")
    try:
        key = DeviceKey(int(start), int(end), bytes.fromhex(secret.decode()))
    except ValueError:
        key = None
    if key is None or len(key.secret) != SECRET_BYTES or key.end <= key.start:
        raise UnavailableError(f"{DEVICE_KEYS} of the Redis of keys holds what is no key: delete that field")
    return key
