"""All devices of a campus, moment by moment."""

import heapq
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.kinds import Kinds
from core.marks import Mark
from geofence import Campus
from simulator.campus.calendar import Calendar
from simulator.campus.chance import chance
from simulator.campus.gps import Reading, readings
from simulator.campus.people import Person, Unit, population
from simulator.campus.places import Places
from simulator.campus.roads import Roads
from simulator.campus.spoofers import Spoofer, Spoofers
from simulator.campus.timetable import Timetable
from simulator.campus.walk import Walker, Way
from simulator.fix import Fix

_ONE_DAY = timedelta(days=1)


class Moment(NamedTuple):
    """A device's receiver has a fix."""

    at_ms: int
    """When that is, milliseconds since the epoch, UTC."""
    unit: Unit
    """The device."""
    longitude: float
    latitude: float
    """With the noise of the receiver."""
    reading: Reading

    @property
    def fix(self) -> Fix:
        """As the device sees it: with the time of its own clock."""
        reading = self.reading
        return Fix(
            longitude=self.longitude,
            latitude=self.latitude,
            at_ms=self.by_its_clock_ms,
            accuracy=reading.accuracy,
            speed=reading.speed,
            heading=reading.heading,
        )

    @property
    def by_its_clock_ms(self) -> int:
        """What the device's own clock says."""
        return self.at_ms + self.unit.skew_ms


class Crowd:
    """Everybody, and each day of theirs."""

    def __init__(
        self,
        *,
        campus: Campus,
        kinds: Kinds,
        devices: int,
        seed: int,
        calendar: Calendar,
        zone: ZoneInfo,
        spoofers: int = 0,
    ) -> None:
        """`zone` is the campus's time zone; `spoofers` are beside the devices. Nothing is made but who there is."""
        self.campus = campus
        self._places = Places(campus, kinds, seed)
        self._timetable = Timetable(calendar, self._places, zone, seed)
        self._walker = Walker(self._places, Roads(self._places, seed), seed)
        self._zone = zone
        self._seed = seed
        self.people = population(devices, seed, kinds, self._places)
        self.plane = self._places.plane
        self._spoofers = Spoofers(
            spoofers, places=self._places, kinds=kinds, people=self.people, ways=self.ways, zone=zone, seed=seed
        )

    def moments(self, start_ms: int, end_ms: int | None = None, *, by_their_clocks: bool = False) -> Iterator[Moment]:
        """All that receivers say from `start_ms` to before `end_ms`, in order; None has no end.

        In order of true time, or of the time that the devices' own clocks show: the range is one of that, then, too.
        """
        streams = [
            self._of(person, unit, start_ms, end_ms, unit.skew_ms if by_their_clocks else 0)
            for person in self.people
            for unit in person.units
        ] + [self._made_up(spoofer, start_ms, end_ms) for spoofer in self._spoofers.all]
        for _, _, unit, reading in heapq.merge(*streams):
            yield Moment(reading.at_ms, unit, *self.plane.degrees(reading.place), reading)

    @property
    def spoofers(self) -> dict[str, Mark]:
        """Who makes positions up, by device, and how."""
        return {spoofer.unit.id: spoofer.mark for spoofer in self._spoofers.all}

    def ways(self, person: Person, day: date) -> list[tuple[Unit, Way]]:
        """The true way of each of a person's devices on one day of the campus; none if they do not come."""
        return self._walker.ways(person, self._timetable.day_of(person, day))

    def days(self, start_ms: int, end_ms: int | None) -> Iterator[date]:
        """The days of which a part may be in a range: a night's work ends on the day after."""
        day = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(self._zone).date() - _ONE_DAY
        last = None if end_ms is None else datetime.fromtimestamp(end_ms / 1000, UTC).astimezone(self._zone).date()
        while last is None or day <= last:
            yield day
            day += _ONE_DAY

    def _made_up(self, spoofer: Spoofer, start_ms: int, end_ms: int | None) -> Iterator[tuple[int, str, Unit, Reading]]:
        for day in self.days(start_ms, end_ms):
            for reading in self._spoofers.day(spoofer, day):
                if end_ms is not None and reading.at_ms >= end_ms:
                    return
                if reading.at_ms >= start_ms:
                    yield reading.at_ms, spoofer.unit.id, spoofer.unit, reading

    def _of(
        self, person: Person, unit: Unit, start_ms: int, end_ms: int | None, ahead_ms: int
    ) -> Iterator[tuple[int, str, Unit, Reading]]:
        for day in self.days(start_ms - ahead_ms, None if end_ms is None else end_ms - ahead_ms):
            for owned, way in self.ways(person, day):
                if owned is not unit or way.at_ms[-1] + ahead_ms < start_ms:
                    continue
                for reading in readings(way, unit, chance(self._seed, "gps", unit.id, day)):
                    at_ms = reading.at_ms + ahead_ms
                    if end_ms is not None and at_ms >= end_ms:
                        return
                    if at_ms >= start_ms:
                        yield at_ms, unit.id, unit, reading
