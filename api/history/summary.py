"""What a zone is like: its peak, its mean, and its popular times, all of them from windows of an hour.

A figure is made of what may be shown alone: an hour whose count is withheld goes into it as 0, so nothing can
be computed back from it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from api.history.body import (
    STORE_SECONDS,
    Counted,
    EndAsked,
    KeptSince,
    StartAsked,
    ZoneOf,
    ZoneOfTimes,
)
from api.http.instants import Instant, Rfc3339, TimeZone, name_of, writer
from api.http.kinds import Kind
from api.http.problems import ProblemError, WrongParameter, wrong_parameters
from api.http.released import Protected, ReleasedBasis, unset
from api.http.spans import span_of
from api.privacy import shown_count
from core.clock import format_rfc3339
from core.errors import UnavailableError
from core.kinds import KindId
from timeseries import TimeseriesStore, Width, recorded_minutes

HOUR_MS = 3_600_000
DEFAULT_SPAN_MS = 28 * 24 * HOUR_MS
_HOURS = 24

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


class SummaryQuery(BaseModel):
    """What range is summed up; the table of kinds says which there are (`api.history.routes`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    start: Instant = Field(
        default=None, description="From when on, RFC 3339 with an offset. By default four weeks before end."
    )
    end: Instant = Field(default=None, description="Until when, RFC 3339 with an offset. By default now.")
    tz: TimeZone = Field(
        default=None,
        description="IANA name of the time zone whose offset the times of the answer are written with; by default they "
        "are in UTC. Popular times are in the campus's time whatever is given here.",
    )


Devices = Annotated[
    float | None,
    Field(description="Median of the devices of that hour; null where it is withheld or unknown.", examples=[41.5]),
]
Suppressed = Annotated[
    bool, Field(description="Whether a count is withheld, since it could tell of single people.", examples=[False])
]
Hour = Annotated[int, Field(description="Hour of the day in the time of the campus, 0 to 23.", examples=[11])]
Weeks = Annotated[int, Field(description="How many weeks that rests on; 0: nothing is known.", examples=[4])]
Day = Annotated[Weekday, Field(description="Day of the week in the time of the campus.", examples=["tuesday"])]


@dataclass(frozen=True, slots=True)
class Peak:
    """The hour with the most devices; the first of them where there are several."""

    start: Annotated[Rfc3339, Field(description="When it began, RFC 3339.", examples=["2019-02-18T11:00:00Z"])]
    end: Annotated[Rfc3339, Field(description="When it was over.", examples=["2019-02-18T12:00:00Z"])]
    devices: Annotated[int, Field(description="Distinct devices observed during it.", examples=[118])]


@dataclass(frozen=True, slots=True)
class PopularHour:
    """What an hour of a weekday is usually like."""

    hour: Hour
    devices: Devices
    suppressed: Suppressed
    weeks: Weeks


@dataclass(frozen=True, slots=True)
class PopularDay:
    """What a weekday is usually like."""

    weekday: Day
    hours: Annotated[list[PopularHour], Field(description="Its 24 hours, from midnight on.")]


@dataclass(frozen=True, slots=True)
class BusiestHour:
    """The hour of the week with the highest median."""

    weekday: Day
    hour: Hour
    devices: Annotated[float, Field(description="Median of the devices of that hour.", examples=[97.0])]
    weeks: Weeks


@dataclass(frozen=True, slots=True)
class Summary:
    """What a zone was like over a range of time: all figures are of whole hours that are over."""

    zone: Annotated[ZoneOf, Field(examples=["kemmy"])]
    kind: Annotated[Counted, Field(examples=["mobile"])]
    window: Annotated[Width, Field(description="The windows that the figures are made of.", examples=["1h"])]
    timezone: ZoneOfTimes
    campus_timezone: Annotated[
        str, Field(description="Whose weekdays and hours the popular times have.", examples=["Europe/Dublin"])
    ]
    start: Annotated[StartAsked, Field(examples=["2019-01-21T12:00:00Z"])]
    end: Annotated[EndAsked, Field(examples=["2019-02-18T12:00:00Z"])]
    first: Annotated[
        Rfc3339 | None,
        Field(
            description="Start of the first hour in which devices of this kind were counted in this zone, or would "
            "have been. Null where there is none.",
            examples=["2019-01-28T08:00:00Z"],
        ),
    ]
    last: Annotated[
        Rfc3339 | None,
        Field(
            description="Start of the last such hour. What lies outside, or between in a time that was not recorded, "
            "is unknown, and in no figure.",
            examples=["2019-02-18T10:00:00Z"],
        ),
    ]
    kept_since: KeptSince
    hours: Annotated[
        int, Field(description="Recorded hours that the figures rest on; 0: nothing is known.", examples=[507])
    ]
    recorded_minutes: Annotated[
        int,
        Field(
            description="Minutes of these hours in which the system was counting: 60 an hour, unless it was away.",
            examples=[30_412],
        ),
    ]
    suppressed: Annotated[
        bool,
        Field(
            description="Whether counts of some hours are withheld: they go into the figures as 0, so the mean and the "
            "medians are lower bounds.",
            examples=[False],
        ),
    ]
    peak: Annotated[Peak | None, Field(description="The busiest single hour; null where nobody was seen.")]
    mean: Annotated[
        float | None,
        Field(description="Mean of the devices an hour; null where nothing may be told.", examples=[23.4]),
    ]
    busiest: Annotated[
        BusiestHour | None, Field(description="The hour of the week that is usually the busiest; null if none is.")
    ]
    weeks: Annotated[int, Field(description="Weeks of the campus that the range has a part of.", examples=[4])]
    popular_times: Annotated[
        list[PopularDay], Field(description="The usual week, Monday first: the median by weekday and hour.")
    ]
    protected: Protected = field(default_factory=unset)
    basis: ReleasedBasis = field(default_factory=unset)


@dataclass(frozen=True, slots=True)
class Hours:
    """A range of whole hours."""

    start: int
    """As asked for, milliseconds since the epoch."""
    end: int
    first: int
    """Where the first whole hour begins."""
    until: int
    """Where the last whole hour that is over ends; not after `first` if there is none."""


def hours_of(query: SummaryQuery, *, now: int) -> Hours:
    """The hours that a query asks for; `now` in ms since the epoch.

    Raises a 422 problem for a range that is empty or reversed.
    """
    start, end = span_of(query.start, query.end, now=now, by_default=DEFAULT_SPAN_MS)
    over = min(end, now)
    return Hours(start=start, end=end, first=-(-start // HOUR_MS) * HOUR_MS, until=over // HOUR_MS * HOUR_MS)


async def summary(
    store: TimeseriesStore,
    *,
    zone: str,
    kind: KindId,
    asked: Hours,
    most: int,
    timezone: ZoneInfo,
    shown_in: ZoneInfo | None,
    least: int,
    kept_since: int | None = None,
) -> Summary:
    """The body of the answer.

    `most` is how many recorded hours it may rest on, `timezone` the campus's own; `shown_in` is the one that times are
    written in, None for UTC; `least` is under which number counts of this kind are withheld; `kept_since` is what
    `api.history.body.oldest_kept` says.

    Raises a 422 problem for too many hours, and UnavailableError if the store does not answer in time.
    """
    # An hour that is not kept any more says nothing, although somebody was counting then.
    kept = replace(asked, first=max(asked.first, kept_since or 0))
    try:
        async with asyncio.timeout(STORE_SECONDS):
            extent, recorded, counts = await _recorded(store, zone, kind, kept, most)
    except TimeoutError as error:
        raise UnavailableError(f"the occupancy store did not answer within {STORE_SECONDS} s") from error
    first, last = extent or (None, None)
    shown = {at: shown_count(devices, least) for at, devices in counts.items()}
    visible = {at: devices or 0 for at, (devices, _) in shown.items()}
    days = popular_times(visible, timezone, least)
    write = writer(shown_in)
    return Summary(
        zone=zone,
        kind=kind,
        window=Width.HOUR,
        timezone=name_of(shown_in),
        campus_timezone=timezone.key,
        start=write(asked.start),
        end=write(asked.end),
        first=None if first is None else write(first),
        last=None if last is None else write(last),
        kept_since=None if kept_since is None else write(kept_since),
        hours=len(visible),
        recorded_minutes=recorded,
        suppressed=any(suppressed for _, suppressed in shown.values()),
        peak=_peak(visible, shown_in),
        mean=_mean(visible, least),
        busiest=_busiest(days),
        weeks=len({_week(datetime.fromtimestamp(at // 1000, timezone)) for at in visible}),
        popular_times=days,
    )


async def _recorded(
    store: TimeseriesStore, zone: str, kind: KindId, asked: Hours, most: int
) -> tuple[tuple[int, int] | None, int, dict[int, int]]:
    """The first and last recorded hour, recorded minutes of the hours asked for, and the devices of each of these.

    An hour of which no minute was recorded is in no figure: it says nothing, not that nobody was there.
    """
    extent = await store.coverage_extent(zone, kind)
    if extent is None:
        return None, 0, {}
    begin, until = max(asked.first, extent[0]), min(asked.until, extent[1] + HOUR_MS)
    if begin >= until:
        return extent, 0, {}
    covered = {
        each.hour: recorded_minutes(each.minutes)
        for each in await store.coverage(kind, start=begin, end=until, zone=zone)
        if each.minutes
    }
    if len(covered) > most:
        raise _too_many_hours(asked, len(covered), most)
    if not covered:
        return extent, 0, {}
    found = await store.history(zone=zone, kind=kind, width=Width.HOUR, start=min(covered), end=max(covered) + HOUR_MS)
    counts = dict.fromkeys(sorted(covered), 0)
    counts.update((point.window.start, point.devices) for point in found if point.window.start in covered)
    return extent, sum(covered.values()), counts


def _too_many_hours(asked: Hours, recorded: int, most: int) -> ProblemError:
    detail = (
        f"{format_rfc3339(asked.start)} to {format_rfc3339(asked.end)} has {recorded:,} recorded hours, and a summary "
        f"is made of {most:,} at the most, {most // (24 * 7)} weeks: choose a shorter range"
    )
    return wrong_parameters([WrongParameter("start", detail)])


def popular_times(devices: Mapping[int, int], timezone: ZoneInfo, least: int = 0) -> list[PopularDay]:
    """The median by weekday and hour of a time zone; `devices` are those of hours, by their start in ms.

    The hour that comes twice when clocks go back counts once a week, with the greater of its counts. A median under
    `least` is withheld.
    """
    cells: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
    for at, count in devices.items():
        moment = datetime.fromtimestamp(at // 1000, timezone)
        weeks = cells.setdefault((moment.weekday(), moment.hour), {})
        week = _week(moment)
        weeks[week] = max(weeks.get(week, 0), count)
    return [
        PopularDay(
            weekday=name,
            hours=[_popular_hour(hour, cells.get((day, hour), {}).values(), least) for hour in range(_HOURS)],
        )
        for day, name in enumerate(WEEKDAYS)
    ]


def _week(moment: datetime) -> tuple[int, int]:
    calendar = moment.isocalendar()
    return calendar.year, calendar.week


def _popular_hour(hour: int, counts: Iterable[int], least: int) -> PopularHour:
    known = list(counts)
    middle = float(median(known)) if known else None
    suppressed = middle is not None and middle < least
    return PopularHour(hour=hour, devices=None if suppressed else middle, suppressed=suppressed, weeks=len(known))


def _busiest(days: Iterable[PopularDay]) -> BusiestHour | None:
    hours = [(day.weekday, hour) for day in days for hour in day.hours if hour.devices]
    if not hours:
        return None
    weekday, hour = max(hours, key=lambda each: each[1].devices or 0)
    return BusiestHour(weekday=weekday, hour=hour.hour, devices=hour.devices or 0, weeks=hour.weeks)


def _peak(visible: Mapping[int, int], shown_in: ZoneInfo | None) -> Peak | None:
    if not any(visible.values()):
        return None
    at = max(visible, key=lambda start: (visible[start], -start))
    write = writer(shown_in)
    return Peak(start=write(at), end=write(at + HOUR_MS), devices=visible[at])


def _mean(visible: Mapping[int, int], least: int) -> float | None:
    if not visible:
        return None
    mean = sum(visible.values()) / len(visible)
    return None if mean < least else round(mean, 2)
