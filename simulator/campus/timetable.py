"""A person's day: where they mean to be, from when to when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from simulator.campus.calendar import Calendar
from simulator.campus.chance import between, chance, likely, one_of
from simulator.campus.people import Person, Role
from simulator.campus.places import Place, Places

_SHORT_HOURS = 0.1
"""Whoever stays for less does not come."""
_LECTURES = range(9, 18)
_LECTURE_LENGTH = 50 / 60
_LATE_HOURS = 4 / 60
_VISITORS_ON_OTHER_DAYS = 0.1
_NIGHTS_A_WEEK = 5 / 7

Hours = tuple[Place, float, float]
"""A place, and from when to when somebody is there: hours of the day by the clock on the wall, above 24 tomorrow."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody is in a place. They leave so late that they are in the next one when that stay begins."""

    place: Place
    spot: int
    """Which of the place's spots."""
    start_ms: int
    """Milliseconds since the epoch, UTC; as the end, which is later."""
    end_ms: int


@dataclass(frozen=True, slots=True)
class Timetable:
    """Whose day is made how. `zone` is the campus's time zone."""

    calendar: Calendar
    places: Places
    zone: ZoneInfo
    seed: int

    def day_of(self, person: Person, day: date) -> list[Stay]:
        """The stays of one day, in order; none on a day on which somebody does not come. Nights end on the next day."""
        source = chance(self.seed, "day", person.number, day)
        if not self._comes(person, day, source):
            return []
        stays: list[Stay] = []
        for place, start, end in self._hours(person, day, source):
            begins = self._moment(day, start)
            if stays:
                begins = max(begins, stays[-1].end_ms)
            ends = self._moment(day, end)
            if ends - begins > _SHORT_HOURS * 3_600_000:
                stays.append(Stay(place, source.randrange(len(place.spots)), begins, ends))
        return stays

    def _comes(self, person: Person, day: date, source: Random) -> bool:
        if person.role is Role.NIGHT:
            return likely(source, _NIGHTS_A_WEEK)
        share = self.calendar.busy(day)
        if person.role is Role.VISITOR and not self.calendar.is_open_day(day):
            share *= _VISITORS_ON_OTHER_DAYS
        # Who is keen comes more often, and nobody always.
        return likely(source, share * (1.1 - 0.2 * person.keen))

    def _hours(self, person: Person, day: date, source: Random) -> Iterator[Hours]:
        match person.role:
            case Role.NIGHT:
                yield from _night(person, source)
            case Role.VISITOR:
                yield from self._visit(source)
            case Role.STAFF:
                yield from self._work(person, source)
            case Role.STUDENT if self.calendar.is_working(day):
                yield from self._lectures(person, day, source)
            case _:
                start = source.gauss(12.0, 1.5)
                yield person.home, start, start + between(source, 1.5, 5.0)

    def _visit(self, source: Random) -> Iterator[Hours]:
        hour = between(source, 9.5, 12.0)
        for place in source.choices(self.places.destinations, k=source.randint(2, 4)):
            length = between(source, 0.4, 1.0)
            yield place, hour, hour + length
            hour += length

    def _work(self, person: Person, source: Random) -> Iterator[Hours]:
        begins, ends = source.gauss(8.8, 0.5), source.gauss(17.2, 0.75)
        lunch = between(source, 12.2, 13.4)
        yield person.home, begins, lunch
        if likely(source, 0.6):
            yield one_of(source, self.places.social), lunch, lunch + between(source, 0.5, 0.8)
        meeting = between(source, 14.0, 15.5)
        yield person.home, lunch, meeting
        if likely(source, 0.4):
            yield one_of(source, person.others), meeting, meeting + between(source, 0.7, 1.5)
        yield person.home, meeting, ends

    def _lectures(self, person: Person, day: date, source: Random) -> Iterator[Hours]:
        # The same on each Monday: what is learnt is planned for a term.
        plan = chance(self.seed, "lectures", person.number, day.weekday(), day.year, day.month > 6)  # noqa: PLR2004
        hours = sorted(plan.sample(_LECTURES, plan.randint(1, 5)))
        rooms = {hour: one_of(plan, (person.home, person.home, *person.others)) for hour in hours}
        lunch = between(source, 12.0, 13.8)
        before: tuple[Place, float] | None = None
        for hour in hours:
            starts = hour + max(source.gauss(2 / 60, _LATE_HOURS), -_LATE_HOURS)
            if before is not None:
                yield from self._gap(person, source, before[1], starts, lunch)
            yield rooms[hour], starts, hour + _LECTURE_LENGTH
            before = rooms[hour], hour + _LECTURE_LENGTH
        if before is not None and likely(source, 0.4):
            yield person.home, before[1], before[1] + source.expovariate(1 / 1.8)

    def _gap(self, person: Person, source: Random, start: float, end: float, lunch: float) -> Iterator[Hours]:
        if end - start < 0.5:  # noqa: PLR2004 - hours: from one lecture to the next
            return
        if start <= lunch <= end and likely(source, 0.7):
            eaten = min(lunch + between(source, 0.4, 0.8), end)
            yield one_of(source, (person.home, *person.others)), start, lunch
            yield one_of(source, self.places.social), lunch, eaten
            start = eaten
        yield one_of(source, (person.home, *person.others)), start, end

    def _moment(self, day: date, hour: float) -> int:
        # On the wall: nine o'clock is nine o'clock on the days on which clocks change, too.
        wall = datetime(day.year, day.month, day.day, tzinfo=self.zone) + timedelta(hours=hour)
        return int(wall.timestamp() * 1000)


def _night(person: Person, source: Random) -> Iterator[Hours]:
    begins = between(source, 21.2, 22.0)
    around = between(source, 25.0, 27.0)
    yield person.home, begins, around
    yield one_of(source, person.others), around, around + 1.0
    yield person.home, around + 1.0, between(source, 29.2, 29.9)
