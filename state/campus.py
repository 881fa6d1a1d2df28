"""The campus in Redis: there once somebody has changed a zone, and then the same for every process.

    campus:{campus}          hash    once somebody has changed a zone: `version`, `geojson`. From then on they hold, and
                                     not the file. `number` is one higher with each change
    campus:{campus}:changes  stream  the newest 100 changes: `number`, `zones` (those whose presence is forgotten), and
                                     of a change of one zone `zone`, `at` (ms), `by` (id of a key), and the GeoJSON
                                     Feature of `before`, empty for a new zone
    fence:{p}                hash    `number` of the campus that a partition is at. It refuses what was fenced with an
                                     older one; of a newer one it hears first

Somebody may delete `campus:{campus}`, so that the file holds again, and a failover may lose a change: then the number
goes on above what partitions know (`raise_number`).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from core.errors import UnavailableError
from core.kinds import Kinds
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.presence import presence_key, touched_at_key, touched_key
from state.slots import CAMPUS as CAMPUS_TAG
from state.slots import guard, tag

ACCESS = {
    Right.READ: [access("campus:{campus} campus:{campus}:", "HGET HMGET XREVRANGE")],
    Right.WRITE: [
        access("campus:{campus} campus:{campus}:", "EVAL HGET HSET XADD"),
        access("fence:{p} touched:{p} touched:{p}:at presence:{p}:", "EVAL"),
        access("fence:{p}", "HGET HDEL HSET"),
        access("touched:{p}", "ZRANGE ZADD"),
        access("touched:{p}:at", "INCR SET"),
        access("presence:{p}:", "UNLINK"),
        access("", "TIME"),
    ],
}
CAMPUS = f"campus:{CAMPUS_TAG}"
CHANGES = f"{CAMPUS}:changes"
CHANGES_KEPT = 100
"""Changes of which the earlier version is kept; older ones are forgotten."""

# KEYS: guard, the campus, the changes. ARGV: the version that is to be replaced, the new version, its GeoJSON, how many
# changes are kept, the zones that have changed, and the fields of a change. Where there is no campus yet, that of the
# file is replaced, whichever it is. Answers the number of the new one, 0 where it is none.
_REPLACE = """
local current = redis.call('HGET', KEYS[2], 'version')
if current and current ~= ARGV[1] then
    return 0
end
local number = (tonumber(redis.call('HGET', KEYS[2], 'number') or '') or 0) + 1
redis.call('HSET', KEYS[2], 'number', number, 'version', ARGV[2], 'geojson', ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[4], '*', 'number', number, 'zones', ARGV[5], unpack(ARGV, 6))
return number
"""
# KEYS: guard, the campus. ARGV: a number that it must have at least. Answers its number.
_RAISE = """
local number = tonumber(redis.call('HGET', KEYS[2], 'number') or '') or 0
if number < tonumber(ARGV[1]) then
    number = tonumber(ARGV[1])
    redis.call('HSET', KEYS[2], 'number', number)
end
return number
"""
# KEYS: guard, the fence, touched, touched:at, presence sets. ARGV: the number that the fence has, the new one, and the
# names of the sets, `zone:kind`. Answers 0 where the fence has another number.
_ADVANCE = """
if (tonumber(redis.call('HGET', KEYS[2], 'number') or '') or 0) ~= tonumber(ARGV[1]) then
    return 0
end
-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('HDEL', KEYS[2], '')
local names = {}
for index = 5, #KEYS do
    names[index - 4] = ARGV[index - 2]
end
if #names > 0 then
    touch(KEYS[3], KEYS[4], names)
end
for index = 5, #KEYS do
    redis.call('UNLINK', KEYS[index])
