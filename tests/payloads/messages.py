"""Messages that tests read: who sends them, and what one place on the campus looks like."""

import base64
import json
from typing import Any

from payloads import Fix, Sender
from tests.conftest import NOON

LONGITUDE, LATITUDE = -8.5734, 52.6733
POINT = {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}


def sender(own: str | None = None, topic_id: str | None = None, max_age: int | None = None) -> Sender:
    return Sender(own, topic_id, "anonymous", NOON, max_age)


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def encoded(document: object) -> bytes:
    return base64.b64encode(as_json(document))


def feature(geometry: object = POINT, **properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"device_id": "bus", **properties}}


def fix(
    device_id: str = "bus",
    *,
    altitude: float | None = None,
    observed_at: int = NOON,
    accuracy: float | None = None,
    speed: float | None = None,
    heading: float | None = None,
) -> Fix:
    return Fix(device_id, LONGITUDE, LATITUDE, altitude, observed_at, accuracy, speed, heading)
