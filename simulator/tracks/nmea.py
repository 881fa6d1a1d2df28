"""NMEA 0183, the lines that receivers write (https://gpsd.gitlab.io/gpsd/NMEA.html).

A place comes with date and time in RMC alone, which has speed and course as well; GGA of the same second has the
altitude.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from pynmeagps import exceptions
from pynmeagps.nmeahelpers import calc_checksum
from pynmeagps.nmeareader import NMEAReader

from core.clock import to_milliseconds
from simulator.fix import BadTrackError
from simulator.tracks.track import Points
from simulator.tracks.values import scaled

SENTENCE = re.compile(rb"\$[A-Z]{2}(?:RMC|GGA),[ -#%-)+-~]*(?:\*[0-9A-Fa-f]{2})?")
"""Of one of the two kinds that are used; whatever a logger writes before or after it is none of it."""
_CHECKSUM = re.compile(rb"\*[0-9A-Fa-f]{2}\Z")
_METRES_A_SECOND = 1852 / 3600
_MAX_CHARACTERS = 200
"""Of a sentence; the standard allows 82."""


def read_nmea(data: bytes) -> Points:
    """All RMC with a fix. Where some checksums are right, lines with a wrong one are left out; else they are used.

    Raises BadTrackError.
    """
    believed, doubted = _Reading(), _Reading()
    unreadable = 0
    for right, sentence in _sentences(data):
        if sentence is None:
            unreadable += 1
        else:
            (believed if right else doubted).take(sentence)
    if not believed.count + doubted.count + unreadable:
        raise BadTrackError("no RMC sentence in it: it alone has date and place")
    points = believed.points()
    if points.any:
        for _ in range(doubted.count):
            points.leave_out("have a wrong checksum")
    else:
        points = doubted.points()
        if points.any:
            points.notes.append("no checksum in it is right: its lines are used all the same")
    for _ in range(unreadable):
        points.leave_out("cannot be read")
    return points


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What is used of an RMC or GGA; in a shorter one than the standard's, the rest is missing."""

    kind: str
    time: object
    date: object
    status: object
    longitude: object
    latitude: object
    knots: object
    heading: object
    metres: object


class _Reading:
    """The sentences of one kind, right or wrong."""

    def __init__(self) -> None:
        self.count = 0
        self._points = Points("RMC sentence")
        self._pending: _Sentence | None = None
        self._metres: object = None
        self._altitude: tuple[object, object] = (None, None)

    def take(self, sentence: _Sentence) -> None:
        """GGA may come before or after the RMC of its second."""
        if sentence.kind == "RMC":
            self.count += 1
            self._add()
            self._pending = sentence
        else:
            self._altitude = sentence.time, sentence.metres
        if self._pending is not None and self._altitude[0] == self._pending.time:
            self._metres = self._altitude[1]

    def points(self) -> Points:
        """All that came."""
        self._add()
        return self._points

    def _add(self) -> None:
        sentence, self._pending = self._pending, None
        metres, self._metres = self._metres, None
        if sentence is None:
            return
        longitude, latitude = sentence.longitude, sentence.latitude
        if sentence.status != "A" or not isinstance(longitude, float) or not isinstance(latitude, float):
            self._points.leave_out("have no fix")
        elif not isinstance(sentence.time, time) or not isinstance(sentence.date, date):
            self._points.leave_out("have no date and time")
        else:
            moment = datetime.combine(sentence.date, sentence.time, tzinfo=UTC)
            speed = scaled(sentence.knots, _METRES_A_SECOND)
            self._points.add(
                longitude, latitude, to_milliseconds(moment), altitude=metres, speed=speed, heading=sentence.heading
            )


def _sentences(data: bytes) -> Iterator[tuple[bool, _Sentence | None]]:
    """RMC and GGA, with whether the checksum is right; None for an RMC that cannot be read."""
    for found in SENTENCE.finditer(data):
        text = found[0][:_MAX_CHARACTERS]
        content = text[1:].partition(b"*")[0].decode("ascii")
        expected = f"*{calc_checksum(content)}".encode()
        checksum = _CHECKSUM.search(text)
        # Some loggers leave it out.
        right = checksum is None or checksum[0].upper() == expected
        try:
            message = NMEAReader.parse(text if checksum else text + expected, validate=0)
        except (exceptions.NMEAParseError, exceptions.NMEATypeError):
            message = None
        kind = content[2:5]
        if message is not None:
            names = ("time", "date", "status", "lon", "lat", "spd", "cog", "alt")
            yield right, _Sentence(kind, *(getattr(message, name, None) for name in names))
        elif kind == "RMC":
            yield right, None
