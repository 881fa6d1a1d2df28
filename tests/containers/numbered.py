"""Positions with numbers, and what the system must come to: computed by the plain program of tests/oracle."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core.clock import format_rfc3339
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from tests.oracle.naive import Truth, load_shapes

ZONES = ("main", "car-park-west", "schuman", "foundation")
EVERY_MS = 7_000
"""Between two positions of a device."""
_OUTSIDE = (-8.63, 52.66)
"""In the city of Limerick, longitude and latitude."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """Positions of some devices, one after another; the same number is always the same position."""

    prefix: str
    """Begins the names of the devices."""
    day: str
    """Whose windows nobody else touches, such as 2019-03-05; the positions begin at 09:00 UTC."""
    devices: int = 20
    on_campus: int = 8
    """So many of ten positions are inside."""

    @property
    def start(self) -> int:
        """Milliseconds since the epoch."""
        return int(datetime.fromisoformat(f"{self.day}T09:00:00+00:00").timestamp()) * 1000

    def message(self, number: int) -> tuple[str, bytes]:
        """Topic and payload."""
        device, step = number % self.devices, number // self.devices
        kind = DEFAULT_KINDS.ids[device % 2]
        inside = (number * 7 + step) % 10 < self.on_campus
        place = _PLACES[(device + step // 10) % len(_PLACES)] if inside else _OUTSIDE
        feature = {
            "type": "Feature",
            # Up to some two metres away from the place, so that no two are the same.
            "geometry": {"type": "Point", "coordinates": [round(place[0] + step % 50 * 3e-7, 7), place[1]]},
            "properties": {
                "device_id": f"{self.prefix}-{device}",
                "timestamp": format_rfc3339(self.start + step * EVERY_MS + device),
            },
        }
        return f"{kind}-iotp", base64.b64encode(json.dumps(feature).encode())

    def messages(self, count: int) -> list[tuple[str, bytes]]:
        """The first so many."""
        return [self.message(number) for number in range(count)]

    def truth(self, numbers: Iterable[int], key: bytes, *, user: str, now: int) -> Truth:
        """What they amount to, where a gateway of that name sent them at `now` (milliseconds)."""
        truth = Truth(key)
        for number in numbers:
            topic, payload = self.message(number)
            truth.add(RawMessage(topic, user, "gateway", now, payload))
        return truth


def _places() -> list[tuple[float, float]]:
    """A point in each of ZONES, longitude and latitude."""
    points = [load_shapes()[zone].representative_point() for zone in ZONES]
    return [(round(point.x, 7), round(point.y, 7)) for point in points]


_PLACES = _places()
