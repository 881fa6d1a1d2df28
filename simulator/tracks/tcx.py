"""TCX, Garmin's Training Center XML (https://www8.garmin.com/xmlschemas/TrainingCenterDatabasev2.xsd)."""

from simulator.tracks.track import Points
from simulator.tracks.xml import walk

_USED = ("Time", "LatitudeDegrees", "LongitudeDegrees", "AltitudeMeters", "Speed")


def read_tcx(data: bytes) -> Points:
    """All track points that have a place; indoors, and before the first fix, they have none.

    Raises BadTrackError, also for a place that is none.
    """
    reading = _Reading()
    walk(data, reading)
    return reading.points


class _Reading:
    """Track points, as they come."""

    def __init__(self) -> None:
        self.points = Points("track point")
        self._values: dict[str, str] | None = None

    def begin(self, name: str, _attributes: dict[str, str]) -> None:
        """Begin with a track point anew."""
        if name == "Trackpoint":
            self._values = {}

    def end(self, name: str, text: str) -> None:
        """Take what is known of a track point, and with its end all of it."""
        if self._values is None:
            return
        if name in _USED:
            self._values.setdefault(name, text)
        elif name == "Trackpoint":
            self._add(self._values)
            self._values = None

    def _add(self, values: dict[str, str]) -> None:
        points = self.points
        if "LatitudeDegrees" not in values or "LongitudeDegrees" not in values:
            points.leave_out("have no place")
            return
        points.take(
            values["LongitudeDegrees"],
            values["LatitudeDegrees"],
            values.get("Time", ""),
            altitude=values.get("AltitudeMeters"),
            speed=values.get("Speed"),
        )