end
redis.call('HSET', KEYS[2], 'number', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class StoredCampus:
    """A campus as GeoJSON, and the version that the geofence gives it."""

    version: str
    geojson: bytes


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """One change of one zone, with what was there before."""

    zone: str
    at: int
    """Milliseconds since the epoch."""
    by: str
    """Who changed it: the id of an API key."""
    before: bytes | None
    """The GeoJSON Feature; None where the zone was new."""


@dataclass(frozen=True, slots=True)
class PresentCampus:
    """What is in Redis. With each change the number is one higher; 0 where nobody has changed a zone."""

    number: int
    stored: StoredCampus | None
    """None where the file holds."""


def fence_key(hash_tag: str) -> str:
    """Which campus a partition is at."""
    return f"fence:{hash_tag}"


async def stored_version(client: Redis) -> str | None:
    """The version of the campus in Redis; None where the file holds. Raises UnavailableError."""
    _, version = await present_version(client)
    return version


async def present_version(client: Redis) -> tuple[int, str | None]:
    """Number and version of the campus in Redis; no version where the file holds. Raises UnavailableError."""
    number, version = cast("Any", await client.hmget(CAMPUS, "number", "version"))
    return _number(number), version.decode() if version else None


async def stored_campus(client: Redis) -> StoredCampus | None:
    """The campus in Redis; None where the file holds. Raises UnavailableError."""
    return (await present_campus(client)).stored


async def present_campus(client: Redis) -> PresentCampus:
    """The campus in Redis, with its number. Raises UnavailableError."""
    number, version, geojson = cast("Any", await client.hmget(CAMPUS, "number", "version", "geojson"))
    return PresentCampus(_number(number), StoredCampus(version.decode(), geojson) if version else None)


async def raise_number(client: Redis, at_least: int) -> None:
    """Have the campus a number that a partition knows: where Redis has lost a change, or somebody has deleted it.

    Raises UnavailableError.
    """
    await client.register_script(_RAISE)(keys=[guard(CAMPUS_TAG), CAMPUS], args=[at_least])


async def replace_campus(
    client: Redis,
    campus: StoredCampus,
    *,
    replaces: str,
    changed: Iterable[str],
    partitions: int,
    kinds: Kinds,
    change: ZoneChange | None = None,
) -> bool:
    """Put a campus in the place of the one with the version `replaces`; False if that is not the present one.

    `changed` are the ids of the zones that are gone, or have another shape: who was present there is forgotten, until
    the next position says where they are. From now on decoders refuse to apply what was fenced with another version.
    `change` is kept among the newest CHANGES_KEPT. Raises UnavailableError.
    """
    args: list[str | bytes | int] = [replaces, campus.version, campus.geojson, CHANGES_KEPT, ",".join(changed)]
    if change is not None:
        args += ["zone", change.zone, "at", change.at, "by", change.by, "before", change.before or b""]
    replaced = await client.register_script(_REPLACE)(keys=[guard(CAMPUS_TAG), CAMPUS, CHANGES], args=args)
    if replaced:
        with suppress(UnavailableError):  # it is changed: whoever follows it does the rest
            await advance_partitions(client, partitions, kinds)
    return bool(replaced)


async def advance_partitions(client: Redis, partitions: int, kinds: Kinds) -> None:
    """Have all partitions hear of the present campus: of those that have, nothing changes. Raises UnavailableError.

    Whoever changes the campus does so, and whoever takes it up, for the former may have died.
    """
    number, _ = await present_version(client)
    async with client.pipeline(transaction=False) as pipeline:
        for partition in range(partitions):
            pipeline.hget(fence_key(tag(partition, partitions)), "number")
        fences = await pipeline.execute()
    for partition, fence in enumerate(fences):
        if _number(fence) < number:
            await advance_partition(client, partition, partitions, kinds)


async def advance_partition(client: Redis, partition: int, partitions: int, kinds: Kinds) -> int:
    """Have a partition hear of the present campus, and forget who was present in what has changed since its own.

    Answers the number of the campus that it is at then. From then on it refuses what was fenced with an older one.
    Raises UnavailableError.
    """
    hash_tag = tag(partition, partitions)
    advance = client.register_script(lua("touch") + _ADVANCE)
    fixed = [guard(hash_tag), fence_key(hash_tag), touched_key(hash_tag), touched_at_key(hash_tag)]
    while True:
        fence = _number(await cast("Any", client.hget(fence_key(hash_tag), "number")))
        number, zones = await _changed_since(client, fence)
        if number <= fence:
            return fence
        if zones is None:
            touched = cast("list[bytes]", await client.zrange(touched_key(hash_tag), 0, -1))
            names = [name.decode(errors="replace") for name in touched]
        else:
            names = [f"{zone}:{kind}" for zone in zones for kind in kinds.ids]
        sets = [presence_key(hash_tag, *name.rpartition(":")[::2]) for name in names]
        if await advance(keys=[*fixed, *sets], args=[fence, number, *names]):
            return number


async def _changed_since(client: Redis, fence: int) -> tuple[int, set[str] | None]:
    """The present number, and which zones have changed since another; None where nobody knows that any more."""
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.hget(CAMPUS, "number")
        pipeline.xrevrange(CHANGES, count=CHANGES_KEPT)
        present, changes = await pipeline.execute()
    number = _number(present)
    known = {_number(fields.get(b"number")): fields.get(b"zones", b"") for _, fields in changes}
    since = range(fence + 1, number + 1)
    if len(since) > CHANGES_KEPT or not known.keys() >= set(since):
        return number, None
    return number, {zone for each in since for zone in known[each].decode().split(",") if zone}


def _number(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() else 0


async def zone_changes(client: Redis, zone: str) -> list[ZoneChange]:
    """The changes of a zone that are kept, the newest first. Raises UnavailableError."""
    found = cast("Any", await client.xrevrange(CHANGES, count=CHANGES_KEPT))
    changes = (_change(fields) for _, fields in found)
    return [change for change in changes if change is not None and change.zone == zone]


async def outline_changes(client: Redis, since: int) -> list[ZoneChange] | None:
    """The changes of outlines at or after a time (ms since the epoch), the newest first.

    None where not all of them are kept any more. Raises UnavailableError.
    """
    found = cast("Any", await client.xrevrange(CHANGES, count=CHANGES_KEPT))
    changes = [(fields, _change(fields)) for _, fields in found]
    if len(changes) >= CHANGES_KEPT and all(change is not None and change.at >= since for _, change in changes):
        return None
    return [
        change
        for fields, change in changes
        if change is not None and change.at >= since and (fields.get(b"zones") or change.before is None)
    ]


def _change(fields: dict[bytes, bytes]) -> ZoneChange | None:
    """None for what no service of ours wrote; it goes with the oldest changes."""
    try:
        return ZoneChange(
            zone=fields[b"zone"].decode(),
            at=int(fields[b"at"]),
            by=fields[b"by"].decode(),
            before=fields[b"before"] or None,
        )
    except (KeyError, ValueError):
        return None
