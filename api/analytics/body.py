"""What the answers about results share: what is asked, on what they rest, and how the store is asked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.http.instants import Instant, Rfc3339, TimeZone
from api.http.kinds import Kind
from api.http.problems import WrongParameter, wrong_parameters
from api.http.spans import span_of
from core.clock import format_rfc3339
from core.errors import UnavailableError
from core.kinds import KindId
from timeseries import Result, TimeseriesStore, recorded_minutes

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STORE_SECONDS = 10.0
"""How long an answer waits for the time-series store."""
MAX_DAYS = 31
"""How long a range may be."""
Asked = TypeVar("Asked")


class ResultsQuery(BaseModel):
    """Which hours are asked for; the table of kinds says which there are (`api.analytics.routes`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    start: Instant = Field(
        default=None,
        description="From when on, RFC 3339 with an offset; the hour that holds it is the first one. By default a day "
        "before end.",
    )
    end: Instant = Field(
        default=None,
        description="Until when, RFC 3339 with an offset; an hour that begins then is left out. By default now. A "
        f"range has {MAX_DAYS} days at the most.",
    )
    tz: TimeZone = Field(
        default=None,
        description="IANA name of the time zone whose offset the times of the answer are written with; by default they "
        "are in UTC.",
    )


@dataclass(frozen=True, slots=True)
class Range:
    """Whole hours, milliseconds since the epoch."""

    start: int
    end: int

    @property
    def hours(self) -> range:
        """Where each begins."""
        return range(self.start, self.end, HOUR_MS)


def range_of(query: ResultsQuery, *, now: int) -> Range:
    """The hours that a query asks for; `now` in ms since the epoch.

    Raises a 422 problem for a range that is empty, reversed, or longer than `MAX_DAYS`.
    """
    start, end = span_of(query.start, query.end, now=now, by_default=DAY_MS)
    if end - start > MAX_DAYS * DAY_MS:
        detail = (
            f"{format_rfc3339(start)} to {format_rfc3339(end)} is longer than {MAX_DAYS} days, which an answer has at "
            "the most: choose a shorter range"
        )
        raise wrong_parameters([WrongParameter("start", detail)])
    return Range(start // HOUR_MS * HOUR_MS, -(-end // HOUR_MS) * HOUR_MS)


async def answered(question: Callable[[], Awaitable[Asked]]) -> Asked:
    """What the store answers. Raises UnavailableError if it does not in time."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            return await question()
    except TimeoutError as error:
        raise UnavailableError(f"the time-series store did not answer within {STORE_SECONDS} s") from error


async def minutes_of(store: TimeseriesStore, zone: str, kind: KindId, start: int, end: int) -> dict[int, int]:
    """How many minutes of each hour were recorded, by the hour's start; of hours with none there is nothing."""
    found = await store.coverage(kind, start=start, end=end, zone=zone)
    return {each.hour: recorded_minutes(each.minutes) for each in found if each.minutes}


def newest(results: Iterable[Result]) -> int | None:
    """When the newest of them was computed, ms since the epoch; None where there is none."""
    return max((int(result.values["computed_at"]) for result in results), default=None)


@dataclass(frozen=True, slots=True)
class Data:
    """What an answer rests on."""

    begin: int | None
    """Milliseconds since the epoch, as all times here."""
    end: int | None
    computed_at: int | None
    minutes: int
    """Recorded ones between `begin` and `end`."""


def data_of(minutes: Mapping[int, int], hours: Iterable[int], *, computed_at: int | None) -> Data:
    """What an answer rests on of these hours, which a job has been through, in order: those that were recorded."""
    recorded = [hour for hour in hours if minutes.get(hour)]
    if computed_at is None or not recorded:
        return Data(None, None, computed_at, 0)
    return Data(recorded[0], recorded[-1] + HOUR_MS, computed_at, sum(minutes[hour] for hour in recorded))


# What all answers here share.
ZoneOf = Annotated[str, Field(description="Id of the zone.", examples=["kemmy"])]
Counted = Annotated[Kind, Field(description="Of which kind.", examples=["mobile"])]
ZoneOfTimes = Annotated[str, Field(description="Whose offset all times here have.", examples=["UTC"])]
Begins = Annotated[Rfc3339, Field(description="When it begins, RFC 3339.", examples=["2026-03-02T09:00:00Z"])]
Ends = Annotated[Rfc3339, Field(description="When it is over.", examples=["2026-03-02T10:00:00Z"])]
DataBegin = Annotated[
    Rfc3339 | None,
    Field(
        description="From when on there is data that this rests on; null where there is none.",
        examples=["2026-01-05T08:00:00Z"],
    ),
]
DataEnd = Annotated[Rfc3339 | None, Field(description="Until when, likewise.", examples=["2026-03-01T22:00:00Z"])]
ComputedAt = Annotated[
    Rfc3339 | None,
    Field(
        description="When it was computed; null where nothing has been computed, and nothing is known.",
        examples=["2026-03-02T03:00:41Z"],
    ),
]
RecordedMinutes = Annotated[
    int,
    Field(
        description="Minutes in which the system was counting between data_begin and data_end: all this rests on.",
        examples=[80_412],
    ),
]
Basis = Annotated[
    list[str],
    Field(
        description="How it was computed, and what it does not say: sentences for people.",
        examples=[["Fewer than 5 devices are withheld, and so is nobody: what is null may be any number under 5."]],
    ),
]
Suppressed = Annotated[
    bool, Field(description="Whether something is withheld, since it could tell of single people.", examples=[False])
]
