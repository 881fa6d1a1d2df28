"""One position, flat: what people make GPSLogger send, Home Assistant reads, and trackers of one's own have."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from payloads.checking import Found, checked
from payloads.fix import Fix, Sender
from payloads.formats.form import Format, Head, alone

KILOMETRES_AN_HOUR = 1 / 3.6
LATITUDE = ("lat", "latitude")
LONGITUDE = ("lon", "lng", "long", "longitude")
_ALTITUDE = ("alt", "altitude")
_DEVICE = ("device_id", "device")
_HINTS = ("aid", "ser", "androidid", "serial")
"""What a phone is called by those who made it: nobody has chosen it."""
_TIME = ("timestamp", "time")
_ACCURACY = ("acc", "accuracy")
_SPEED = ("spd", "speed")
_SPEED_KMH = "spd_kph"
_HEADING = ("dir", "direction", "bearing", "heading")


def fix_of_flat(message: Mapping[str, Any], sender: Sender) -> Fix:
    """A position whose members are its parts. Raises InvalidMessageError."""
    parts = {name.lower(): value for name, value in message.items()}
    speed, unit = _first(parts, _SPEED), 1.0
    if speed is None:
        speed, unit = parts.get(_SPEED_KMH), KILOMETRES_AN_HOUR
    time = _first(parts, _TIME)
    return checked(
        Found(
            _first(parts, LONGITUDE),
            _first(parts, LATITUDE),
            _first(parts, _ALTITUDE),
            device_id=_first(parts, _DEVICE),
            hints=tuple(parts.get(name) for name in _HINTS),
            # GPSLogger writes its times as in the address of a page: 2026-04-25T08%3A00%3A00.000Z.
            time=unquote(time) if isinstance(time, str) else time,
            accuracy=_first(parts, _ACCURACY),
            zero_accuracy=False,
            speed=speed,
            speed_unit=unit,
            heading=_first(parts, _HEADING),
        ),
        sender,
    )


def is_flat(names: Mapping[str, object]) -> bool:
    """Whether an object has a latitude and a longitude among its members."""
    small = {name.lower() for name in names}
    return not small.isdisjoint(LATITUDE) and not small.isdisjoint(LONGITUDE)


def _first(parts: Mapping[str, Any], names: tuple[str, ...]) -> object:
    return next((parts[name] for name in names if parts.get(name) is not None), None)


def _matches(head: Head) -> bool:
    return isinstance(head, Mapping) and is_flat(head)


GPSLOGGER = Format("GPSLogger", _matches, lambda _, text, sender: alone(fix_of_flat, text, sender))
