"""How many are where, now: the body of every answer about it, built in one place."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.input import Input
from api.instants import Rfc3339
from api.privacy import shown_counts
from api.state import State
from core.clock import format_rfc3339
from core.errors import Unavailable
from core.messages import Kind
from geofence import Zone
from state.presence import Presence, presence_now

REDIS_SECONDS = 2.0
"""How long an answer waits for Redis, and for its turn to ask; the connection itself would wait for much longer."""
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
class Occupancy:
    """The devices that are in one zone now."""

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


def occupancy(
    zone: Zone,
    presence: Mapping[Kind, Presence],
    *,
    now: int,
    ttl: int,
    lag: int = 0,
    least: int = 0,
    input_: Input = NOTHING_KNOWN,
) -> Occupancy:
    """The one body that describes who is in a zone.

    `now` in milliseconds since the epoch, `ttl` and `lag` in seconds; `least` is PRIVACY_MIN_COUNT.
    """
    car, mobile = presence[Kind.CAR], presence[Kind.MOBILE]
    shown = shown_counts(car=car.devices, mobile=mobile.devices, least=least)
    used = car.devices if zone.category == CAR_PARK else shown.total
    # A time would tell that somebody is there whose number is not told.
    seen = [car] if shown.suppressed else [car, mobile]
    observed = [kind.observed_at for kind in seen if kind.observed_at is not None]
    return Occupancy(
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
        last_updated=format_rfc3339(now),
        ttl=ttl,
        lag_seconds=lag,
        newest_input_at=NewestInput(*(_came(input_.newest.get(kind), least) for kind in (Kind.CAR, Kind.MOBILE))),
        stale=input_.stale,
    )


def _came(at: int | None, least: int) -> str | None:
    step = MINUTE_MS if least else SECOND_MS
    return None if at is None else format_rfc3339(at // step * step)


async def occupancy_now(state: State, zones: Sequence[Zone]) -> list[Occupancy]:
    """Who is in these zones now, in their order. Raises Unavailable if Redis does not answer in time."""
    now = state.clock()
    settings = state.settings
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            lag = await state.lag.seconds()
            input_ = await state.input.status()
            present = await presence_now(state.redis, [zone.id for zone in zones], now=now, ttl=settings.presence_ttl)
    except TimeoutError as error:
        raise Unavailable(f"Redis did not answer within {REDIS_SECONDS} s") from error
    return [
        occupancy(
            zone,
            present[zone.id],
            now=now,
            ttl=settings.occupancy_ttl,
            lag=lag,
            least=settings.privacy_min_count,
            input_=input_,
        )
        for zone in zones
    ]


def occupancy_of_all(zones: Sequence[Occupancy]) -> OccupancyOfAll:
    """The one body that describes who is in all zones; of at least one, all read at the same time."""
    first = zones[0]
    return OccupancyOfAll(
        last_updated=first.last_updated,
        ttl=first.ttl,
        lag_seconds=first.lag_seconds,
        newest_input_at=first.newest_input_at,
        stale=first.stale,
        zones=list(zones),
    )


def chosen(body: OccupancyOfAll, query: OccupancyQuery) -> OccupancyOfAll:
    """What a query asks for, of the body about all zones."""
    zones: Iterable[Occupancy] = body.zones
    if query.category:
        wanted = set(query.category)
        zones = (zone for zone in zones if zone.category in wanted)
    if query.sort is Sort.COUNT:
        # Stable: those that are equal, and those that must not be told apart, stay in the order of the campus.
        zones = sorted(zones, key=lambda zone: -1 if zone.total is None else zone.total, reverse=True)
    return replace(body, zones=list(zones))
