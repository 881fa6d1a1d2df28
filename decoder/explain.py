"""Dead letters in groups, by the app that they came from and by what was wrong, each with what to do about it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import Reason
from decoder.remedies import remedy
from state.dead_letters import Found

UNKNOWN = "(not known)"
"""The app of a letter without a shape: the broker kept nothing of the message, or a stage of ours left the letter."""
_WRAPPED = re.compile(r"(?:base64 of |gzip of |base64, cut off, of |a string of )+", re.ASCII)
_MEMBER = re.compile(r"([a-z_]+)(?=:)", re.ASCII)
_NAME = re.compile(r"[a-z_]+", re.ASCII)
_BROKEN = "broken JSON with "
_LATITUDES = {"lat", "latitude"}
_VARIES = re.compile(r"[0-9a-f]{16,}|\d+", re.ASCII)
"""What differs in sentences that say the same: numbers, and the hexadecimal digits of a document's key."""


@dataclass(slots=True)
class Group:
    """Letters of one app that say the same."""

    app: str
    reason: Reason
    detail: str
    """Of the newest of them: sentences that differ in numbers alone are one group."""
    count: int
    last: int
    """When the newest was received, milliseconds since the epoch."""
    newest: str
    """The id of that letter."""
    remedy: str
    """One line for the app's author, or for whoever runs the system."""


class Groups:
    """Dead letters, taken one after the other: no more of them is kept than one detail a group."""

    def __init__(self) -> None:
        """Without any letter."""
        self._groups: dict[tuple[str, Reason, str], Group] = {}

    def take(self, found: Iterable[Found]) -> None:
        """Count letters, in any order."""
        for letter_id, letter in found:
            app = app_of(letter.shape)
            key = app, letter.reason, _VARIES.sub("0", letter.detail)
            group = self._groups.get(key)
            if group is None:
                said = remedy(app, letter.reason)
                group = self._groups[key] = Group(app, letter.reason, "", 0, -1, "", said)
            group.count += 1
            if letter.received_at >= group.last:
                group.last, group.detail, group.newest = letter.received_at, letter.detail, letter_id

    def newest_first(self) -> list[Group]:
        """The groups, by when the newest letter of each was received; at the same time the largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.last, -group.count, group.app, group.reason))


def app_of(shape: str) -> str:
    """Which app writes messages of such a shape (`decoder.contents`), as far as names of members tell.

    The shape is all that is looked at: it is there also where nothing else of the message may be kept.
    """
    inner = _WRAPPED.sub("", shape, count=1)
    if not inner:
        return UNKNOWN
    if inner.startswith(_BROKEN):
        names = set(_NAME.findall(inner.removeprefix(_BROKEN)))
    elif inner.startswith("JSON "):
        names = set(_MEMBER.findall(inner))
    else:
        return "no JSON"
    return _app_of_names(names)


def _app_of_names(names: set[str]) -> str:
    if "locations" in names:
        return "Overland"
    if names & {"geometry", "features", "coordinates"}:
        return "GPSLogger" if names & {"time_long", "provider"} else "GeoJSON"
    if "_type" in names:
        return "OwnTracks"
    if {"location", "coords"} <= names or {"position", "device", "fixtime"} <= names:
        return "Traccar"
    return "flat JSON" if names & _LATITUDES else "other JSON"
