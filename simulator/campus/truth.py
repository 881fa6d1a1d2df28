"""The truth about a crowd: which device was in which zone from when to when, by where it was, not by what it said."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from core.kinds import KindId
from core.marks import Mark
from core.unreadable import UNREADABLE
from geofence import Geofence
from simulator.campus.crowd import Crowd
from simulator.campus.people import Person, Unit
from simulator.campus.plane import Metres, Plane, along
from simulator.campus.walk import Way

STEP_MS = 1000
"""Between two looks at a device that moves."""
SCHEMA = 1


class BadTruthError(Exception):
    """A file that holds no truth; the message says what is wrong with it."""


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a file of truth."""

    schema: int
    start: int
    """Milliseconds since the epoch, UTC: visits begin here at the earliest."""
    end: int
    """They have ended here at the latest, or are cut off."""
    devices: int
    seed: int
    spoofers: dict[str, Mark] = {}
    """Who made positions up, by device, and how: they were in no zone. None in a file of an earlier version."""


class Visit(msgspec.Struct, frozen=True):
    """A device was in a zone; milliseconds since the epoch, UTC."""

    device: str
    kind: KindId
    zone: str
    start: int
    end: int


def visits(crowd: Crowd, fence: Geofence, start_ms: int, end_ms: int) -> Iterator[Visit]:
    """All visits of which a part is in the range, cut to it: person by person, each device's in order of their end."""
    for person in crowd.people:
        for unit, way in _ways(crowd, person, start_ms, end_ms):
            for visit in _of_way(unit, way, fence, crowd.plane):
                if visit.start < end_ms and visit.end > start_ms:
                    yield msgspec.structs.replace(visit, start=max(visit.start, start_ms), end=min(visit.end, end_ms))


def write_truth(path: Path, about: About, found: Iterable[Visit], *, shift_ms: int = 0) -> int:
    """Write visits as gzipped lines of JSON; the answer is how many. All times are moved by `shift_ms`.

    Raises OSError.
    """
    encoder = msgspec.json.Encoder()
    count = 0
    # No time in the header of gzip: the same truth is the same file.
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file:
        for line in _shifted(about, found, shift_ms):
            file.write(encoder.encode(line) + b"\n")
            count += 1
    return count - 1


def read_truth(path: Path) -> tuple[About, list[Visit]]:
    """What `write_truth` has written. Raises BadTruthError, which names the file and the line."""
    found: list[Visit] = []
    try:
        with gzip.open(path, "rb") as file:
            about = msgspec.json.decode(next(file, b""), type=About)
            if about.schema != SCHEMA:
                raise BadTruthError(f"{path}: it is of version {about.schema}, and this reads version {SCHEMA}")
            decoder = msgspec.json.Decoder(Visit)
            for line in file:
                found.append(decoder.decode(line))  # noqa: PERF401 - how many there are tells where it ends
    except UNREADABLE as error:
        raise BadTruthError(f"{path}: after {len(found)} visits: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadTruthError(f"{path}: {error}") from error
    return about, found


def _shifted(about: About, found: Iterable[Visit], shift_ms: int) -> Iterator[About | Visit]:
    yield msgspec.structs.replace(about, start=about.start + shift_ms, end=about.end + shift_ms)
    for visit in found:
        yield msgspec.structs.replace(visit, start=visit.start + shift_ms, end=visit.end + shift_ms)


def _ways(crowd: Crowd, person: Person, start_ms: int, end_ms: int) -> Iterator[tuple[Unit, Way]]:
    for day in crowd.days(start_ms, end_ms):
        yield from crowd.ways(person, day)


def _of_way(unit: Unit, way: Way, fence: Geofence, plane: Plane) -> Iterator[Visit]:
    looks = list(_looks(way))
    degrees = np.array([plane.degrees(place) for _, place in looks])
    since: dict[str, int] = {}
    for (at_ms, _), zones in zip(looks, fence.locate(degrees[:, 0], degrees[:, 1]), strict=True):
        here = zones or ()
        for zone in [zone for zone in since if zone not in here]:
            yield Visit(unit.id, unit.kind.id, zone, since.pop(zone), at_ms)
        for zone in here:
            since.setdefault(zone, at_ms)
    for zone, started in since.items():
        yield Visit(unit.id, unit.kind.id, zone, started, looks[-1][0])


def _looks(way: Way) -> Iterator[tuple[int, Metres]]:
    """When and where one must look to miss nothing: once a second on the move, and where a stay begins."""
    for begins, ends, start, end, _ in way.legs():
        yield begins, start
        if start != end:
            for at_ms in range(begins + STEP_MS, ends, STEP_MS):
                yield at_ms, along(start, end, (at_ms - begins) / (ends - begins))
    yield way.at_ms[-1], way.places[-1]
