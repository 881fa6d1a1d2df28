"""Where each device is, or last was.

Of a partition, which is that of the device's own id (`state.slots`):

    newest:{p}:{d}  string      the newest position on the campus, and in which zones its device is settled, with what
                                that follows from: see below. Newest wins. Lives twice as long as presence does, so that
                                what comes late finds what was before it
    away:{p}:{x}    sorted set  second hash of a device -> event time (ms) of its newest position outside the campus,
                                unless it is surely inside since: so an older one inside, that comes late, does not
                                bring it back. Sixteen, by the first digit of that hash, which is in no other key,
                                document or log. What is older than PRESENCE_TTL is removed

{d} is the keyed hash of a device (`runtime.devices`).

A value of `newest` is, the lowest byte first: the byte 2; flags, a byte; a checksum of the version of the campus, four
bytes; event time (ms), longitude and latitude (degrees) as doubles; and the zones of that position. Where there is
more: the zones in which the device is settled, which are those whose presence sets have it (flag 1); time and zones of
its anchor, the newest position that was surely in its zones (flag 2; with flag 4 there is none; without either it is
the newest position); and a list of what newer positions say (flag 8), as `state/lua/settle.lua` has it. Zones are their
ids, joined by commas, the campus first, after two bytes of length. A value that begins with the byte 1, of the version
before, is time and place as doubles, and zones: it is read as an anchor.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple, cast

from core.kinds import KindId
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.presence import presence_key, touched_at_key, touched_key
from state.seen import forget_seen
from state.slots import guard

ACCESS = {
    Right.ERASE: [
        access("newest:{p}: away:{p}: touched:{p} touched:{p}:at presence:{p}:", "EVAL"),
        access("newest:{p}:", "GET DEL"),
        access("away:{p}: presence:{p}:", "ZREM"),
        access("touched:{p}", "ZADD"),
        access("touched:{p}:at", "INCR SET"),
        access("", "TIME"),
    ]
}
SETS_AT_ONCE = 1000
"""Presence sets that one script looks into for a device."""
# KEYS: guard, newest, away, touched, touched:at, presence sets. ARGV: the device, its second hash, the names of those
# sets. Answers in how many of them it was, and how many entries went in all.
_FORGET = """
local gone = redis.call('DEL', KEYS[2]) + redis.call('ZREM', KEYS[3], ARGV[2])
local left = {}
for index = 6, #KEYS do
    if redis.call('ZREM', KEYS[index], ARGV[1]) > 0 then
        left[#left + 1] = ARGV[index - 3]
    end
end
if #left > 0 then
    touch(KEYS[4], KEYS[5], left)
end
return {#left, #left + gone}
"""
_FORMAT = struct.Struct("<BBIddd")
_VERSION = 2
_SETTLED = 1
_FORMAT_1 = struct.Struct("<Bddd")
DIGITS = "0123456789abcdef"


class Settling(NamedTuple):
    """When a device is settled in a zone (decision 37), beside what margins say; the same for all decoders."""

    fixes: int
    """So many in a row on one side of an edge are evidence, however near to it they are."""
    keep: int
    """So many fixes that are not sure are kept of a device."""


class Forgotten(NamedTuple):
    """What went of a device."""

    zones: int
    """In which it was present."""
    traces: int
    """Keys, and entries of keys, these with them: 0 where there was nothing of it."""


def newest_key(hash_tag: str, device: str) -> str:
    """The newest position of one device, by its hash."""
    return f"newest:{hash_tag}:{device}"


def away_key(hash_tag: str, away: str) -> str:
    """Who of a partition was outside the campus, and when: the sorted set for a second hash."""
    return f"away:{hash_tag}:{away[0]}"


def away_keys(hash_tag: str) -> list[str]:
    """All of these sorted sets of a partition."""
    return [away_key(hash_tag, digit) for digit in DIGITS]


def fence_number(version: str) -> int:
    """The checksum by which values of `newest` tell campuses from one another."""
    return zlib.crc32(version.encode())


def newest_value(at: int, longitude: float, latitude: float, zones: str, version: str = "") -> bytes:
    """A newest position that is surely in its zones, which are joined by commas; `version` is that of the campus."""
    return _FORMAT.pack(_VERSION, 0, fence_number(version), at, longitude, latitude) + _counted(zones)


def zones_of_newest(newest: bytes) -> list[str]:
    """The ids of the zones that hold it, and of those in which the device is settled, each once.

    None of what no decoder of this version or the one before wrote.
    """
    if newest[:1] == b"\x01" and len(newest) > _FORMAT_1.size:
        texts = [newest[_FORMAT_1.size :]]
    elif newest[:1] == b"\x02" and len(newest) > _FORMAT.size + 2:
        texts, rest = [], newest[_FORMAT.size :]
        for _ in range(2 if newest[1] & _SETTLED else 1):
            length = int.from_bytes(rest[:2], "little")
            texts.append(rest[2 : 2 + length])
            rest = rest[2 + length :]
    else:
        return []
    return list(dict.fromkeys(b",".join(texts).decode(errors="replace").split(",")))


def _counted(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "little") + encoded


async def forget_device(
    client: Redis, hash_tag: str, *, device: str, away: str, kind: KindId, zones: Iterable[str]
) -> Forgotten:
    """Forget a device by its two hashes, in its partition: all that there is of it.

    `zones` are those that there are; its own are looked at besides. Raises UnavailableError.
    """
    newest = newest_key(hash_tag, device)
    forget = client.register_script(lua("touch") + _FORGET)
    known = cast("bytes | None", await client.get(newest))
    names = [f"{zone}:{kind}" for zone in dict.fromkeys((*zones, *(zones_of_newest(known) if known else ())))]
    fixed = [guard(hash_tag), newest, away_key(hash_tag, away), touched_key(hash_tag), touched_at_key(hash_tag)]
    left = traces = 0
    for first in range(0, max(len(names), 1), SETS_AT_ONCE):
        some = names[first : first + SETS_AT_ONCE]
        sets = [presence_key(hash_tag, *name.rpartition(":")[::2]) for name in some]
        zones_left, gone = await forget(keys=[*fixed, *sets], args=[device, away, *some])
        left, traces = left + zones_left, traces + gone
    return Forgotten(left, traces + await forget_seen(client, hash_tag, device))
