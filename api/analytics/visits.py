"""Visits of one zone, hour by hour: how many came and left, and how long they had been there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from api.analytics.body import (
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
    Suppressed,
    ZoneOf,
    ZoneOfTimes,
    answered,
    data_of,
    minutes_of,
)
from api.analytics.dependencies import AnalyticsResources
from api.analytics.flow_days import FlowDay
from api.analytics.worked_out import WorkedOut, by_all, computed_at, is_known, worked_out
from api.http.instants import name_of, writer
from api.privacy import DWELL_TIMES, Quartiles, ShownVisits, Visits, shown_visits
from core.kinds import KindId
from timeseries import Result

JOB = "visits"
_PAUSE_HOURS = 2
_PAUSE_MS = _PAUSE_HOURS * HOUR_MS
"""So long before it arrives a device may have left: a flow joins two visits that are no further apart."""

Count = Annotated[int | None, Field(examples=[41])]


@dataclass(frozen=True, slots=True)
class Dwell:
    """How long the visits that ended in an hour had been, in whole minutes."""

    first_quartile: Annotated[int, Field(description="A quarter of them were no longer.", examples=[12])]
    median: Annotated[int, Field(description="Half of them were no longer.", examples=[47])]
    third_quartile: Annotated[int, Field(description="Three quarters of them were no longer.", examples=[58])]


@dataclass(frozen=True, slots=True)
class VisitsOfHour:
    """The visits of one hour."""

    start: Begins
    end: Ends
    entries: Annotated[Count, Field(description="How many visits began; null where withheld or unknown.")]
    exits: Annotated[Count, Field(description="How many ended.")]
    visits: Annotated[Count, Field(description="How many began or ended: one that did both counts once.")]
    devices: Annotated[Count, Field(description="How many different devices that were.")]
    dwell: Annotated[
        Dwell | None,
        Field(description="How long the visits that ended in it had been; null where withheld or unknown."),
    ]
    suppressed: Suppressed
    recorded_minutes: Annotated[
        int,
        Field(
            description="Minutes of the hour in which the system was counting; 0: nothing is known of it.",
            examples=[60],
        ),
    ]


@dataclass(frozen=True, slots=True)
class ZoneVisits:
    """The visits of one zone by one kind of devices, hour by hour."""

    zone: ZoneOf
    kind: Counted
    timezone: ZoneOfTimes
    start: Begins
    end: Ends
    hours: Annotated[list[VisitsOfHour], Field(description="Every hour from the one that holds start until end.")]
    data_begin: DataBegin
    data_end: DataEnd
    computed_at: ComputedAt
    recorded_minutes: RecordedMinutes
    basis: Basis


async def visits(
    resources: AnalyticsResources, zone: str, kind: KindId, asked: Range, *, shown_in: ZoneInfo | None = None
) -> ZoneVisits:
    """The body of the answer. Raises UnavailableError if the store does not answer in time."""

    async def read() -> tuple[WorkedOut, list[Result], list[FlowDay], dict[int, int]]:
        store = resources.store
        # Whether the job was there must not follow from what it found: that nobody came is withheld.
        job = await worked_out(store, JOB, asked.start, asked.end)
        return (
            job,
            await store.results(JOB, start=max(0, asked.start - _PAUSE_MS), end=asked.end, zone=zone, kind=kind),
            await resources.flow_days.between(kind, asked.start, asked.end) if job else [],
            await minutes_of(store, zone, kind, asked.start, asked.end),
        )

    job, found, days, minutes = await answered(read)
    # Where flows are not known yet, it is not known either which visits they would tell of.
    known = by_all([job, {at: said for day in days for at, said in day.worked_out.items()}])
    shown = _shown(zone, {each.at: _visits_of(each) for each in found}, days, resources.least_devices)
    write = writer(shown_in)
    hours_known = [hour for hour in asked.hours if is_known(known, hour)]
    data = data_of(minutes, hours_known, computed_at=computed_at(known))
    is_told = frozenset(hours_known)
    return ZoneVisits(
        zone=zone,
        kind=kind,
        timezone=name_of(shown_in),
        start=write(asked.start),
        end=write(asked.end),
        hours=[
            _hour(
                write(at),
                write(at + HOUR_MS),
                shown.get(at) if at in is_told else None,
                minutes.get(at, 0),
                known=at in is_told,
            )
            for at in asked.hours
        ],
        data_begin=None if data.begin is None else write(data.begin),
        data_end=None if data.end is None else write(data.end),
        computed_at=None if data.computed_at is None else write(data.computed_at),
        recorded_minutes=data.minutes,
        basis=_basis(resources.least_devices),
    )


def _basis(least: int) -> list[str]:
    return [
        "A visit ends when a device is in another place, or was not heard of for as long as it counts as present.",
        "Whoever leaves the campus counts until then, for what is outside leaves no trace.",
        "Entries count in the hour in which a visit begins, exits and dwell in the hour in which it ends.",
        "A visit of more than a day counts as an exit, and is in no quartile.",
        f"An hour of fewer than {least} devices, entries or exits is withheld, and so is one in which nobody came.",
        f"Visits and devices are withheld where fewer than {least} visits only began, only ended, or did both.",
        "So is an hour of which flows that are withheld could be computed.",
        f"Quartiles are of {DWELL_TIMES * least} devices or more, in whole minutes.",
        "Hours in which recorded_minutes is 0 are unknown, and so are those after data_end.",
    ]


def _visits_of(result: Result) -> Visits:
    values = result.values
    quartiles = [values.get(f"dwell_{name}") for name in ("q1", "median", "q3")]
    known = [quartile for quartile in quartiles if quartile is not None]
    dwell: Quartiles | None = (known[0], known[1], known[2]) if len(known) == len(quartiles) else None
    return Visits(
        entries=int(values["entries"]),
        exits=int(values["exits"]),
        devices=int(values["devices"]),
        visits=int(values["visits"]),
        dwell=dwell,
        dwell_devices=int(values.get("dwell_devices", 0)),
    )


def _shown(zone: str, found: Mapping[int, Visits], days: list[FlowDay], least: int) -> dict[int, ShownVisits]:
    """What may be shown of each hour, by its start."""
    into = {at: zones.get(zone, 0) for day in days for at, zones in day.into.items()}
    out = {at: zones.get(zone, 0) for day in days for at, zones in day.out.items()}
    shown = {}
    for at, here in found.items():
        before = (found.get(at - back * HOUR_MS) for back in range(1, _PAUSE_HOURS + 1))
        left = here.exits + sum(each.exits for each in before if each)
        told = shown_visits(here, flowed_in=into.get(at, 0), flowed_out=out.get(at, 0), left=left, least=least)
        if told:
            shown[at] = told
    return shown


def _hour(start: str, end: str, shown: ShownVisits | None, minutes: int, *, known: bool) -> VisitsOfHour:
    if shown is None:
        withheld = known and minutes > 0
        return VisitsOfHour(start, end, None, None, None, None, None, suppressed=withheld, recorded_minutes=minutes)
    return VisitsOfHour(
        start,
        end,
        shown.entries,
        shown.exits,
        shown.visits,
        shown.devices,
        Dwell(*shown.dwell) if shown.dwell else None,
        suppressed=shown.suppressed,
        recorded_minutes=minutes,
    )
