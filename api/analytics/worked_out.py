"""How far jobs have been, day by day (UTC): it is told of hours whatever was found in them, or whether anything was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timeseries import TimeseriesStore
from timeseries.results import COMPUTED_AT, DAYS, UNTIL

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Day:
    """How far a job has been through a day."""

    until: int
    """Milliseconds since the epoch, as the other."""
    computed_at: int


WorkedOut = Mapping[int, Day]
"""By when a day begins; of days that a job has not been through there is nothing."""


async def worked_out(store: TimeseriesStore, job: str, start: int, end: int) -> WorkedOut:
    """What a job has been through of the days that [start, end) has a part of. Raises UnavailableError.

    Who asks for what the job found, too, asks this first: what it found is there before this is.
    """
    found = await store.results(DAYS, start=start - start % DAY_MS, end=end)
    return {each.at: Day(int(each.values[UNTIL]), int(each.values[COMPUTED_AT])) for each in found if each.other == job}


def by_all(jobs: Sequence[WorkedOut]) -> WorkedOut:
    """What all of them have been through."""
    days = set.intersection(*(set(job) for job in jobs))
    return {
        day: Day(min(job[day].until for job in jobs), max(job[day].computed_at for job in jobs)) for day in sorted(days)
    }


def is_known(days: WorkedOut, hour: int) -> bool:
    """Whether an hour, by its start, is among what they have been through."""
    day = days.get(hour - hour % DAY_MS)
    return day is not None and hour < day.until


def computed_at(days: WorkedOut) -> int | None:
    """When the newest of it was computed; None where there is none."""
    return max((day.computed_at for day in days.values()), default=None)
