"""Flows: how many went from which zone to which, over a range of hours."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from api.analytics.body import (
    Basis,
    Begins,
    ComputedAt,
    Counted,
    DataBegin,
    DataEnd,
    Ends,
    Range,
    RecordedMinutes,
    ResultsQuery,
    ZoneOfTimes,
    answered,
    data_of,
    minutes_of,
)
from api.analytics.dependencies import AnalyticsResources
from api.analytics.flow_days import FlowDay
from api.analytics.worked_out import computed_at, is_known
from api.http.instants import name_of, writer
from api.privacy import Pair
from core.kinds import KindId


class FlowsFormat(StrEnum):
    """How flows can be given."""

    JSON = "json"
    CSV = "csv"
    MATRIX = "matrix"


class FlowsQuery(ResultsQuery):
    """Which flows are asked for."""

    format: FlowsFormat | None = Field(
        default=None,
        description="json; csv, a row for each pair of zones; or matrix, a table as CSV with a row for each origin and "
        "a column for each destination. By default what the header Accept prefers, json or csv.",
        examples=["matrix"],
    )


@dataclass(frozen=True, slots=True)
class Flow:
    """How often devices went from one zone to another."""

    origin: Annotated[str, Field(description="Id of the zone that they left.", examples=["car-park-west"])]
    destination: Annotated[str, Field(description="Id of the zone that they came to.", examples=["kemmy"])]
    count: Annotated[
        int,
        Field(
            description="How often, in the hours that may be shown: what was withheld is not in it, so it is a lower "
            "bound.",
            examples=[58],
        ),
    ]
    hours: Annotated[int, Field(description="How many hours that is made of.", examples=[3])]


@dataclass(frozen=True, slots=True)
class Flows:
    """Flows of one kind of devices between zones, over a range of hours."""

    kind: Counted
    timezone: ZoneOfTimes
    start: Begins
    end: Ends
    flows: Annotated[
        list[Flow],
        Field(description="The greatest first. Of a pair that is not there nothing may be told, or there was nothing."),
    ]
    data_begin: DataBegin
    data_end: DataEnd
    computed_at: ComputedAt
    recorded_minutes: RecordedMinutes
    basis: Basis


async def flows(
    resources: AnalyticsResources, kind: KindId, asked: Range, *, shown_in: ZoneInfo | None = None
) -> Flows:
    """The body of the answer. Raises UnavailableError if the store does not answer in time."""

    async def read() -> tuple[list[FlowDay], dict[int, int]]:
        campus = resources.zones.campus.boundary.id
        return (
            await resources.flow_days.between(kind, asked.start, asked.end),
            await minutes_of(resources.store, campus, kind, asked.start, asked.end),
        )

    days, minutes = await answered(read)
    known = {at: said for day in days for at, said in day.worked_out.items()}
    hours_known = (hour for hour in asked.hours if is_known(known, hour))
    data = data_of(minutes, hours_known, computed_at=computed_at(known))
    write = writer(shown_in)
    hours = [found for day in days for at, found in day.hours.items() if asked.start <= at < asked.end]
    return Flows(
        kind=kind,
        timezone=name_of(shown_in),
        start=write(asked.start),
        end=write(asked.end),
        flows=_sums(hours),
        data_begin=None if data.begin is None else write(data.begin),
        data_end=None if data.end is None else write(data.end),
        computed_at=None if data.computed_at is None else write(data.computed_at),
        recorded_minutes=data.minutes,
        basis=_basis(resources.least_devices),
    )


def _sums(shown: Iterable[Mapping[Pair, int]]) -> list[Flow]:
    """Sums of what may be shown hour by hour: so nothing can be computed back, whatever ranges are asked for."""
    counts: defaultdict[Pair, int] = defaultdict(int)
    hours: defaultdict[Pair, int] = defaultdict(int)
    for of_hour in shown:
        for pair, count in of_hour.items():
            counts[pair] += count
            hours[pair] += 1
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Flow(origin, destination, count, hours[origin, destination]) for (origin, destination), count in found]


def _basis(least: int) -> list[str]:
    return [
        "A flow is a device that comes to a zone at most two hours after it was in another one.",
        "It counts in the hour in which it arrives.",
        "The campus itself is no zone here, and a zone that holds another is not compared with it.",
        f"Of each hour a pair of zones with fewer than {least} devices is withheld, whatever the kind.",
        f"A pair between which nobody went is withheld as well: one that is left out may be any number under {least}.",
        "Counts are sums of the hours that are shown, so they are lower bounds.",
        "Of an hour at most 2,000 pairs are kept, those with the most devices.",
    ]
