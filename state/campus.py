"""The campus in Redis: there once somebody has changed a zone, and then the same for every process."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from core.messages import Kind
from state import streams
from state.client import Redis, redis_errors

CHANGES_KEPT = 100
"""Changes of which the earlier version is kept; older ones are forgotten."""

# KEYS: the campus, the changes, then the presence of what has changed. ARGV: the version that is to be replaced, the
# new version, its GeoJSON, how many changes are kept, and the fields of one. Where there is no campus yet, that of the
# file is replaced, whichever it is.
_REPLACE = """
local current = redis.call('HGET', KEYS[1], 'version')
if current and current ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'geojson', ARGV[3])
if #ARGV > 4 then
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], '*', unpack(ARGV, 5))
end
for index = 3, #KEYS do
    redis.call('UNLINK', KEYS[index])
end
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


async def stored_version(client: Redis) -> str | None:
    """The version of the campus in Redis; None where the file holds. Raises Unavailable."""
    with redis_errors():
        version = cast("bytes | None", await client.hget(streams.CAMPUS, "version"))
    return version.decode() if version else None


async def stored_campus(client: Redis) -> StoredCampus | None:
    """The campus in Redis; None where the file holds. Raises Unavailable."""
    with redis_errors():
        version, geojson = cast("Any", await client.hmget(streams.CAMPUS, "version", "geojson"))
    return StoredCampus(version.decode(), geojson) if version else None


async def replace_campus(
    client: Redis, campus: StoredCampus, *, replaces: str, changed: Iterable[str], change: ZoneChange | None = None
) -> bool:
    """Put a campus in the place of the one with the version `replaces`; False if that is not the present one.

    `changed` are the ids of the zones that are gone, or have another shape: who was present there is forgotten, until
    the next position says where they are. From now on decoders refuse to apply what was fenced with another version.
    `change` is kept among the newest CHANGES_KEPT. Raises Unavailable.
    """
    keys = [
        streams.CAMPUS,
        streams.CAMPUS_CHANGES,
        *(streams.presence(zone, kind) for zone in changed for kind in Kind),
    ]
    args: list[str | bytes | int] = [replaces, campus.version, campus.geojson, CHANGES_KEPT]
    if change is not None:
        args += ["zone", change.zone, "at", change.at, "by", change.by, "before", change.before or b""]
    with redis_errors():
        answer = await client.register_script(_REPLACE)(keys=keys, args=args)
    return bool(answer)


async def zone_changes(client: Redis, zone: str) -> list[ZoneChange]:
    """The changes of a zone that are kept, the newest first. Raises Unavailable."""
    with redis_errors():
        found = cast("Any", await client.xrevrange(streams.CAMPUS_CHANGES, count=CHANGES_KEPT))
    changes = (_change(fields) for _, fields in found)
    return [change for change in changes if change is not None and change.zone == zone]


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
