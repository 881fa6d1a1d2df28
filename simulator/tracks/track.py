"""What a file becomes: fixes, and what is to be said about them."""

from collections import Counter
from dataclasses import dataclass, field

from payloads.numbers import MAX_ACCURACY, MAX_ALTITUDE, MAX_HEADING, MAX_SPEED, MIN_ALTITUDE
from simulator.fix import BadTrackError, Fix
from simulator.tracks.values import degrees, instant, measure

MAX_FIXES = 1_000_000
"""Eleven days of one fix a second. docs/tracks.md says what memory reading so many takes."""
_FIRST_RECEIVERS_MS = 631_152_000_000
"""1990-01-01T00:00:00Z. Nobody carried a receiver before, and a wrong unit or a week that rolled over ends there."""


@dataclass(frozen=True, slots=True)
class Track:
    """The fixes of one device."""

    name: str
    """The file's name without its endings; no two of a recording have the same."""
    fixes: list[Fix]
    """In the order of the file; at least one."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and what was taken to mean something: sentences without the name of the file."""


class Points:
    """Gathers the points of a file, one after the other, and counts those that are left out."""

    def __init__(self, point: str = "point") -> None:
        """`point` is what the format calls one."""
        self.fixes: list[Fix] = []
        self.notes: list[str] = []
        self._point = point
        self._count = 0
        self._left_out: Counter[str] = Counter()

    def add(
        self,
        longitude: float,
        latitude: float,
        at_ms: int,
        /,
        *,
        altitude: object = None,
        accuracy: object = None,
        speed: object = None,
        heading: object = None,
    ) -> None:
        """Take a point: degrees of WGS 84, milliseconds since the epoch, metres, metres a second, degrees from north.

        What is no number within its range of the last four is unknown. Raises BadTrackError where no receiver can have
        been, and for too many.
        """
        self._count += 1
        if self._count > MAX_FIXES:
            raise BadTrackError(f"more than {MAX_FIXES:,} {self._point}s: split it")
        try:
            fix = Fix(
                longitude=longitude,
                latitude=latitude,
                at_ms=at_ms,
                altitude=measure(altitude, MIN_ALTITUDE, MAX_ALTITUDE),
                accuracy=measure(accuracy, 0, MAX_ACCURACY),
                speed=measure(speed, 0, MAX_SPEED),
                heading=measure(heading, 0, MAX_HEADING),
            )
        except ValueError as error:
            raise BadTrackError(f"{self.where()}: {error}") from error
        self.fixes.append(fix)

    def take(self, longitude: str, latitude: str, time: str, /, **measured: object) -> None:
        """Add a point as a file has it, in texts; one without a time that can be read is left out.

        Raises BadTrackError as `add` does, and for a place that is none.
        """
        try:
            place = degrees(longitude), degrees(latitude)
        except ValueError as error:
            raise BadTrackError(f"{self.where(following=True)}: {error}") from error
        try:
            at_ms = instant(time)
        except ValueError:
            self.leave_out("have no time that can be read" if time else "have no time")
            return
        self.add(*place, at_ms, **measured)

    def leave_out(self, why: str) -> None:
        """Count a point that cannot be used; `why` is the same for all of a kind: `have no time`."""
        self._count += 1
        if self._count > 10 * MAX_FIXES:
            raise BadTrackError(f"more than {10 * MAX_FIXES:,} {self._point}s: split it")
        self._left_out[why] += 1

    @property
    def any(self) -> bool:
        """Whether there were points, used or left out."""
        return self._count > 0

    def where(self, *, following: bool = False) -> str:
        """Which point it is, from 1: the one that is being added, or the one after it."""
        return f"{self._point} {self._count + following}"

    def track(self, name: str) -> Track:
        """All of them. Raises BadTrackError where there is none that can be used."""
        if not self.fixes:
            if not self._left_out:
                raise BadTrackError(f"no {self._point} in it")
            raise BadTrackError(f"nothing in it can be replayed: {', '.join(self._said())}")
        old = sum(fix.at_ms < _FIRST_RECEIVERS_MS for fix in self.fixes)
        if old > len(self.fixes) / 2:
            raise BadTrackError(
                f"the year of {old} of {len(self.fixes)} {self._point}s is before 1990, which is not believable: as if "
                "seconds had been taken for milliseconds. Export it again"
            )
        return Track(name, self.fixes, [*self.notes, *(f"left out: {said}" for said in self._said())])

    def _said(self) -> list[str]:
        return [f"{count} of {self._count} {self._point}s {why}" for why, count in self._left_out.items()]
