"""CSV: columns by their names, in any order and any case."""

import csv
import re
from collections.abc import Iterator
from itertools import islice

from simulator.fix import BadTrackError
from simulator.tracks.texts import lines_of, text_of
from simulator.tracks.track import Points
from simulator.tracks.values import degrees, instant, scaled

MAX_LINE = 65_536
_NAMES = {
    "latitude": "latitude lat latitudedeg latdeg gpslatitude positionlat",
    "longitude": "longitude lon lng long longitudedeg londeg gpslongitude positionlong",
    "time": "timestamp time datetime dateandtime utc utctime timeutc timestamputc gpstime fixtime devicetime "
    "recordedat createdat isotime isodatetime epoch unixtime tst ts",
    "date": "date utcdate dateutc",
    "altitude": "altitude alt elevation ele altitudem elevationm height",
    "accuracy": "accuracy acc horizontalaccuracy hacc accuracym",
    "speed": "speed speedms speedmps velocity spd",
    "speed_kmh": "speedkmh speedkph kmh vel",
    "heading": "heading bearing course cog direction dir",
}
"""Names of columns, without capitals and without all that is no letter or digit; the first that is there is used."""
_NEEDED = (
    "it needs columns for latitude (lat, latitude), longitude (lon, lng, longitude) and time (time, timestamp, or date "
    "and time)"
)
_SLASHES = re.compile(r"\A(\d{4})/(\d\d)/(\d\d)(?=[T ])", re.ASCII)
_KMH = 1 / 3.6


def read_csv(data: bytes) -> Points:
    """All rows. Raises BadTrackError with the columns that it needs, or with the line of a place that is none."""
    lines = _lines(text_of(data))
    # Excel's own way of saying what stands between columns comes before them.
    header = next((line for line in lines if line.strip() and not line.lower().startswith("sep=")), "")
    delimiter = max(",;\t|", key=header.count)
    try:
        columns = _columns(next(csv.reader([header], delimiter=delimiter), []))
        points = Points("row")
        for row in csv.reader(lines, delimiter=delimiter):
            if any(cell.strip() for cell in row):
                found = {name: row[index].strip() for name, index in columns.items() if index < len(row)}
                _add(points, found, delimiter)
    except csv.Error as error:
        raise BadTrackError(f"no CSV that can be read: {error}") from error
    return points


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(lines_of(text), start=1):
        if len(line) > MAX_LINE:
            raise BadTrackError(f"line {number} has more than {MAX_LINE:,} characters")
        yield line


def _columns(names: list[str]) -> dict[str, int]:
    """Where is what. Raises BadTrackError where something is not there."""
    plain = [re.sub(r"[\W_]", "", name.lower()) for name in names]
    found = {
        what: plain.index(name)
        for what, known in _NAMES.items()
        for name in islice((name for name in known.split() if name in plain), 1)
    }
    missing = [what for what in ("latitude", "longitude") if what not in found]
    if "time" not in found and "date" not in found:
        missing.append("time")
    if missing:
        has = ", ".join(name.strip()[:20] for name in names[:8]) or "nothing"
        raise BadTrackError(f"CSV without a column for {' and '.join(missing)}: {_NEEDED}; its first line has {has}")
    return found


def _add(points: Points, row: dict[str, str], delimiter: str) -> None:
    latitude, longitude = row.get("latitude", ""), row.get("longitude", "")
    if not latitude or not longitude:
        points.leave_out("have no place")
        return
    try:
        place = degrees(_decimal(longitude, delimiter)), degrees(_decimal(latitude, delimiter))
    except ValueError as error:
        raise BadTrackError(f"{points.where(following=True)}: {error}") from error
    time = " ".join(row[name] for name in ("date", "time") if row.get(name))
    try:
        at_ms = instant(_SLASHES.sub(r"\1-\2-\3", time))
    except ValueError:
        points.leave_out("have no time that can be read, such as 2019-02-18T08:58:05Z" if time else "have no time")
        return
    numbers = {name: _decimal(row.get(name, ""), delimiter) for name in ("altitude", "accuracy", "speed", "heading")}
    speed = numbers.pop("speed") or scaled(_decimal(row.get("speed_kmh", ""), delimiter), _KMH)
    points.add(*place, at_ms, speed=speed, **numbers)


def _decimal(text: str, delimiter: str) -> str:
    """A decimal comma as a point, which only a file with another delimiter can have."""
    return text if delimiter == "," else text.replace(",", ".", 1)
