"""Where each device is, or last was.

Of a partition, which is that of the device's own id (`state.slots`):

    newest:{p}:{d}  string      the newest position on the campus: the byte 1, then event time (ms), longitude and
                                latitude (degrees) as doubles, the lowest byte first, then the ids of its zones, joined
                                by commas. Newest wins. Lives as long as presence does
    away:{p}:{x}    sorted set  second hash of a device -> event time (ms) of its newest position outside the campus,
                                unless it is inside since: so an older one inside, that comes late, does not bring it
                                back. Sixteen, by the first digit of that hash, which is in no other key, document or
                                log. What is older than PRESENCE_TTL is removed

{d} is the keyed hash of a device (`runtime.devices`).
"""

import struct
from collections.abc import Iterable
from typing import cast

from core.kinds import KindId
from state.client import Redis
from state.lua import lua
from state.presence import presence_key, touched_at_key, touched_key
from state.seen import forget_seen
from state.slots import guard

SETS_AT_ONCE = 1000
"""Presence sets that one script looks into for a device."""
# KEYS: guard, newest, away, touched, touched:at, presence sets. ARGV: the device, its second hash, the names of those
# sets. Answers in how many of them it was.
_FORGET = """
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[2])
local left = {}
for index = 6, #KEYS do
    if redis.call('ZREM', KEYS[index], ARGV[1]) > 0 then
        left[#left + 1] = ARGV[index - 3]
    end
end
if #left > 0 then
    touch(KEYS[4], KEYS[5], left)
end
return #left
"""
_FORMAT = struct.Struct("<Bddd")
_VERSION = 1
DIGITS = "0123456789abcdef"


def newest_key(hash_tag: str, device: str) -> str:
    """The newest position of one device, by its hash."""
    return f"newest:{hash_tag}:{device}"


def away_key(hash_tag: str, away: str) -> str:
    """Who of a partition was outside the campus, and when: the sorted set for a second hash."""
    return f"away:{hash_tag}:{away[0]}"


def away_keys(hash_tag: str) -> list[str]:
    """All of these sorted sets of a partition."""
    return [away_key(hash_tag, digit) for digit in DIGITS]


def newest_value(at: int, longitude: float, latitude: float, zones: str) -> bytes:
    """A newest position; `zones` are joined by commas."""
    return _FORMAT.pack(_VERSION, at, longitude, latitude) + zones.encode()


def zones_of_newest(newest: bytes) -> list[str]:
    """The ids of its zones; none of what no decoder of this version wrote."""
    if len(newest) <= _FORMAT.size or newest[0] != _VERSION:
        return []
    return newest[_FORMAT.size :].decode(errors="replace").split(",")


async def forget_device(
    client: Redis, hash_tag: str, *, device: str, away: str, kind: KindId, zones: Iterable[str]
) -> int:
    """Forget a device by its two hashes, in its partition: all keys that it has there; in how many zones it was.

    `zones` are those that there are; its own are looked at besides. Raises UnavailableError.
    """
    newest = newest_key(hash_tag, device)
    forget = client.register_script(lua("touch") + _FORGET)
    known = cast("bytes | None", await client.get(newest))
    names = [f"{zone}:{kind}" for zone in dict.fromkeys((*zones, *(zones_of_newest(known) if known else ())))]
    fixed = [guard(hash_tag), newest, away_key(hash_tag, away), touched_key(hash_tag), touched_at_key(hash_tag)]
    left = 0
    for first in range(0, len(names), SETS_AT_ONCE):
        some = names[first : first + SETS_AT_ONCE]
        sets = [presence_key(hash_tag, *name.rpartition(":")[::2]) for name in some]
        left += await forget(keys=[*fixed, *sets], args=[device, away, *some])
    await forget_seen(client, hash_tag, device)
    return left
