"""The key map of the version before, and what became of its keys. What is named here is named nowhere else any more.

    {kind}:{name}                          what the brokers share: `session:{c}`, `queue:{c}`, `users`, ...
    campus, api-keys, coverage:{hour}:{kind}, ...     what there is once
    raw:{p}, positions:{p}                 the streams of a partition, with its number in the braces
    dead, totals                           dead letters and lifetime counts of all partitions
    window:{width}:{start}:{zone}:{kind}   set of the devices of a window; windows:dirty: those to be written
    device:{d}, away:{x}, presence:{zone}:{kind}      where devices are: they come back with the next positions

The names of the streams are the only ones that this version may have, too.
"""

from enum import Enum
from typing import NamedTuple

from state.slots import CAMPUS, MQTT


class Became(Enum):
    """What became of a key."""

    RENAMED = "renamed"
    WINDOW = "what its devices are seen in"
    STREAM = "a stream of a partition"
    PARTED = "in each partition"
    """It is parted, or summed up, by a step of its own."""
    NOTHING = "nothing"
    """It lives for minutes, and comes back by itself."""


class Old(NamedTuple):
    """A key of the version before."""

    name: bytes
    became: Became
    new: bytes = b""
    """Its name in this version, where it is renamed."""


_MQTT_ONCE = {
    *("nodes", "routes", "routes:log", "routes:version", "sessions", "sessions:bytes", "sessions:expiry", "brief"),
    *("retained", "retained:anonymous", "retained:bytes", "states", "states:gone", "states:version"),
    *("users", "users:version", "users:removed"),
}
_MQTT_NAMED = {
    *("node", "inbox", "interest", "clients", "will"),
    *("owner", "session", "subscriptions", "queue", "brief", "released", "received"),
}
_CAMPUS_ONCE = {"api-keys", "api-keys:used", "mirror:client", "mirror:topics", "newest-input", "coverage:dirty"}
_PARTED = {"campus", "campus:changes", "dead", "totals", "windows:dirty"}
_GONE = {"device", "away", "presence"}
TELLING = sorted({*_MQTT_ONCE, *_CAMPUS_ONCE, *_PARTED})
"""Keys of which no version but that one has any: where one is there, and no layout, its data is."""


def old_key(name: bytes) -> Old | None:
    """What became of a key; None for one that was none of that version's."""
    text = name.decode(errors="replace")
    if text in _MQTT_ONCE:
        return Old(name, Became.RENAMED, f"{text}:{MQTT}".encode())
    if text in _CAMPUS_ONCE:
        return Old(name, Became.RENAMED, f"{text}:{CAMPUS}".encode())
    if text in _PARTED:
        return Old(name, Became.PARTED)
    if text == "mirror":
        return Old(name, Became.NOTHING)
    kind, colon, rest = name.partition(b":")
    return _named(name, kind.decode(errors="replace"), rest) if colon else None


def _named(name: bytes, kind: str, rest: bytes) -> Old | None:
    # Those of this version have their tag first. In a stream's name it is all that there is.
    if rest.startswith((MQTT.encode(), CAMPUS.encode())):
        return None
    if kind in {"raw", "positions"}:
        return Old(name, Became.STREAM)
    if kind in _GONE and not rest.startswith(b"{"):
        return Old(name, Became.NOTHING)
    if kind == "window":
        return Old(name, Became.WINDOW)
    prefix = "coverage:" + CAMPUS if kind == "coverage" else f"{kind}:{MQTT}" if kind in _MQTT_NAMED else ""
    return Old(name, Became.RENAMED, f"{prefix}:".encode() + rest) if prefix else None
