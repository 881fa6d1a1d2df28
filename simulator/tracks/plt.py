"""PLT: GeoLife's, and OziExplorer's, whose form it is.

Six lines of heading; then latitude, longitude, a flag, the altitude in feet (-777: unknown), days since 30 December
1899, date and time in UTC. OziExplorer writes the last two in any form, so that there the days count.
"""

from simulator.fix import BadTrackError
from simulator.tracks.texts import lines_of, text_of
from simulator.tracks.track import Points
from simulator.tracks.values import degrees, instant, measure, scaled

_HEADING = 6
_LEAST_COLUMNS = 5
_COLUMNS = 7
_METRES = 0.3048
_UNKNOWN_FEET = "-777"
_DAY_MS = 86_400_000
_EPOCH_DAYS = 25_569
"""From 30 December 1899 to 1970."""


def read_plt(data: bytes) -> Points:
    """All points. Raises BadTrackError with the line, where one is none."""
    points = Points()
    for number, line in enumerate(lines_of(text_of(data)), start=1):
        if number <= _HEADING or not line.strip():
            continue
        columns = [column.strip() for column in line[:1000].split(",")]
        if len(columns) < _LEAST_COLUMNS:
            raise BadTrackError(f"line {number} is cut off: {len(columns)} of {_COLUMNS} columns")
        try:
            place = degrees(columns[1]), degrees(columns[0])
        except ValueError as error:
            raise BadTrackError(f"line {number}: {error}") from error
        at_ms = _at_ms(columns)
        if at_ms is None:
            points.leave_out("have no time that can be read")
            continue
        altitude = None if columns[3] == _UNKNOWN_FEET else scaled(columns[3], _METRES)
        points.add(*place, at_ms, altitude=altitude)
    return points


def _at_ms(columns: list[str]) -> int | None:
    try:
        return instant(f"{columns[5]}T{columns[6]}")
    except (IndexError, ValueError):
        days = measure(columns[4], _EPOCH_DAYS, 3_000_000)
        # Days have six or seven decimals: tenths of a second.
        return None if days is None else round((days - _EPOCH_DAYS) * _DAY_MS)
