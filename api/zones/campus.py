"""The campus as it is now: followed in Redis, as decoders do, with the answers about it written beforehand."""

import json
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import shapely

from api.http.answers import etag_of
from geofence import Campus, Zone, parse_campus
from state.campus import StoredCampus
from state.campus_follower import CampusFollower
from state.client import Redis

EVERY_SECONDS = 0.5
"""How often a process looks for a change: with what it takes to read one, well under two seconds."""


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
        return collection(list(self.features.values()), matched=len(self.features), attribution=self.campus.attribution)

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


class FollowedCampus(CampusFollower[CampusView]):
    """The campus of an API process. It is the file until somebody puts another one into Redis."""

    def __init__(self, *, client: Redis, file: Campus) -> None:
        super().__init__(client, file=CampusView(file), version=file.version, make=_view_of)

    def replace(self, view: CampusView) -> None:
        """This process has put this campus into Redis: answer from it from now on."""
        self.take(view, view.version)


def _view_of(stored: StoredCampus) -> CampusView:
    return CampusView(parse_campus(stored.geojson, "the campus in Redis"), version=stored.version)


def feature_json(zone: Zone) -> bytes:
    """A zone's GeoJSON Feature as it is published."""
    # Not by msgspec: integers of a campus's own properties have no limit.
    return json.dumps(zone.feature, ensure_ascii=False, separators=(",", ":")).encode()


def collection(
    features: list[bytes], *, matched: int, attribution: str, links: list[dict[str, str]] | None = None
) -> bytes:
    """A GeoJSON FeatureCollection of features that are written already, with the members of OGC API Features.

    `matched` is how many there are in all, on this page and the others. `attribution` is that of the campus.
    """
    members: dict[str, object] = {"attribution": attribution} if attribution else {}
    members |= {"numberMatched": matched, "numberReturned": len(features), "links": links or []}
    rest = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return b'{"type":"FeatureCollection","features":[%b],%b' % (b",".join(features), rest[1:])
