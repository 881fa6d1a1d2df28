"""How many were where, over time: what is asked, and the body of the answer, built in one place."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Annotated, cast
from zoneinfo import ZoneInfo

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from api.history.recorded import unrecorded
from api.http.instants import EARLIEST, Instant, Rfc3339, TimeZone, name_of, writer, written
from api.http.kinds import Kind
from api.http.problems import ProblemError, WrongParameter, no_longer_kept, wrong_parameters
from api.http.released import Protected, ReleasedBasis, unset
from api.http.spans import span_of
from api.privacy import shown_count
from core.clock import format_rfc3339
from core.errors import UnavailableError
from core.kinds import KindId
from timeseries import (
    OccupancyStore,
    TimeseriesStore,
    Width,
    nominal_ms,
    window_end,
    window_start,
    windows_between,
)

STORE_SECONDS = 10.0
"""How long an answer waits for the occupancy store."""
STORE_QUESTIONS = 8
"""Zones that one answer asks the store about at the same time."""
ZONES_MAX = 200
"""Zones of one answer at the most: each of them is a question to the store."""
_KEPT_WINDOWS = 2000
"""Windows of the largest range whose times are kept as they are written."""
_HOUR_MS = 3_600_000
_NOT_OVER = -1
"""As a count: it is under any least number, 0 as well."""
DEFAULT_SPAN_MS: Mapping[Width, int] = MappingProxyType(
    {
        Width.MINUTE: _HOUR_MS,
        Width.FIVE_MINUTES: 24 * _HOUR_MS,
        Width.HOUR: 7 * 24 * _HOUR_MS,
        Width.DAY: 30 * 24 * _HOUR_MS,
    }
)
"""How far back an answer goes where no start is given."""


class Format(StrEnum):
    """How history can be given."""

    JSON = "json"
    CSV = "csv"


class HistoryQuery(BaseModel):
    """What part of the history is asked for; the table of kinds says which there are (`api.history.routes`)."""

    # A parameter that is not known is a slip of the pen (from=, to=): to ignore it would answer another question.
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    window: Width = Field(
        default=Width.FIVE_MINUTES,
        description="How long each window is. 1d windows are the calendar days of the campus.",
        examples=["1m"],
    )
    start: Instant = Field(
        default=None,
        description="From when on, RFC 3339 with an offset; the window that holds it is the first one. By default an "
        "hour before end for 1m, a day for 5m, 7 days for 1h, 30 days for 1d.",
    )
    end: Instant = Field(
        default=None,
        description="Until when, RFC 3339 with an offset; a window that begins then is left out. By default now: the "
        "last window is then still being counted.",
    )
    tz: TimeZone = Field(
        default=None,
        description="IANA name of the time zone whose offset the times of the answer are written with; by default they "
        "are in UTC. It changes no window.",
    )
    format: Format | None = Field(
        default=None,
        description="json or csv; by default what the header Accept prefers, and JSON if that does not say.",
        examples=["csv"],
    )


@dataclass(slots=True)
class Point:
    """One window."""

    # Not frozen: an answer has thousands of them, and a frozen one takes twice as long to make.
    start: Annotated[Rfc3339, Field(description="When it begins, RFC 3339.", examples=["2019-02-18T08:58:00Z"])]
    end: Annotated[Rfc3339, Field(description="When the next one begins.", examples=["2019-02-18T08:59:00Z"])]
    devices: Annotated[
        int | None,
        Field(
            description="Distinct devices observed in the zone during it, or the mean of released counts where "
            "`protected` is there; null where the count is withheld.",
            examples=[1],
        ),
    ]
    suppressed: Annotated[
        bool,
        Field(description="Whether the count is withheld, as it could tell of single people.", examples=[False]),
    ]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time, from one window to another."""

    start: Annotated[Rfc3339, Field(description="When it begins, RFC 3339.", examples=["2019-02-18T08:55:00Z"])]
    end: Annotated[Rfc3339, Field(description="When it is over.", examples=["2019-02-18T08:58:00Z"])]


# What the answers about history share; each has examples of its own.
ZoneOf = Annotated[str, Field(description="Id of the zone.")]
Counted = Annotated[Kind, Field(description="What was counted.")]
WindowOf = Annotated[Width, Field(description="How long each window is.")]
ZoneOfTimes = Annotated[str, Field(description="Whose offset all times here have.", examples=["UTC"])]
StartAsked = Annotated[Rfc3339, Field(description="The start asked for, RFC 3339.")]
EndAsked = Annotated[Rfc3339, Field(description="The end asked for.")]
KeptSince = Annotated[
    Rfc3339 | None,
    Field(
        description="Start of the oldest window of this width that is kept: before it, a 0 means that nothing is known "
        "any more. Null where all are kept.",
        examples=[None],
    ),
]


