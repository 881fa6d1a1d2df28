"""KML (https://developers.google.com/kml): `gx:Track`, and placemarks that have a time.

`gx:Track` has all its times (`when`) and all its places (`gx:coord`), one after the other or in turns: the first time
belongs to the first place. What a recorder measures besides stands in arrays of the same length.
"""

from itertools import zip_longest

from simulator.fix import BadTrackError
from simulator.tracks.track import MAX_FIXES, Points
from simulator.tracks.xml import walk

_ARRAYS = {
    "accuracy": "accuracy",
    "speed": "speed",
    "speeds": "speed",
    "bearing": "heading",
    "heading": "heading",
    "course": "heading",
}
"""Names of arrays (`gx:SimpleArrayData`) that recorders use; in the units of a fix."""


def read_kml(data: bytes) -> Points:
    """The points of all `gx:Track`; where there is none, the placemarks with a point and a time.

    Raises BadTrackError, also for places without as many times.
    """
    reading = _Reading()
    walk(data, reading)
    if reading.track.any:
        return reading.track
    if not reading.placemarks.any:
        raise BadTrackError("no placemark with a time in it, and no gx:Track: it is a map")
    reading.placemarks.notes.append("it has no gx:Track: its placemarks with a time are used")
    return reading.placemarks


class _Reading:
    """Tracks and placemarks, as they come."""

    def __init__(self) -> None:
        self.track = Points()
        self.placemarks = Points("placemark")
        self._inside: list[str] = []
        self._whens: list[str] = []
        self._coords: list[str] = []
        self._arrays: dict[str, list[str]] = {}
        self._array = ""
        self._time = ""
        self._place = ""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Begin with a track or placemark anew."""
        self._inside.append(name)
        match name:
            case "Track":
                self._whens, self._coords, self._arrays = [], [], {}
            case "Placemark":
                self._time = self._place = ""
            case "SimpleArrayData":
                self._array = _ARRAYS.get(attributes.get("name", "").strip().lower(), "")

    def end(self, name: str, text: str) -> None:
        """Take what a track or placemark has, and with its end all of it."""
        self._inside.pop()
        inside = self._inside[-1] if self._inside else ""
        match name, inside:
            case "when", "Track":
                self._keep(self._whens, text)
            case "coord", _:
                self._keep(self._coords, text)
            case "value", "SimpleArrayData":
                if self._array:
                    self._keep(self._arrays.setdefault(self._array, []), text)
            case "when", "TimeStamp":
                self._time = text
            case "begin", "TimeSpan":
                self._time = self._time or text
            case "coordinates", "Point":
                self._place = text
            case "Track", _:
                self._end_of_track()
            case "Placemark", _:
                self._end_of_placemark()

    def _keep(self, texts: list[str], text: str) -> None:
        if len(texts) == MAX_FIXES:
            raise BadTrackError(f"more than {MAX_FIXES:,} points: split it")
        texts.append(text)

    def _end_of_track(self) -> None:
        if len(self._whens) != len(self._coords):
            raise BadTrackError(
                f"a gx:Track has {len(self._whens)} times (when), but {len(self._coords)} places (gx:coord)"
            )
        names = list(self._arrays)
        rows = zip_longest(*self._arrays.values())
        for when, coord in zip(self._whens, self._coords, strict=True):
            values = dict(zip(names, next(rows, ()), strict=False))
            _add(self.track, when, coord.split(), values)

    def _end_of_placemark(self) -> None:
        # A placemark is more often a place on a map than one of a recording.
        if self._time and self._place:
            _add(self.placemarks, self._time, self._place.split(","), {})


def _add(points: Points, when: str, place: list[str], values: dict[str, str | None]) -> None:
    if not place:
        points.leave_out("have no place")
        return
    if len(place) not in {2, 3}:
        raise BadTrackError(f"{points.where(following=True)}: {' '.join(place)[:60]!r} is no longitude and latitude")
    altitude = place[2] if len(place) > len(("longitude", "latitude")) else None
    points.take(place[0], place[1], when, altitude=altitude, **values)
