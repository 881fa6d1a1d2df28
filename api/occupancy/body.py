"""How many are where, now: what every answer about it says, built in one place."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from api.occupancy.newest_input import Input
from api.occupancy.snapshot import Snapshot, ZonePart
from api.occupancy.types import occupancy_types
from api.privacy import ShownCounts, shown_counts, shown_released_counts
from core.clock import format_rfc3339
from core.kinds import KindId, Kinds
from geofence import Zone
from state.presence import Presence

SECOND_MS = 1000
MINUTE_MS = 60_000
NOTHING_KNOWN = Input(newest={}, stale=None)


class Sort(StrEnum):
    """In which order zones come."""

    ZONES = "zones"
    COUNT = "count"


class OccupancyQuery(BaseModel):
    """Which zones are asked for, and in which order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=50,
        description="Only zones of this category; give it several times for several. The campus itself has none "
        "unless its file says otherwise.",
        examples=[["car_park"]],
    )
    sort: Sort = Field(
        default=Sort.ZONES,
        description="zones: in the order of /v1/zones. count: the highest total first, those whose total is suppressed "
        "last.",
        examples=["count"],
    )


class OccupancyBodies:
    """How bodies are made, by one table of kinds and one PRIVACY_MIN_COUNT."""

    def __init__(self, kinds: Kinds, *, least: int = 0, released: bool = False) -> None:
        """`least` is PRIVACY_MIN_COUNT; `released` where counts are not told as they are."""
        self._kinds = kinds
        self._least = least
        self._types = occupancy_types(kinds, released=released)

    def zone_part(self, zone: Zone, presence: Mapping[KindId, Presence]) -> ZonePart:
        """What is said of a zone alone, as the beginning of a body."""
        counts = {kind: presence[kind].devices for kind in self._kinds.ids}
        shown = shown_counts(counts, self._kinds, category=zone.category, least=self._least)
        # A time would tell that somebody is there whose number is not told.
        seen = [presence[kind].observed_at for kind, count in shown.counts.items() if count is not None]
        return self._part(zone, shown, max((at for at in seen if at is not None), default=None))

    def released_part(self, zone: Zone, counts: Mapping[KindId, int]) -> ZonePart:
        """The same of released counts, by kind; one that is left out is 0."""
        all_kinds = {kind: counts.get(kind, 0) for kind in self._kinds.ids}
        shown = shown_released_counts(all_kinds, self._kinds, category=zone.category, least=self._least)
        # When somebody was seen is nobody's business.
        return self._part(zone, shown, None)

    def _part(self, zone: Zone, shown: ShownCounts, observed_at: int | None) -> ZonePart:
        # In the order of the type's members.
        body = self._types.zone_counts(
            zone.id,
            zone.name,
            zone.category,
            *shown.counts.values(),
            shown.total,
            zone.capacity,
            round(100 * shown.used / zone.capacity, 1) if zone.capacity and shown.used is not None else None,
            shown.suppressed,
            None if observed_at is None else format_rfc3339(observed_at),
        )
        return ZonePart(msgspec.json.encode(body)[:-1], zone.category, shown.total)

    def shared_members(self, *, now: int, ttl: int, lag: int = 0, input_: Input = NOTHING_KNOWN) -> bytes:
        """What the bodies of one moment share, as members of a JSON object, without its braces.

        `now` in milliseconds since the epoch, `ttl` and `lag` in seconds.
        """
        came = [_came(input_.newest.get(kind), self._least) for kind in self._kinds.ids]
        shared = self._types.shared(
            last_updated=format_rfc3339(now),
            ttl=ttl,
            lag_seconds=lag,
            newest_input_at=self._types.newest_input(*came),
            stale=input_.stale,
        )
        return msgspec.json.encode(shared)[1:-1]


def _came(at: int | None, least: int) -> str | None:
    step = MINUTE_MS if least else SECOND_MS
    return None if at is None else format_rfc3339(at // step * step)


def chosen(snapshot: Snapshot, query: OccupancyQuery) -> bytes:
    """The body about the zones that a query asks for, in the order that it asks for."""
    parts: Sequence[ZonePart] = snapshot.parts
    if query.category:
        wanted = set(query.category)
        parts = [part for part in parts if part.category in wanted]
    if query.sort is Sort.COUNT:
        # Stable: those that are equal, and those that must not be told apart, stay in the order of the campus.
        parts = sorted(parts, key=lambda part: -1 if part.total is None else part.total, reverse=True)
    return snapshot.everything if parts is snapshot.parts else snapshot.whole(parts)