@dataclass(frozen=True, slots=True)
class History:
    """The devices of one kind that were in one zone, window by window."""

    zone: Annotated[ZoneOf, Field(examples=["car-park-west"])]
    kind: Annotated[Counted, Field(examples=["car"])]
    window: Annotated[WindowOf, Field(examples=["1m"])]
    timezone: ZoneOfTimes
    start: Annotated[StartAsked, Field(examples=["2019-02-18T08:55:00Z"])]
    end: Annotated[EndAsked, Field(examples=["2019-02-18T09:05:00Z"])]
    points: Annotated[
        list[Point], Field(description="Every window from the one that holds start until end; 0 where nobody was seen.")
    ]
    first: Annotated[
        Rfc3339 | None,
        Field(
            description="Start of the first window that the store has of this zone, kind and width. Null where it has "
            "none.",
            examples=["2019-02-18T08:58:00Z"],
        ),
    ]
    last: Annotated[
        Rfc3339 | None,
        Field(
            description="Start of the last window that the store has, likewise.",
            examples=["2019-02-18T09:00:00Z"],
        ),
    ]
    unrecorded: Annotated[
        list[TimeRange],
        Field(
            description="Windows of which no minute was recorded, as ranges: there, a 0 means that nothing is known. "
            "Elsewhere it means that nobody was seen."
        ),
    ]
    kept_since: KeptSince
    protected: Protected = field(default_factory=unset)
    basis: ReleasedBasis = field(default_factory=unset)


@dataclass(frozen=True, slots=True)
class HistoryOfSeveral:
    """The devices of one kind that were in several zones, window by window."""

    kind: Annotated[Counted, Field(examples=["car"])]
    window: Annotated[WindowOf, Field(examples=["1h"])]
    timezone: ZoneOfTimes
    start: Annotated[StartAsked, Field(examples=["2019-02-18T00:00:00Z"])]
    end: Annotated[EndAsked, Field(examples=["2019-02-19T00:00:00Z"])]
    zones: Annotated[
        list[History], Field(description="One history for each zone, in the order asked for, or in that of /v1/zones.")
    ]
    kept_since: KeptSince
    protected: Protected = field(default_factory=unset)
    basis: ReleasedBasis = field(default_factory=unset)


@dataclass(frozen=True, slots=True)
class Range:
    """A range of windows that is known to be sound, and small enough to be answered."""

    width: Width
    start: int
    """As asked for, milliseconds since the epoch."""
    end: int
    starts: list[int]
    """Where each window begins; never empty."""
    until: int
    """Where the last of them ends."""


def range_of(query: HistoryQuery, *, now: int, timezone: ZoneInfo, most: int, zones: int = 1) -> Range:
    """The windows that a query asks for; `most` is how many an answer may hold, `now` ms since the epoch.

    `timezone` is the campus's. Raises a 422 problem for a range that is empty, reversed, or too large for that many
    zones.
    """
    start, end = span_of(query.start, query.end, now=now, by_default=DEFAULT_SPAN_MS[query.window])
    each = most // zones
    starts = list(islice(windows_between(query.window, start, end, timezone), each + 1))
    if len(starts) > each:
        raise _too_many(query.window, start, end, most=most, zones=zones)
    return Range(
        width=query.window,
        start=start,
        end=end,
        starts=starts,
        until=window_end(query.window, starts[-1], timezone),
    )


def check_zones(count: int) -> None:
    """Raise a 422 problem for more zones than one answer may have."""
    if count > ZONES_MAX:
        detail = f"{count} zones, and an answer has {ZONES_MAX} at the most: name fewer of them (zone=a&zone=b)"
        raise wrong_parameters([WrongParameter("zone", detail)])


def _count(width: Width, start: int, end: int) -> int:
    """About how many windows: there can be one more, and days are taken to be 24 hours long."""
    return (end - start - 1) // nominal_ms[width] + 1


def _too_many(width: Width, start: int, end: int, *, most: int, zones: int) -> ProblemError:
    wider = next((other for other in Width if _count(other, start, end) * zones < most), None)
    choose = f"choose window={wider}, or a shorter range" if wider else "choose a shorter range"
    many = f" for each of {zones} zones" if zones > 1 else ""
    fewer = ", or fewer zones" if zones > 1 else ""
    detail = (
        f"{format_rfc3339(start)} to {format_rfc3339(end)} has {_count(width, start, end):,} windows of {width}{many}, "
        f"and an answer holds {most:,} at the most: {choose}{fewer}"
    )
    return wrong_parameters([WrongParameter("window", detail)])


async def oldest_kept(store: OccupancyStore, width: Width, timezone: ZoneInfo) -> int | None:
    """Where the oldest window of a width that is kept begins, milliseconds since the epoch; None where all are kept.

    `timezone` is the campus's. Raises UnavailableError if the store does not answer in time.
    """
    try:
        async with asyncio.timeout(STORE_SECONDS):
            since = await store.kept_since(width)
    except TimeoutError as error:
        raise UnavailableError(f"the occupancy store did not answer within {STORE_SECONDS} s") from error
    if since is None:
        return None
    start = window_start(width, since, timezone)
    return start if start == since else window_end(width, start, timezone)


