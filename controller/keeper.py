"""The keeper: stands between services and stores, makes faults there, and ends each by its own clock.

It has Toxiproxy for that. Whoever asks for faults says how many seconds are left of each; from then on it needs nobody
to end one: controller, API and Redis may all be gone. When it ends itself, Toxiproxy ends with it, and nothing goes
through: a new one begins without any fault.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from controller.toxiproxy import Toxiproxy
from core.faults import BEHIND

MAX_SECONDS: Final = 3600
LOOK_SECONDS: Final = 0.1
_log = structlog.stdlib.get_logger("keeper")


class KeptFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault between a service and a store, as the controller asks for it."""

    between: str
    """One of `core.faults.BEHIND`."""
    kind: str
    share: float = 1.0
    milliseconds: int = 0
    status: int = 0
    kilobytes: int = 0
    seconds_left: Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
    """After which it ends."""


class CannotMake(msgspec.Struct, frozen=True, kw_only=True):
    """Where no fault can be made, as the controller is answered."""

    between: str
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is."""

    listen: str
    """`host:port` at which the service finds it."""
    upstream: str
    """`host:port` of the store."""


@dataclass(frozen=True, slots=True)
class _State:
    """How a proxy is at present, or has to be."""

    enabled: bool
    upstream: str
    toxics: frozenset[tuple[str, str, float, tuple[tuple[str, int], ...]]]
    """Kind of the fault, Toxiproxy's type, share, attributes."""


def places_of(text: str) -> dict[str, Place]:
    """The proxies of FAULTS_PROXIES: `decoder>redis=0.0.0.0:16379=redis:6379`, joined by commas. Raises ValueError."""
    found: dict[str, Place] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        between, _, ends = part.partition("=")
        listen, _, upstream = ends.partition("=")
        if between not in BEHIND or not _is_address(listen) or not _is_address(upstream):
            raise ValueError(
                f"{part[:120]!r} is not between=host:port=host:port, as in decoder>redis=0.0.0.0:16379=redis:6379; "
                f"between is one of {', '.join(BEHIND)}"
            )
        if between in found:
            raise ValueError(f"{between} is there twice")
        found[between] = Place(listen, upstream)
    return found


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


class Keeper:
    """Keeps the faults that it was asked for, each until its time is over."""

    def __init__(
        self,
        toxiproxy: Toxiproxy,
        places: Mapping[str, Place],
        *,
        statuses: Mapping[int, str],
        monotonic: Callable[[], float],
    ) -> None:
        """`statuses` are addresses, `host:port`, at which whoever asks over HTTP is answered a status."""
        self._toxiproxy = toxiproxy
        self._places = places
        self._statuses = statuses
        self._monotonic = monotonic
        self._wanted: list[tuple[float, KeptFault]] = []
        self._changed = asyncio.Event()
        self._states = {between: _well(place) for between, place in places.items()}

    def want(self, faults: Sequence[KeptFault]) -> list[CannotMake]:
        """Have these faults from now on, and no others; those that it cannot make, since it stands elsewhere alone."""
        now = self._monotonic()
        self._wanted = [(now + fault.seconds_left, fault) for fault in faults if fault.between in self._places]
        self._changed.set()
        stands = ", ".join(self._places) or "none"
        return [
            CannotMake(between=between, why=f"there is no proxy between {between}: FAULTS_PROXIES has {stands}")
            for between in dict.fromkeys(fault.between for fault in faults)
            if between not in self._places
        ]

    def faults(self) -> list[KeptFault]:
        """Those that are on, with the seconds that they have left."""
        now = self._monotonic()
        return [msgspec.structs.replace(fault, seconds_left=end - now) for end, fault in self._wanted if end > now]

    async def run(self) -> None:
        """Make faults and end them, for ever. Raises UnavailableError where Toxiproxy does not do as it is told."""
        for between, place in self._places.items():
            await self._toxiproxy.create(_name(between), listen=place.listen, upstream=place.upstream)
        while True:
            self._changed.clear()
            on = self.faults()
            for between in self._places:
                await self._bring(between, self._state(between, on))
            # Nobody else changes them, so there is nothing to look at before the next one ends.
            left = min((fault.seconds_left for fault in on), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left is None else max(left, LOOK_SECONDS)):
                    await self._changed.wait()

    def _state(self, between: str, on: Sequence[KeptFault]) -> _State:
        here = [fault for fault in on if fault.between == between]
        status = next((fault.status for fault in here if fault.kind == "status"), 0)
        return _State(
            enabled=not any(fault.kind == "cut" for fault in here),
            upstream=self._statuses[status] if status else self._places[between].upstream,
            toxics=frozenset(
                (fault.kind, kind, fault.share, attributes)
                for fault in here
                if (toxic := _toxic(fault)) is not None
                for kind, attributes in (toxic,)
            ),
        )

    async def _bring(self, between: str, wanted: _State) -> None:
        present, name = self._states[between], _name(between)
        if wanted == present:
            return
        for kind, *_ in present.toxics - wanted.toxics:
            await self._toxiproxy.remove(name, kind)
        for kind, of_toxiproxy, share, attributes in wanted.toxics - present.toxics:
            await self._toxiproxy.add(name, kind, kind=of_toxiproxy, share=share, attributes=dict(attributes))
        if (wanted.enabled, wanted.upstream) != (present.enabled, present.upstream):
            await self._toxiproxy.update(name, enabled=wanted.enabled, upstream=wanted.upstream)
        self._states[between] = wanted

        _log.warning(
            "all is well again" if wanted == _well(self._places[between]) else "faults are made", between=between
        )


def _well(place: Place) -> _State:
    return _State(enabled=True, upstream=place.upstream, toxics=frozenset())


def _toxic(fault: KeptFault) -> tuple[str, tuple[tuple[str, int], ...]] | None:
    """Toxiproxy's type and attributes for a fault that is a toxic."""
    match fault.kind:
        case "delay":
            return "latency", (("latency", fault.milliseconds),)
        case "reset":
            return "reset_peer", (("timeout", 0),)
        case "bandwidth":
            return "bandwidth", (("rate", fault.kilobytes),)
    return None


def _name(between: str) -> str:
    return between.replace(">", "-")
