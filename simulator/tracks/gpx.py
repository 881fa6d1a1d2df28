"""GPX 1.0 and 1.1 (https://www.topografix.com/gpx.asp)."""

from simulator.fix import BadTrackError
from simulator.tracks.track import Points
from simulator.tracks.xml import walk

_POINTS = {"trkpt": "point", "rtept": "route point", "wpt": "waypoint"}
"""What a point is, in the order in which they are preferred."""
_OPTIONAL = {
    "ele": "altitude",
    "speed": "speed",  # of GPX 1.0, and of Garmin's and OsmAnd's extensions; metres a second in all of them
    "course": "heading",
    "bearing": "heading",
    "accuracy": "accuracy",
}


def read_gpx(data: bytes) -> Points:
    """The points of all tracks; where there is none those of routes; else waypoints. What has no time is left out.

    Raises BadTrackError, also for a place that is none.
    """
    reading = _Reading()
    walk(data, reading)
    tracks, routes, waypoints = (reading.of[name] for name in _POINTS)
    if tracks.any or not (routes.any or waypoints.any):
        return tracks
    # A route that was planned has no times, and has been nowhere yet.
    points = waypoints if not routes.fixes and waypoints.any else routes
    points.notes.append(f"it has no track: its {'waypoints' if points is waypoints else 'routes'} are used")
    return points


class _Reading:
    """The points of each kind, as they come."""

    def __init__(self) -> None:
        self.of = {name: Points(what) for name, what in _POINTS.items()}
        self._point: str | None = None
        self._place: tuple[str | None, str | None] = (None, None)
        self._values: dict[str, str] = {}

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Remember where the point is; its time comes within it."""
        if name in _POINTS and self._point is None:
            self._point = name
            self._place = attributes.get("lon"), attributes.get("lat")
            self._values = {}

    def end(self, name: str, text: str) -> None:
        """Take what is known of a point, and with its end the point."""
        if self._point is None:
            return
        if name == self._point:
            self._add(self.of[name])
            self._point = None
        elif name == "time":
            self._values.setdefault("time", text)
        elif name in _OPTIONAL:
            self._values.setdefault(_OPTIONAL[name], text)

    def _add(self, points: Points) -> None:
        longitude, latitude = self._place
        if longitude is None or latitude is None:
            raise BadTrackError(f"{points.where(following=True)} has no lat and lon")
        points.take(longitude, latitude, self._values.pop("time", ""), **self._values)