async def check_kept(
    store: OccupancyStore, width: Width, last: int, kept_since: int | None, timezone: ZoneInfo, *, choose: bool = True
) -> None:
    """Raise a 410 problem for a range whose last window, which begins at `last`, is not kept any more.

    With `choose`, another width that is kept for longer is named, if there is one.
    """
    if kept_since is None or last >= kept_since:
        return
    detail = f"of {width} windows those since {format_rfc3339(kept_since)} are kept, and all of these began before"
    for other in Width if choose else ():
        kept = await oldest_kept(store, other, timezone)
        if kept is None or window_start(other, last, timezone) >= kept:
            detail += f": choose window={other}"
            break
    raise no_longer_kept(detail)


async def histories(
    store: TimeseriesStore,
    zones: Sequence[str],
    kind: KindId,
    asked: Range,
    *,
    shown_in: ZoneInfo | None = None,
    least: int = 0,
    encoded: bool = False,
    kept_since: int | None = None,
    over: int | None = None,
) -> list[History]:
    """The bodies of the answer, in the order of `zones`.

    `shown_in` is the time zone that times are written in, None for UTC; `least` is under which number counts of this
    kind are withheld. With `encoded` their points are JSON already, for whoever writes them as that: there are
    thousands. `kept_since` is what `oldest_kept` says. Of released counts `over` is when it is, ms since the epoch:
    what is not over then is withheld. Raises UnavailableError if the store does not answer in time.
    """
    edges = _edges(asked, shown_in)
    write = writer(shown_in)
    turn = asyncio.Semaphore(STORE_QUESTIONS)

    async def one(zone: str) -> History:
        async with turn:
            found = await store.record(
                zone=zone, kind=kind, width=asked.width, start=asked.starts[0], end=asked.end, until=asked.until
            )
        devices, extent = found.devices, found.extent
        return History(
            zone=zone,
            kind=kind,
            window=asked.width,
            timezone=name_of(shown_in),
            start=write(asked.start),
            end=write(asked.end),
            points=(_encoded if encoded else _points)(asked, edges, _those_over(devices, asked, over), least),
            first=None if extent is None else write(max(extent[0], EARLIEST)),
            last=None if extent is None else write(extent[1]),
            unrecorded=[
                TimeRange(write(start), write(end))
                for start, end in unrecorded(
                    (*asked.starts, asked.until), found.minutes, devices, kept_since=kept_since or 0
                )
            ],
            kept_since=None if kept_since is None else write(kept_since),
        )

    try:
        async with asyncio.timeout(STORE_SECONDS):
            return await asyncio.gather(*map(one, zones))
    except TimeoutError as error:
        raise UnavailableError(f"the occupancy store did not answer within {STORE_SECONDS} s") from error


def _those_over(devices: Mapping[int, int], asked: Range, over: int | None) -> Mapping[int, int]:
    """The same, with less than any number for the windows that are not over then; None: for none."""
    if over is None or asked.until <= over:
        return devices
    ends = zip(asked.starts, (*asked.starts[1:], asked.until), strict=True)
    return {**devices, **dict.fromkeys((start for start, end in ends if end > over), _NOT_OVER)}


@dataclass(frozen=True, slots=True)
class _Edges:
    """When the windows of a range begin and end, as they are written."""

    texts: list[str]
    """One more than there are windows."""
    members: list[str]
    """Of each window: its JSON, up to the count."""


def _edges(asked: Range, shown_in: ZoneInfo | None) -> _Edges:
    # A range is asked for of many zones and kinds, and by many; not those that are large, for they would take room.
    make = _kept_edges if len(asked.starts) <= _KEPT_WINDOWS else _kept_edges.__wrapped__
    return make((*asked.starts, asked.until), shown_in)


@lru_cache(maxsize=32)
def _kept_edges(instants: tuple[int, ...], shown_in: ZoneInfo | None) -> _Edges:
    texts = written(instants, shown_in)
    return _Edges(texts, [f'{{"start":"{start}","end":"{end}","devices":' for start, end in pairwise(texts)])


def _points(asked: Range, edges: _Edges, devices: Mapping[int, int], least: int) -> list[Point]:
    return [
        Point(start, end, *shown_count(devices.get(at, 0), least))
        for at, (start, end) in zip(asked.starts, pairwise(edges.texts), strict=True)
    ]


def _encoded(asked: Range, edges: _Edges, devices: Mapping[int, int], least: int) -> list[Point]:
    """The same as `_points`, written as msgspec would."""
    members = [
        member + _encoded_count(devices.get(at, 0), least)
        for at, member in zip(asked.starts, edges.members, strict=True)
    ]
    # Not a list, but what the encoder takes in the place of one.
    return cast("list[Point]", msgspec.Raw(f"[{','.join(members)}]".encode()))


@lru_cache(maxsize=4096)
def _encoded_count(devices: int, least: int) -> str:
    """What follows `"devices":` in the JSON of a window."""
    count, suppressed = shown_count(devices, least)
    return 'null,"suppressed":true}' if suppressed else f'{count},"suppressed":false}}'
