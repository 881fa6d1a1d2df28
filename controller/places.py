"""Places in HAProxy: which version of an application has which, and which addresses are in it."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from core.clock import Clock
from core.versions import API, BROKER, NEXT
from state.apps import MAX_PLACES, AppStore, Instance

SERVERS: Final = 4
"""Instances of one version that HAProxy sends people to; more wait until one goes."""
FIXED: Final = {(API, False): 17, (API, True): 18, (BROKER, False): 19, (BROKER, True): 20}
"""Places of `api` and `broker`, by whether it is the next version, which has the backends `*-next`. DNS says
who is in them, not the controller."""
_BACKENDS: Final = {17: "api", 18: "api-next", 19: "brokers", 20: "brokers-next"}
FREED_AFTER_MS: Final = 3_600_000
"""A version that nobody runs and nobody is meant to get keeps its place for so long."""

_log = structlog.stdlib.get_logger("places")


def backend_of(place: int) -> str:
    """The backend of a place in haproxy/haproxy.cfg."""
    return _BACKENDS.get(place) or f"place-{place:02}"


def place_of(backend: str) -> int | None:
    """The place that has this backend; None for one that is no place."""
    return _PLACES.get(backend)


_PLACES: Final = {backend_of(place): place for place in (*range(1, MAX_PLACES + 1), *_BACKENDS)}


def assign(places: Mapping[str, int], wanted: Iterable[str], idle: Sequence[str]) -> dict[str, int]:
    """Places by `application/version` for all that are `wanted`, as far as there are any.

    Nobody moves. `idle` may lose theirs when there are no others, the first of them first.
    """
    after = dict(places)
    leaving = [name for name in idle if name in places and places[name] <= MAX_PLACES]
    for name in sorted(set(wanted) - set(after)):
        app, _, version = name.partition("/")
        if (fixed := FIXED.get((app, version == NEXT))) is not None:
            after[name] = fixed
            continue
        free = sorted(set(range(1, MAX_PLACES + 1)) - set(after.values()))
        if not free and leaving:
            free = [after.pop(leaving.pop(0))]
        if free:
            after[name] = free[0]
    return after


class Placer:
    """Gives places to what runs, and takes them back an hour after it was needed. One process alone does so."""

    def __init__(self, *, store: AppStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._needed: dict[str, int] = {}
        """When a version that has a place was last needed (ms). Who was never seen to be is taken to be needed now."""
        self._homeless: set[str] = set()

    async def settle(self, instances: Collection[Instance]) -> None:
        """Give each version that runs, or that people are meant to get, a place. Raises UnavailableError."""
        places, routes, now = await self._store.places(), await self._store.routes(), self._clock()
        running = {f"{each.app}/{each.version}" for each in instances}
        meant = {f"{app}/{version}" for app, route in routes.items() for version in route.versions}
        self._needed = {
            name: now if name in running | meant else self._needed.get(name, now) for name in {*places, *running}
        }
        kept = {name: place for name, place in places.items() if now - self._needed[name] < FREED_AFTER_MS}
        idle = sorted(kept.keys() - running - meant, key=lambda name: self._needed[name])
        after = assign(kept, running, idle)
        if after != places:
            await self._store.put_places(after)
        homeless = running - after.keys()
        for name in sorted(homeless - self._homeless):
            _log.warning("no place in HAProxy is free: nobody gets this version", version=name, places=MAX_PLACES)
        self._homeless = homeless


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a place, as HAProxy has it now."""

    place: int
    name: str
    address: str
    """IP address and port, as HAProxy writes them."""
    open: bool
    """Whether it is not in maintenance."""
    sessions: int


def servers(statistics: str) -> list[Server]:
    """The servers of the empty places, from HAProxy's `show stat`."""
    found = []
    for row in csv.DictReader(statistics.removeprefix("# ").splitlines()):
        place = place_of(row.get("pxname") or "")
        if place is not None and place <= MAX_PLACES and row["svname"] not in {"FRONTEND", "BACKEND"}:
            is_open = not row["status"].startswith("MAINT")
            found.append(Server(place, row["svname"], row["addr"], is_open, int(row["scur"] or 0)))
    return found


def fill(now: Iterable[Server], wanted: Mapping[int, Sequence[Instance]]) -> list[tuple[str, ...]]:
    """Commands after which the places have the addresses that are `wanted`; none where they have.

    Those in one tuple are for one breath.
    What goes is told first, so that no address is in two places. A server is given another address only when it is
    empty and has no sessions: until then who comes has to wait, and this is asked again.
    """
    out: list[tuple[str, ...]] = []
    into: list[tuple[str, ...]] = []
    by_place: dict[int, list[Server]] = {}
    for server in now:
        by_place.setdefault(server.place, []).append(server)
    for place, there in by_place.items():
        missing = {_address(each): each for each in sorted(wanted.get(place, ()), key=_first)}
        kept = 0
        for server in there:
            if server.open and missing.pop(server.address, None) is not None:
                kept += 1
            elif server.open:
                out.append((f"set server {backend_of(place)}/{server.name} state maint",))
        free = [server for server in there if not server.open and not server.sessions]
        for server, instance in zip(free[: SERVERS - kept], missing.values(), strict=False):
            target = f"set server {backend_of(place)}/{server.name}"
            # HAProxy takes who is ready to be up until it has looked.
            ready = (f"{target} state ready", *(() if instance.healthy else (f"{target} health down",)))
            into += [(f"{target} addr {instance.address} port {instance.port}",), ready]
    return out + into


def _first(instance: Instance) -> tuple[bool, int, str]:
    return not instance.healthy, instance.since, instance.name


def _address(instance: Instance) -> str:
    return f"[{instance.address}]:{instance.port}" if ":" in instance.address else f"{instance.address}:{instance.port}"
