"""OwnTracks, as its apps publish and post (owntracks.org/booklet/tech/json)."""

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidMessageError, Reason
from payloads.checking import Found, checked
from payloads.fix import Fix, Ignored, Sender
from payloads.formats.form import Format, Head, alone

KILOMETRES_AN_HOUR = 1 / 3.6
IGNORED = frozenset(
    {
        *("beacon", "card", "cmd", "configuration", "lwt", "request", "status"),
        *("steps", "transition", "waypoint", "waypoints"),
    }
)
"""What the apps send beside positions: places in it are those of regions, or come as a `location` as well."""


def fix_of_owntracks(message: Mapping[str, Any], sender: Sender) -> Fix | Ignored:
    """A message of OwnTracks. Raises InvalidMessageError."""
    what = message.get("_type")
    if what == "location":
        return checked(_found(message), sender)
    if isinstance(what, str) and what in IGNORED:
        return Ignored(what)
    if what == "encrypted":
        raise InvalidMessageError(Reason.NOT_GEOJSON, "OwnTracks, encrypted: take the encryption key out of the app")
    raise InvalidMessageError(Reason.NOT_GEOJSON, "OwnTracks, of a _type that is not known")


def _found(message: Mapping[str, Any]) -> Found:
    return Found(
        message.get("lon"),
        message.get("lat"),
        message.get("alt"),
        # Nobody chooses these to say whose a position is: an app makes them of what else it is set to.
        hints=(message.get("topic"), message.get("tid")),
        time=message.get("tst"),
        accuracy=message.get("acc"),
        zero_accuracy=False,
        speed=message.get("vel"),
        speed_unit=KILOMETRES_AN_HOUR,
        heading=message.get("cog"),
    )


def _matches(head: Head) -> bool:
    return isinstance(head, Mapping) and "_type" in head


OWNTRACKS = Format("OwnTracks", _matches, lambda _, text, sender: alone(fix_of_owntracks, text, sender), insists=True)
