"""How many were where, over time: what is asked, and the body of the answer, built in one place."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from api.instants import EARLIEST, Instant, Rfc3339
from api.problems import Problem, WrongParameter, wrong_parameters
from core.clock import format_rfc3339
from core.errors import Unavailable
from core.messages import Kind
from timeseries import OccupancyStore, Width, nominal_ms, window_end, windows_between

STORE_SECONDS = 10.0
"""How long an answer waits for the occupancy store."""
_HOUR_MS = 3_600_000
DEFAULT_SPAN_MS: Mapping[Width, int] = MappingProxyType(
    {
        Width.MINUTE: _HOUR_MS,
        Width.FIVE_MINUTES: 24 * _HOUR_MS,
        Width.HOUR: 7 * 24 * _HOUR_MS,
        Width.DAY: 30 * 24 * _HOUR_MS,
    }
)
"""How far back an answer goes where no start is given."""


class HistoryQuery(BaseModel):
    """What part of the history is asked for."""

    # A parameter that is not known is a slip of the pen (from=, to=): to ignore it would answer another question.
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(description="What to count: car, or mobile for phones.", examples=["car"])
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


@dataclass(frozen=True, slots=True)
class Point:
    """One window."""

    start: Annotated[Rfc3339, Field(description="When it begins, RFC 3339, UTC.", examples=["2019-02-18T08:58:00Z"])]
    end: Annotated[Rfc3339, Field(description="When the next one begins.", examples=["2019-02-18T08:59:00Z"])]
    devices: Annotated[int, Field(description="Distinct devices observed in the zone during it.", examples=[1])]


@dataclass(frozen=True, slots=True)
class History:
    """The devices of one kind that were in one zone, window by window."""

    zone: Annotated[str, Field(description="Id of the zone.", examples=["car-park-west"])]
    kind: Annotated[Kind, Field(description="What was counted.", examples=["car"])]
    window: Annotated[Width, Field(description="How long each window is.", examples=["1m"])]
    start: Annotated[
        Rfc3339, Field(description="The start asked for, RFC 3339, UTC.", examples=["2019-02-18T08:55:00Z"])
    ]
    end: Annotated[Rfc3339, Field(description="The end asked for.", examples=["2019-02-18T09:05:00Z"])]
    points: Annotated[
        list[Point], Field(description="Every window from the one that holds start until end; 0 where nobody was seen.")
    ]
    first: Annotated[
        Rfc3339 | None,
        Field(
            description="Start of the first window that the store has of this zone, kind and width: before it, a 0 "
            "means that nothing is known. Null where it has none.",
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


def range_of(query: HistoryQuery, *, now: int, timezone: ZoneInfo, most: int) -> Range:
    """The windows that a query asks for; `most` is how many an answer may hold, `now` ms since the epoch.

    Raises a 422 problem for a range that is empty, reversed, or too large.
    """
    end = now if query.end is None else query.end
    start = max(EARLIEST, end - DEFAULT_SPAN_MS[query.window]) if query.start is None else query.start
    if start >= end:
        raise _wrong_range(start, end, end_is_now=query.end is None)
    starts = list(islice(windows_between(query.window, start, end, timezone), most + 1))
    if len(starts) > most:
        raise _too_many(query.window, start, end, most=most)
    return Range(
        width=query.window,
        start=start,
        end=end,
        starts=starts,
        until=window_end(query.window, starts[-1], timezone),
    )


def _wrong_range(start: int, end: int, *, end_is_now: bool) -> Problem:
    until = f"end, {format_rfc3339(end)}" if not end_is_now else f"now, {format_rfc3339(end)}, which end is by default"
    how = "the same as" if start == end else "after"
    detail = f"{format_rfc3339(start)} is {how} {until}; the range must begin before it ends"
    return wrong_parameters([WrongParameter("start", detail)])


def _count(width: Width, start: int, end: int) -> int:
    """About how many windows: there can be one more, and days are taken to be 24 hours long."""
    return (end - start - 1) // nominal_ms[width] + 1


def _too_many(width: Width, start: int, end: int, *, most: int) -> Problem:
    wider = next((other for other in Width if _count(other, start, end) < most), None)
    choose = f"choose window={wider}, or a shorter range" if wider else "choose a shorter range"
    detail = (
        f"{format_rfc3339(start)} to {format_rfc3339(end)} has {_count(width, start, end):,} windows of {width}, "
        f"and an answer holds {most:,} at the most: {choose}"
    )
    return wrong_parameters([WrongParameter("window", detail)])


async def history(store: OccupancyStore, zone: str, kind: Kind, asked: Range) -> History:
    """The body of the answer. Raises Unavailable if the store does not answer in time."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            found, extent = await asyncio.gather(
                store.history(zone=zone, kind=kind, width=asked.width, start=asked.starts[0], end=asked.end),
                store.extent(zone, kind, asked.width),
            )
    except TimeoutError as error:
        raise Unavailable(f"the occupancy store did not answer within {STORE_SECONDS} s") from error
    first, last = extent or (None, None)
    return History(
        zone=zone,
        kind=kind,
        window=asked.width,
        start=format_rfc3339(asked.start),
        end=format_rfc3339(asked.end),
        points=_points(asked, {point.window.start: point.devices for point in found}),
        first=None if first is None else format_rfc3339(first),
        last=None if last is None else format_rfc3339(last),
    )


def _points(asked: Range, devices: Mapping[int, int]) -> list[Point]:
    edges = [format_rfc3339(edge) for edge in (*asked.starts, asked.until)]
    return [
        Point(start=start, end=end, devices=devices.get(at, 0))
        for at, (start, end) in zip(asked.starts, pairwise(edges), strict=True)
    ]
