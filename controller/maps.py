"""HAProxy's maps: who gets which version, as lines. What their keys are is said in haproxy/routes."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.places import FIXED, backend_of
from core.faults import FRONT, Fault, version_of
from core.names import name_problem
from core.versions import API, BUCKETS, Route

NAMES: Final = ("apps", "shares", "forced", "groups", "persons", "faults")
SHARE_OF: Final = 10_000
_MODE = 0o660


@dataclass(frozen=True, slots=True)
class Person:
    """An API key, and whose it is."""

    key_id: str
    key_hash: str
    """SHA-256 of the key, hexadecimal."""
    user: str = ""
    """Empty where the key is nobody's."""
    role: str = ""
    """Of the MQTT user of this name; empty where there is none."""


def apps(slots: Mapping[str, int]) -> list[str]:
    """Application -> slot."""
    return [f"{app} {slot}" for app, slot in sorted(slots.items())]


def shares(routes: Mapping[str, Route], slots: Mapping[str, int], places: Mapping[str, int]) -> list[str]:
    """Slot * 10,000 + bucket -> backend/version. A version without a place has no lines."""
    found = []
    for app, route in sorted(routes.items()):
        if (slot := slots.get(app)) is None:
            continue
        for owned in route.owned:
            if target := _target(app, owned.version, places):
                first, last = slot * BUCKETS + owned.first, slot * BUCKETS + owned.end - 1
                found.append(f"{first}:{last} {target}" if last > first else f"{first} {target}")
    return found


def forced(routes: Mapping[str, Route], places: Mapping[str, int]) -> list[str]:
    """Application/person -> backend/version."""
    return [
        f"{app}/{user} {target}"
        for app, route in sorted(routes.items())
        for user, version in sorted(route.users.items())
        if (target := _target(app, version, places))
    ]


def groups(routes: Mapping[str, Route], places: Mapping[str, int]) -> list[str]:
    """Application/Header=value, and application/role=name -> backend/version."""
    found = []
    for app, route in sorted(routes.items()):
        by_group = {f"role={role}": version for role, version in sorted(route.roles.items())}
        for name, by_value in sorted(route.headers.items()):
            by_group |= {f"{name}={value}": version for value, version in sorted(by_value.items())}
        found += [
            f"{app}/{group} {target}"
            for group, version in by_group.items()
            if (target := _target(app, version, places))
        ]
    return found


def persons(people: Iterable[Person]) -> list[str]:
    """SHA-256 of an API key -> person|role. The person of a key that is nobody's is `key:` and its id."""
    found = []
    for each in people:
        # A bar would end the name.
        is_named = not name_problem(each.user) and "|" not in each.user
        role = "" if name_problem(each.role) else each.role
        person = f"{each.user}|{role}" if is_named else f"key:{each.key_id}|"
        found.append(f"{each.key_hash.upper()} {person}")
    return sorted(found)


def faults(present: Iterable[Fault], places: Mapping[str, int]) -> list[str]:
    """Backend/kind -> until (ms since the epoch):share:milliseconds, or status.

    Of two of a kind for one backend the one that lasts longer holds. Faults behind the front are none of HAProxy's.
    """
    found = {}
    for fault in sorted(present, key=lambda fault: fault.until):
        value = fault.milliseconds if fault.kind == "delay" else fault.status
        for place in _places_of(fault, places):
            said = f"{fault.until}:{round(fault.share * SHARE_OF)}:{value}"
            found[f"{backend_of(place)}/{fault.kind}"] = said
    return [f"{key} {said}" for key, said in sorted(found.items())]


def _places_of(fault: Fault, places: Mapping[str, int]) -> set[int]:
    if fault.between == f"{FRONT}>{API}":
        # Without a rule, too, and all versions of it.
        return {FIXED[API, False], *(place for name, place in places.items() if name.startswith(f"{API}/"))}
    place = places.get("/".join(version_of(fault) or ()))
    return set() if place is None else {place}


def _target(app: str, version: str, places: Mapping[str, int]) -> str | None:
    place = places.get(f"{app}/{version}")
    return None if place is None else f"{backend_of(place)}/{version}"


def write(folder: Path, name: str, lines: Iterable[str]) -> None:
    """Replace a map's file, in one step: HAProxy reads it when it is started. Raises OSError."""
    path = folder / f"{name}.map"
    new = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # HAProxy runs as another user of the folder's group, and who starts this may have another mask.
        os.fchmod(file.fileno(), _MODE)
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
