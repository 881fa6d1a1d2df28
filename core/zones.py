"""The campus in Redis: there once somebody has changed a zone, and then the same for every process."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from core import streams
from core.messages import Kind
from core.redis import Redis, redis_errors

# KEYS: the campus, then the presence of what has changed. ARGV: the version that is to be replaced, the new version,
# its GeoJSON. Where there is none yet, that of the file is replaced, whichever it is.
_REPLACE = """
local current = redis.call('HGET', KEYS[1], 'version')
if current and current ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'geojson', ARGV[3])
for index = 2, #KEYS do
    redis.call('DEL', KEYS[index])
end
return 1
"""


@dataclass(frozen=True, slots=True)
class StoredCampus:
    """A campus as GeoJSON, and the version that the geofence gives it."""

    version: str
    geojson: bytes


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


async def replace_campus(client: Redis, campus: StoredCampus, *, replaces: str, changed: Iterable[str]) -> bool:
    """Put a campus in the place of the one with the version `replaces`; False if that is not the present one.

    `changed` are the ids of the zones that are gone, or have another shape: who was present there is forgotten, until
    the next position says where they are. From now on decoders refuse to apply what was fenced with another version.
    Raises Unavailable.
    """
    keys = [streams.CAMPUS, *(streams.presence(zone, kind) for zone in changed for kind in Kind)]
    with redis_errors():
        answer = await client.register_script(_REPLACE)(keys=keys, args=[replaces, campus.version, campus.geojson])
    return bool(answer)
