"""The traffic of the benchmarks: phones all over the campus, the same at every run."""

import base64
import json
import random

from core.clock import format_rfc3339
from core.kinds import Role
from core.messages import RawMessage
from geofence import load_campus

DEVICES = 5000


def payloads(count: int, now: int) -> list[bytes]:
    """Base64 of one feature of about 220 bytes each, observed in the last minute before `now` (ms since the epoch)."""
    chance = random.Random(304)  # noqa: S311 - traffic, not a secret
    west, south, east, north = load_campus(None).boundary.geometry.bounds
    found = []
    for number in range(count):
        feature = {
            "type": "Feature",
            "geometry": {
                "type": "Point",
                "coordinates": [round(chance.uniform(west, east), 7), round(chance.uniform(south, north), 7)],
            },
            "properties": {
                "device_id": f"phone-{number % DEVICES}",
                "timestamp": format_rfc3339(now - chance.randrange(60_000)),
                "accuracy": 4.5,
                "speed": round(chance.uniform(0, 15), 1),
            },
        }
        found.append(base64.b64encode(json.dumps(feature).encode()))
    return found


def raw_messages(count: int, now: int) -> list[RawMessage]:
    """The same as a broker hands them on."""
    return [RawMessage("mobile-iotp", "", Role.ANONYMOUS.name, now, payload) for payload in payloads(count, now)]
