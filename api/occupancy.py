"""How many are where, now: the body of every answer about it, built in one place."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from api.instants import Rfc3339
from api.state import State
from core.clock import format_rfc3339
from core.errors import Unavailable
from core.messages import Kind
from core.presence import Presence, presence_now
from geofence import Zone

REDIS_SECONDS = 2.0
"""How long an answer waits for Redis, and for its turn to ask; the connection itself would wait for much longer."""
CAR_PARK = "car_park"
"""The category of zones whose capacity is counted in cars."""

LastUpdated = Annotated[
    Rfc3339, Field(description="When the counts were read, RFC 3339, UTC.", examples=["2026-03-02T10:15:00.250Z"])
]
Ttl = Annotated[int, Field(description="Seconds for which the answer stays good; ask again after that.", examples=[1])]


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
    mobile: Annotated[int, Field(description="Phones present.", examples=[118])]
    total: Annotated[int, Field(description="Cars and phones together.", examples=[121])]
    capacity: Annotated[
        int | None,
        Field(description="How many the zone can hold, cars in a car park; null where none is set.", examples=[400]),
    ]
    percentage: Annotated[
        float | None,
        Field(
            description="How full it is, per cent of the capacity: in a car park the cars, elsewhere the total. "
            "It can exceed 100; null where no capacity is set.",
            examples=[30.3],
        ),
    ]
    observed_at: Annotated[
        Rfc3339 | None,
        Field(
            description="Time of the newest position of those present, RFC 3339, UTC; null where nobody is.",
            examples=["2026-03-02T10:14:59Z"],
        ),
    ]
    last_updated: LastUpdated
    ttl: Ttl


@dataclass(frozen=True, slots=True)
class OccupancyOfAll:
    """The devices that are in every zone now."""

    last_updated: LastUpdated
    ttl: Ttl
    zones: Annotated[
        list[Occupancy], Field(description="The campus itself first, then its zones in the order of /v1/zones.")
    ]


def occupancy(zone: Zone, presence: Mapping[Kind, Presence], *, now: int, ttl: int) -> Occupancy:
    """The one body that describes who is in a zone; `now` in milliseconds since the epoch, `ttl` in seconds."""
    car, mobile = presence[Kind.CAR], presence[Kind.MOBILE]
    total = car.devices + mobile.devices
    used = car.devices if zone.category == CAR_PARK else total
    observed = [kind.observed_at for kind in (car, mobile) if kind.observed_at is not None]
    return Occupancy(
        zone=zone.id,
        name=zone.name,
        category=zone.category,
        car=car.devices,
        mobile=mobile.devices,
        total=total,
        capacity=zone.capacity,
        percentage=round(100 * used / zone.capacity, 1) if zone.capacity else None,
        observed_at=format_rfc3339(max(observed)) if observed else None,
        last_updated=format_rfc3339(now),
        ttl=ttl,
    )


async def occupancy_now(state: State, zones: Sequence[Zone]) -> list[Occupancy]:
    """Who is in these zones now, in their order. Raises Unavailable if Redis does not answer in time."""
    now = state.clock()
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            present = await presence_now(
                state.redis, [zone.id for zone in zones], now=now, ttl=state.settings.presence_ttl
            )
    except TimeoutError as error:
        raise Unavailable(f"Redis did not answer within {REDIS_SECONDS} s") from error
    return [occupancy(zone, present[zone.id], now=now, ttl=state.settings.occupancy_ttl) for zone in zones]
