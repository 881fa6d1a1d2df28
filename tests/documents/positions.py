"""Positions to store."""

from typing import Any

from core.messages import Position
from tests.conftest import NOON
from tests.kinds_of_tests import CAR


def position(number: int = 0, **changes: Any) -> Position:
    """A position of a device of its own; the same number gives the same device and event time."""
    fields: dict[str, Any] = {
        "kind": CAR,
        "device": f"{number:032x}",
        "observed_at": NOON + number,
        "received_at": NOON + 1500,
        "longitude": -8.5701,
        "latitude": 52.6741,
        "zones": ("campus", "car-park-west"),
        "cell": "gc3gsvp2",
    }
    return Position(**fields | changes)
