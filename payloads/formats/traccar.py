"""Traccar: its app from version 9 on, and what its server forwards (traccar.org/osmand, traccar.org/forward)."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from core.errors import InvalidMessageError, Reason
from payloads.checking import MAX_DEVICE_ID, Found, checked
from payloads.fix import Fix, Ignored, Outcome, Sender
from payloads.formats.form import Format, Head, alone, each
from payloads.objects import list_in, object_in

KNOTS = 1852 / 3600


def _app(head: Head, text: bytes, sender: Sender) -> Fix | list[Outcome]:
    """`location` is one, or a list of them, and `device_id` says whose they are."""
    whole = object_in(text)
    one = partial(_fix_of_location, device_id=whole.get("device_id"))
    if isinstance(whole["location"], list) and isinstance(head, Mapping):
        return each(one, list_in(head["location"]), sender, envelope=_envelope(whole.get("device_id")))
    return one(whole["location"], sender)


def _envelope(device_id: object) -> bytes:
    """Of one location of several. What can be no device's id, and may be long, is not written down for each of them."""
    may_be_one = device_id is None or (isinstance(device_id, str | int) and len(str(device_id)) <= MAX_DEVICE_ID)
    named = json.dumps(device_id if may_be_one else "", ensure_ascii=False).encode()
    return b'{"device_id":' + named.replace(b"%", b"%%") + b',"location":[%b]}'


def _fix_of_location(location: Mapping[str, Any], sender: Sender, *, device_id: object) -> Fix:
    coords = location.get("coords")
    if not isinstance(coords, dict):
        raise InvalidMessageError(Reason.NOT_GEOJSON, "a location of Traccar without coords")
    return checked(
        Found(
            coords.get("longitude"),
            coords.get("latitude"),
            coords.get("altitude"),
            device_id=device_id,
            time=location.get("timestamp"),
            accuracy=coords.get("accuracy"),
            speed=coords.get("speed"),
            heading=coords.get("heading"),
        ),
        sender,
    )


def _fix_of_forwarded(message: Mapping[str, Any], sender: Sender) -> Fix | Ignored:
    position, device = message.get("position"), message.get("device")
    if not isinstance(position, dict) or not isinstance(device, dict | None):
        raise InvalidMessageError(Reason.NOT_GEOJSON, "a position of Traccar's server that is no object")
    if position.get("valid") is False:
        # The device had no fix: what is there is where it was last.
        return Ignored("no_fix")
    return checked(
        Found(
            position.get("longitude"),
            position.get("latitude"),
            position.get("altitude"),
            device_id=(device or {}).get("uniqueId"),
            time=position.get("fixTime"),
            accuracy=position.get("accuracy"),
            zero_accuracy=False,
            speed=position.get("speed"),
            speed_unit=KNOTS,
            heading=position.get("course"),
        ),
        sender,
    )


def _is_app(head: Head) -> bool:
    return isinstance(head, Mapping) and "location" in head and bytes(head["location"])[:1] in {b"{", b"["}


def _is_forwarded(head: Head) -> bool:
    return isinstance(head, Mapping) and "position" in head and "device" in head


TRACCAR = Format("Traccar Client", _is_app, _app)
TRACCAR_SERVER = Format("Traccar", _is_forwarded, lambda _, text, sender: alone(_fix_of_forwarded, text, sender))
