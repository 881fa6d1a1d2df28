"""How many are where, now: what every answer about it says, built in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from api.http.instants import Rfc3339
from api.occupancy.newest_input import Input
from api.occupancy.snapshot import Snapshot, ZonePart
from api.privacy import shown_counts
from core.clock import format_rfc3339
from core.kinds import KindId
from core.messages import CAR, MOBILE
from geofence import Zone
from state.presence import Presence

SECOND_MS = 1000
MINUTE_MS = 60_000
NOTHING_KNOWN = Input(newest={}, stale=None)
CAR_PARK = "car_park"
"""The category of zones whose capacity is counted in cars."""

LastUpdated = Annotated[
    Rfc3339, Field(description="When the counts were read, RFC 3339, UTC.", examples=["2026-03-02T10:15:00.250Z"])
]
Ttl = Annotated[int, Field(description="Seconds for which the answer stays good; ask again after that.", examples=[1])]
Lag = Annotated[
    int,
    Field(
        description="Seconds that the decoder is behind: the age of the oldest message that is not counted yet; 0 "
        "where none waits.",
        examples=[0],
    ),
]


Stale = Annotated[
    str | None,
    Field(
        description="Why these counts cannot be those of now, in a sentence for people; null where nothing is known "
        "against them. A 0 with a sentence here does not say that nobody is there.",
        examples=[None],
    ),
]


@dataclass(frozen=True, slots=True)
class NewestInput:
    """When the newest message of each kind of device came, wherever it came from, RFC 3339, UTC, in whole seconds.

    In whole minutes where small counts are withheld (PRIVACY_MIN_COUNT).
    """

    car: Annotated[
        Rfc3339 | None, Field(description="Of cars; null where none ever came.", examples=["2026-03-02T10:15:00Z"])
    ]
    mobile: Annotated[
        Rfc3339 | None, Field(description="Of phones; null where none ever came.", examples=["2026-03-02T10:14:58Z"])
    ]


Newest = Annotated[
    NewestInput,
    Field(
        description="When the newest message of each kind came in: nothing for long is no sign that nobody is there."
    ),
]


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


@dataclass(frozen=True, slots=True)
class ZoneCounts:
    """What is said of one zone alone: it is written again only when it changes."""

    zone: Annotated[str, Field(description="Id of the zone.", examples=["kemmy"])]
    name: Annotated[str, Field(description="Its name, for people.", examples=["Kemmy Business School"])]
    category: Annotated[
        str | None,
        Field(description="What it is, such as building or car_park; null where none is set.", examples=["building"]),
    ]
    car: Annotated[int, Field(description="Cars present.", examples=[3])]
    mobile: Annotated[
        int | None, Field(description="Phones present; null where so few are that it is suppressed.", examples=[118])
    ]
    total: Annotated[
        int | None, Field(description="Cars and phones together; null where the phones are.", examples=[121])
    ]
    capacity: Annotated[
        int | None,
        Field(description="How many the zone can hold, cars in a car park; null where none is set.", examples=[400]),
    ]
    percentage: Annotated[
        float | None,
        Field(
            description="How full it is, per cent of the capacity: in a car park the cars, elsewhere the total. "
            "It can exceed 100; null where no capacity is set, and where it would tell a suppressed count.",
            examples=[30.3],
        ),
    ]
    suppressed: Annotated[
        bool,
        Field(
            description="Whether there are too few phones to say how many, so that nobody can be told apart by them.",
            examples=[False],
        ),
    ]
    observed_at: Annotated[
        Rfc3339 | None,
        Field(
            description="Time of the newest position of those present, RFC 3339, UTC; null where nobody is. Of cars "
            "alone where phones are suppressed.",
            examples=["2026-03-02T10:14:59Z"],
        ),
    ]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the bodies of one moment share, at the end of each."""

    last_updated: LastUpdated
    ttl: Ttl
    lag_seconds: Lag
    newest_input_at: Newest
    stale: Stale


@dataclass(frozen=True, slots=True)
class Occupancy(ZoneCounts):
    """The devices that are in one zone now."""

    last_updated: LastUpdated
    ttl: Ttl
    lag_seconds: Lag
    newest_input_at: Newest
    stale: Stale


@dataclass(frozen=True, slots=True)
class OccupancyOfAll:
    """The devices that are in every zone now."""

    last_updated: LastUpdated
    ttl: Ttl
    lag_seconds: Lag
    newest_input_at: Newest
    stale: Stale
    zones: Annotated[
        list[Occupancy],
        Field(description="The campus itself first, then its zones in the order of /v1/zones, unless asked otherwise."),
    ]


def zone_counts(zone: Zone, presence: Mapping[KindId, Presence], *, least: int = 0) -> ZoneCounts:
    """Who is in a zone; `least` is PRIVACY_MIN_COUNT."""
    car, mobile = presence[CAR], presence[MOBILE]
    shown = shown_counts(car=car.devices, mobile=mobile.devices, least=least)
    used = car.devices if zone.category == CAR_PARK else shown.total
    # A time would tell that somebody is there whose number is not told.
    seen = [car] if shown.suppressed else [car, mobile]
    observed = [kind.observed_at for kind in seen if kind.observed_at is not None]
    return ZoneCounts(
        zone=zone.id,
        name=zone.name,
        category=zone.category,
        car=car.devices,
        mobile=shown.mobile,
        total=shown.total,
        capacity=zone.capacity,
        percentage=round(100 * used / zone.capacity, 1) if zone.capacity and used is not None else None,
        suppressed=shown.suppressed,
        observed_at=format_rfc3339(max(observed)) if observed else None,
    )


def zone_part(counts: ZoneCounts) -> ZonePart:
    """The same as the beginning of a body."""
    return ZonePart(msgspec.json.encode(counts)[:-1], counts.category, counts.total)


def shared_members(*, now: int, ttl: int, lag: int = 0, least: int = 0, input_: Input = NOTHING_KNOWN) -> bytes:
    """What the bodies of one moment share, as members of a JSON object, without its braces.

    `now` in milliseconds since the epoch, `ttl` and `lag` in seconds; `least` is PRIVACY_MIN_COUNT.
    """
    shared = Shared(
        last_updated=format_rfc3339(now),
        ttl=ttl,
        lag_seconds=lag,
        newest_input_at=NewestInput(*(_came(input_.newest.get(kind), least) for kind in (CAR, MOBILE))),
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
