"""Faults on purpose: which there are, and between which parts of the system.

A fault has an end, in the words of whoever asked for it: nobody can forget one. HAProxy (`front>...`) and the keeper of
the proxies before the stores (all others) each end it by their own clock.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from core.versions import API, APP_PATTERN, BROKER, VERSION_PATTERN

FRONT: Final = "front"
MQTT: Final = "mqtt"
STORES: Final = ("redis", "couchdb", "influxdb")
HTTP_STORES: Final = ("couchdb", "influxdb")
BEHIND: Final = (
    *(f"api>{store}" for store in STORES),
    "broker>redis",
    *(f"decoder>{store}" for store in STORES),
    f"mirror>{MQTT}",
    f"apps>{MQTT}",
)
"""Between what the keeper makes faults."""
FRONT_KINDS: Final = ("delay", "abort")
"""What HAProxy does to a share of the requests over HTTP."""
BEHIND_KINDS: Final = ("delay", "reset", "cut", "bandwidth", "status")
"""What the keeper does: `cut` lets nobody connect, `reset` ends connections, `status` is for stores that speak HTTP."""
STATUSES: Final = (500, 502, 503, 504)
"""What `abort` and `status` answer."""
MAX_MILLISECONDS: Final = 30_000
MAX_KILOBYTES: Final = 100_000
MAX_FAULTS: Final = 32
"""At one time."""
_FRONT = re.compile(f"{FRONT}>(?:{API}|({APP_PATTERN})/({VERSION_PATTERN}))", re.ASCII)
_NEEDS = {"delay": "milliseconds", "abort": "status", "status": "status", "bandwidth": "kilobytes"}
_SHARED = frozenset({"delay", "abort", "reset", "bandwidth"})
"""What can hit a part of the requests, or of the connections."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, until it ends."""

    between: str
    """`front>APP/VERSION`, `front>api`, or one of `BEHIND`."""
    kind: str
    """One of `FRONT_KINDS` or `BEHIND_KINDS`."""
    share: float = 1.0
    """Of requests (HAProxy) or connections (the keeper) that it hits: over 0, up to 1."""
    milliseconds: int = 0
    """`delay`: how long each answer waits."""
    status: int = 0
    """`abort`, `status`: the answer instead."""
    kilobytes: int = 0
    """`bandwidth`: how many a second still pass."""
    until: int
    """Milliseconds since the epoch: when it ends."""
    by: str
    """The id of the API key that asked for it."""


def version_of(fault: Fault) -> tuple[str, str] | None:
    """The application and the version in front of which it is made; None for any other fault."""
    found = _FRONT.fullmatch(fault.between)
    return (found[1], found[2]) if found and found[1] else None


def kinds_of(between: str) -> tuple[str, ...]:
    """The kinds of faults that can be made there, `front` for all in front; empty where none can."""
    if between == FRONT or _FRONT.fullmatch(between):
        return FRONT_KINDS
    if between not in BEHIND:
        return ()
    http = between.partition(">")[2] in HTTP_STORES
    return BEHIND_KINDS if http else tuple(kind for kind in BEHIND_KINDS if kind != "status")


def problems_of(faults: Sequence[Fault]) -> list[str]:
    """What is wrong with faults, a sentence each that says what to do; empty where all is well."""
    found = []
    if len(faults) > MAX_FAULTS:
        found.append(f"{len(faults)} faults are too many: take {MAX_FAULTS} at the most")
    if len({(fault.between, fault.kind) for fault in faults}) < len(faults):
        found.append("the same kind of fault is there twice between the same two parts: take one of them")
    for number, fault in enumerate(faults[:MAX_FAULTS], 1):
        found += [f"fault {number}: {problem}" for problem in _wrong_place(fault) or _wrong_values(fault)]
    return found


def _wrong_place(fault: Fault) -> list[str]:
    """What is wrong with where it is, and with its kind there."""
    if fault.between.startswith(f"{FRONT}>{BROKER}/"):
        return [f"{fault.between[:80]!r}: in front are faults of HTTP alone, so take broker>redis, or mirror>{MQTT}"]
    kinds = () if fault.between == FRONT else kinds_of(fault.between)
    if not kinds:
        places = f"front>APP/VERSION, front>{API}, or one of {', '.join(BEHIND)}"
        return [f"between {fault.between[:80]!r} no fault can be made: take {places}"]
    if fault.kind not in kinds:
        return [f"{fault.kind[:40]!r} cannot be made between {fault.between}: take one of {', '.join(kinds)}"]
    return []


def _wrong_values(fault: Fault) -> list[str]:
    found = []
    if not 0 < fault.share <= 1:
        found.append(f"its share is {fault.share}: take a number over 0, up to 1")
    elif fault.share < 1 and fault.kind not in _SHARED:
        found.append(f"{fault.kind} hits all: leave the share out")
    needed = _NEEDS.get(fault.kind)
    for name, given, allowed, words in (
        ("milliseconds", fault.milliseconds, range(1, MAX_MILLISECONDS + 1), f"1 to {MAX_MILLISECONDS}"),
        ("status", fault.status, STATUSES, f"one of {', '.join(map(str, STATUSES))}"),
        ("kilobytes", fault.kilobytes, range(1, MAX_KILOBYTES + 1), f"1 to {MAX_KILOBYTES}"),
    ):
        if name == needed and given not in allowed:
            found.append(f"{fault.kind} needs {name}: take {words}")
        elif name != needed and given:
            found.append(f"{fault.kind} has no {name}: leave them out")
    return found
