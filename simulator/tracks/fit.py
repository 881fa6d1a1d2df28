"""FIT, what watches and bicycle computers record (https://developer.garmin.com/fit/protocol/)."""

import struct
import warnings
from collections.abc import Iterator
from typing import Any

import fitdecode

from simulator.fix import BadTrackError
from simulator.tracks.track import Points

EPOCH_S = 631_065_600
"""1989-12-31T00:00:00Z, from which FIT counts seconds."""
_SINCE_POWER_ON = 0x1000_0000
"""A smaller time counts from when the recorder was switched on."""
_SEMICIRCLES = 180 / (1 << 31)
_SHORTEST_HEADER = 12
_CHECKSUM = 2
MAX_MESSAGES = 1_000_000
"""Of all kinds; a recorder writes one or two a second."""


def read_fit(data: bytes) -> Points:
    """The records of all files that are chained in it. Raises BadTrackError where it is cut off or cannot be read."""
    _refuse_what_is_cut_off(data)
    points = Points("record")
    try:
        for frame in _frames(data):
            if isinstance(frame, fitdecode.FitCRC):
                if not frame.matched:
                    points.notes.append("its checksum is wrong: some of it may be, too")
            elif isinstance(frame, fitdecode.FitDataMessage) and frame.name == "record":
                _add(points, frame)
    except BadTrackError:
        raise
    except Exception as error:
        # What is damaged makes the library raise many things, an AssertionError among them.
        raise BadTrackError(f"a FIT file that cannot be read: {type(error).__name__} after {points.where()}") from error
    return points


def _refuse_what_is_cut_off(data: bytes) -> None:
    if len(data) >= _SHORTEST_HEADER:
        header, _, _, body = struct.unpack_from("<BBHI", data)
        whole = header + body + _CHECKSUM
        if len(data) >= whole:
            return
        raise BadTrackError(f"a FIT file that is cut off: it has {len(data):,} of {whole:,} bytes. Copy it again")
    raise BadTrackError(f"a FIT file that is cut off: it has {len(data)} bytes. Copy it again")


def _frames(data: bytes) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without the processor, whose times and units are not needed, it is twice as fast.
        with fitdecode.FitReader(
            data,
            processor=None,
            check_crc=fitdecode.CrcCheck.READONLY,
            error_handling=fitdecode.ErrorHandling.IGNORE,
        ) as reader:
            for number, frame in enumerate(reader):
                if number == MAX_MESSAGES:
                    raise BadTrackError(f"a FIT file with more than {MAX_MESSAGES:,} messages: split it")
                yield frame


def _add(points: Points, record: Any) -> None:  # noqa: ANN401 - the library has no types
    values = {field.name: field.value for field in record.fields if field.value is not None}
    longitude, latitude = values.get("position_long"), values.get("position_lat")
    if not isinstance(longitude, int) or not isinstance(latitude, int):
        points.leave_out("have no place")
        return
    time = values.get("timestamp")
    if not isinstance(time, int) or time < _SINCE_POWER_ON:
        points.leave_out("have no time")
        return
    points.add(
        longitude * _SEMICIRCLES,
        latitude * _SEMICIRCLES,
        (EPOCH_S + time) * 1000,
        altitude=values.get("enhanced_altitude", values.get("altitude")),
        accuracy=values.get("gps_accuracy"),
        speed=values.get("enhanced_speed", values.get("speed")),
    )
