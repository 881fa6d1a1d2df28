"""What OwnTracks' recorder keeps (`.rec`), and other lines of OwnTracks' JSON, such as those of `mosquitto_sub -v`.

A line of the recorder is the time, a tab, a word with blanks after it, a tab, and JSON.
"""

import msgspec
from msgspec import Struct

from core.unreadable import UNREADABLE
from simulator.fix import BadTrackError
from simulator.tracks.texts import lines_of, text_of
from simulator.tracks.track import Points
from simulator.tracks.values import degrees, measure, scaled

_KMH = 1 / 3.6


class _Message(Struct, rename={"type": "_type"}):
    """What OwnTracks sends (https://owntracks.org/booklet/tech/json/); anything may be missing."""

    type: str = ""
    lat: float | str | None = None
    lon: float | str | None = None
    tst: float | None = None
    acc: float | None = None
    alt: float | None = None
    vel: float | None = None
    cog: float | None = None


_decoder = msgspec.json.Decoder(_Message)


def read_rec(data: bytes) -> Points:
    """The locations; what else an app sends is left out, and so is what is encrypted. Raises BadTrackError."""
    points = Points("message")
    for number, line in enumerate(lines_of(text_of(data)), start=1):
        _, brace, rest = line.partition("{")
        if not brace:
            continue
        try:
            message = _decoder.decode(brace + rest.rstrip())
        except UNREADABLE as error:
            raise BadTrackError(f"line {number} has JSON that cannot be read: {error}") from error
        if message.type == "encrypted":
            points.leave_out("are encrypted")
        elif message.type != "location":
            points.leave_out("are no locations")
        else:
            _add(points, message, number)
    return points


def _add(points: Points, message: _Message, number: int) -> None:
    tst = measure(message.tst, 0, 1e11)
    if tst is None:
        points.leave_out("have no time (tst)")
        return
    try:
        place = degrees(message.lon), degrees(message.lat)
    except ValueError as error:
        raise BadTrackError(f"line {number}: {error}") from error
    points.add(
        *place,
        round(tst * 1000),
        altitude=message.alt,
        accuracy=message.acc,
        speed=scaled(message.vel, _KMH),
        heading=message.cog,
    )
