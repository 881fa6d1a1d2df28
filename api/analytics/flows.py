"""Flows: how many went from which zone to which, over a range of hours."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from api.analytics.body import (
    DAY_MS,
    HOUR_MS,
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
    by_days,
    data_of,
    minutes_of,
    newest,
)
from api.analytics.dependencies import AnalyticsResources
from api.http.instants import name_of, writer
from api.privacy import Cell, Pair, shown_cells
from core.kinds import KindId
from timeseries import Result

JOB = "flows"


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


def cells_of(flows: Iterable[Result]) -> dict[int, dict[Pair, Cell]]:
    """By hour: how many went from where to where. What the job has summed up, without naming the pair, is left out."""
    cells: dict[int, dict[Pair, Cell]] = {}
    for each in flows:
        if each.other:
            cell = Cell(count=int(each.values["count"]), devices=int(each.values["devices"]))
            cells.setdefault(each.at, {})[each.zone, each.other] = cell
    return cells


async def flows(
    resources: AnalyticsResources, kind: KindId, asked: Range, *, shown_in: ZoneInfo | None = None
) -> Flows:
    """The body of the answer. Raises UnavailableError if the store does not answer in time."""
    # Whole days: so it cannot be told of a single hour whether anybody went anywhere.
    days = Range(asked.start // DAY_MS * DAY_MS, -(-asked.end // DAY_MS) * DAY_MS)

    async def read() -> tuple[list[Result], dict[int, int]]:
        store, campus = resources.store, resources.zones.campus.boundary.id
        return (
            await by_days(store, JOB, days, kind=kind),
            await minutes_of(store, campus, kind, asked.start, asked.end),
        )

    found, minutes = await answered(read)
    until = max((each.at for each in found), default=0) + HOUR_MS
    data = data_of(minutes, asked.hours, until=until, computed_at=newest(found))
    write = writer(shown_in)
    cells = {at: each for at, each in cells_of(found).items() if asked.start <= at < asked.end}
    return Flows(
        kind=kind,
        timezone=name_of(shown_in),
        start=write(asked.start),
        end=write(asked.end),
        flows=_sums(cells, resources.least_devices),
        data_begin=None if data.begin is None else write(data.begin),
        data_end=None if data.end is None else write(data.end),
        computed_at=None if data.computed_at is None else write(data.computed_at),
        recorded_minutes=data.minutes,
        basis=_basis(resources.least_devices),
    )


def _sums(cells: Mapping[int, Mapping[Pair, Cell]], least: int) -> list[Flow]:
    """Sums of what may be shown hour by hour: so nothing can be computed back, whatever ranges are asked for."""
    counts: defaultdict[Pair, int] = defaultdict(int)
    hours: defaultdict[Pair, int] = defaultdict(int)
    for each in cells.values():
        for pair, cell in shown_cells(each, least).items():
            counts[pair] += cell.count
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
