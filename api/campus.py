"""The campus as it is now: followed in Redis, as decoders do, with the answers about it written beforehand."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import shapely
import structlog

from core.errors import Unavailable
from core.runtime import Stop, pause
from geofence import Campus, InvalidCampus, Zone, parse_campus
from state.campus import stored_campus, stored_version
from state.client import Redis

EVERY_SECONDS = 0.5
"""How often a process looks for a change: with what it takes to read one, well under two seconds."""
LOOK_SECONDS = 2.0
"""How long one look may take; the connection itself would wait for much longer."""
_ETAG_CHARACTERS = 16

_log = structlog.stdlib.get_logger("campus")


class CampusView:
    """One state of the campus, and how it is published. It never changes."""

    def __init__(self, campus: Campus, *, version: str | None = None) -> None:
        """`version` is what Redis calls it; the campus's own unless given."""
        self.campus = campus
        self.version = version or campus.version

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of the campus, then of its zones."""
        return tuple(zone.id for zone in self.campus.everything)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each of them is in `ids`."""
        return MappingProxyType({zone: place for place, zone in enumerate(self.ids)})

    @cached_property
    def collection(self) -> bytes:
        """The body of GET /v1/zones, and of the topic `v1/zones`."""
        return collection(list(self.features.values()), matched=len(self.features))

    @cached_property
    def collection_etag(self) -> str:
        """Its ETag, with its quotes."""
        return etag_of(self.collection)

    @cached_property
    def features(self) -> Mapping[str, bytes]:
        """By zone, the campus first: the body of GET /v1/zones/{zone}, and of the topic of that path."""
        return MappingProxyType({zone.id: feature_json(zone) for zone in self.campus.everything})

    @cached_property
    def etags(self) -> Mapping[str, str]:
        """The ETag of each zone, with its quotes. A change of one zone leaves those of the others alone."""
        return MappingProxyType({zone: etag_of(body) for zone, body in self.features.items()})

    @cached_property
    def tree(self) -> shapely.STRtree:
        """An index of the outlines, in the order of `campus.everything`."""
        return shapely.STRtree([zone.geometry for zone in self.campus.everything])


class FollowedCampus:
    """The campus of one process. It is the file until somebody puts another one into Redis."""

    def __init__(self, *, client: Redis, file: Campus) -> None:
        self._client = client
        self._file = CampusView(file)
        self._taken = 0
        self.view = self._file
        """The present state. Take it once for an answer: it is replaced while others are awaited."""

    async def run(self, stop: Stop) -> None:
        """Follow until `stop`. While Redis is away, or holds what is no campus, the last good state stays."""
        away = False
        while not stop.is_set():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.look()
            except (Unavailable, TimeoutError) as error:
                if not away:
                    _log.warning("the campus cannot be followed", error=str(error))
                away = True
            else:
                away = False
            await pause(EVERY_SECONDS, stop)

    async def look(self) -> CampusView:
        """Take up the campus that is in Redis now. Raises Unavailable, also where that one cannot be used."""
        taken = self._taken
        if (await stored_version(self._client) or self._file.version) != self.view.version:
            view = await self._stored_view()
            # Where another was taken meanwhile, this one may be older.
            if taken == self._taken:
                self.take(view)
        return self.view

    async def _stored_view(self) -> CampusView:
        stored = await stored_campus(self._client)
        if stored is None:
            return self._file
        try:
            # In a thread: thousands of outlines are checked.
            campus = await asyncio.to_thread(parse_campus, stored.geojson, "the campus in Redis")
        except InvalidCampus as error:
            raise Unavailable(str(error)) from error
        return CampusView(campus, version=stored.version)

    def take(self, view: CampusView) -> None:
        """Answer from this state from now on."""
        if view is not self.view:
            self._taken += 1
            self.view = view
            _log.info("campus", version=view.version, zones=len(view.campus.zones))


def feature_json(zone: Zone) -> bytes:
    """A zone's GeoJSON Feature as it is published."""
    # Not by msgspec: integers of a campus's own properties have no limit.
    return json.dumps(zone.feature, ensure_ascii=False, separators=(",", ":")).encode()


def collection(features: list[bytes], *, matched: int, links: list[dict[str, str]] | None = None) -> bytes:
    """A GeoJSON FeatureCollection of features that are written already, with the members of OGC API Features.

    `matched` is how many there are in all, on this page and the others.
    """
    members = {"numberMatched": matched, "numberReturned": len(features), "links": links or []}
    rest = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return b'{"type":"FeatureCollection","features":[%b],%b' % (b",".join(features), rest[1:])


def etag_of(body: bytes) -> str:
    """A strong ETag, with its quotes: another one for another body."""
    return f'"{hashlib.sha256(body).hexdigest()[:_ETAG_CHARACTERS]}"'
