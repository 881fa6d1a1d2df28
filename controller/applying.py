"""Makes HAProxy do what the rules say, by its runtime API: maps, and the addresses in its places."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from controller import figures, maps
from controller.maps import Person
from controller.moving import Mover
from controller.people import People
from controller.places import Server, fill, servers
from controller.registry import usable
from core.clock import Clock
from core.errors import UnavailableError
from core.versions import BROKER
from runtime.haproxy_socket import HaproxySocket
from runtime.service import Stop, pause
from state.apps import AppStore, Figures, Instance
from state.faults import FaultStore

PIECE_BYTES: Final = 8192
"""Of a map, in one command: HAProxy's buffer has 16 kB."""
WHOLE_EVERY_MS: Final = 1000
"""How often all is compared and counted, whether anything has changed or not."""
_STATISTICS: Final = "show stat -1 6 -1"
"""Of backends and servers."""
_STARTED: Final = re.compile(r"value=<(\d+)>")
_MAP: Final = re.compile(r"^(?P<id>\d+) \((?:.*/)?(?P<name>[a-z]+)\.map\) ", re.MULTILINE)
_VERSION: Final = re.compile(r"version created: (\d+)")
_DONE: Final = ("IP changed", "port changed", "no need to change")
"""How an answer begins that says that an address was set."""

_log = structlog.stdlib.get_logger("applying")


class Applier:
    """One HAProxy's. What it has done it knows from HAProxy itself, so that another one may go on with it."""

    def __init__(
        self,
        *,
        store: AppStore,
        people: People,
        faults: FaultStore,
        socket: HaproxySocket,
        folder: Path,
        name: str,
        every: float,
        clock: Clock,
    ) -> None:
        """`folder` has HAProxy's maps, `name` tells its figures from those of others, `every` is in seconds."""
        self._store = store
        self._people = people
        self._socket = socket
        self._mover = Mover(socket)
        self._folder = folder
        self._name = name
        self._every = every
        self._clock = clock
        self._faults = faults
        self._started = 0
        self._applied: dict[str, list[str]] = {}
        """Lines of the maps that HAProxy has for sure."""
        self._persons: list[Person] = []
        self._known: tuple[int, int, tuple[Instance, ...] | None] | None = None
        """HAProxy's start, the number of the rules and the instances that all was done for."""
        self._whole_at = -WHOLE_EVERY_MS
        self.problem: str | None = "nothing has been applied yet"
        """What was in the way at the last look; None where nothing was."""

    async def run(self, stop: Stop) -> None:
        """Follow the rules until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(self._every, stop)

    async def step(self) -> None:
        """Look once. Without Redis nothing is changed: HAProxy goes on with what it has."""
        problem = None
        try:
            await self._look()
        except UnavailableError as error:
            problem = str(error)
        except OSError as error:
            problem = f"ROUTES_FOLDER: a map cannot be written to {self._folder}: {error.strerror or error}"
        if problem is not None:
            # What was half done is done again.
            self._known = None
        if problem != self.problem:
            if problem:
                _log.warning("the rules cannot be applied: those from before hold", reason=problem)
            else:
                _log.info("the rules are applied")
        self.problem = problem

    async def _look(self) -> None:
        started, number, seen = await self._haproxy_started(), await self._store.number(), await self._store.seen()
        if started != self._started:
            self._started, self._applied, self._known = started, {}, None
        now = self._clock()
        looked = started, number, None if seen is None else seen.instances
        is_time = now - self._whole_at >= WHOLE_EVERY_MS
        if looked == self._known and not is_time:
            return
        self._known = None
        if is_time or not self._applied:
            self._persons = await self._people.read()
        statistics = await self._socket.ask(_STATISTICS)
        routes, places = await self._store.routes(), await self._store.places()
        finished = seen is None or await self._fill(servers(statistics), seen.instances, places)
        slots = await self._store.slots()
        await self._write(
            {
                "apps": maps.apps(slots),
                "shares": maps.shares(routes, slots, places),
                "forced": maps.forced(routes, places),
                "groups": maps.groups(routes, places),
                "persons": maps.persons(self._persons),
                "faults": maps.faults(await self._faults.faults(now), places),
            }
        )
        if is_time:
            counted = figures.read(statistics, await self._socket.ask("show table figures"))
            await self._store.count(self._name, Figures(at=now, started_at=started, places=counted))
            self._whole_at = now
            # After the maps: who is ended comes back at once.
            await self._mover.step(routes.get(BROKER), statistics)
        if finished:
            self._known = looked

    async def _haproxy_started(self) -> int:
        """When this HAProxy was started (ms since the epoch)."""
        answer = await self._socket.ask("get var proc.started")
        if found := _STARTED.search(answer):
            return int(found[1])
        raise UnavailableError(f"HAProxy does not say when it was started: {answer.strip()[:200]}")

    async def _fill(self, now: list[Server], instances: Sequence[Instance], places: Mapping[str, int]) -> bool:
        """Put instances into their places; False where something is left to be done."""
        wanted: dict[int, list[Instance]] = {}
        for each in usable(instances):
            if (place := places.get(f"{each.app}/{each.version}")) is not None:
                wanted.setdefault(place, []).append(each)
        told = fill(now, wanted)
        for commands in told:
            answer = (await self._socket.ask(*commands)).strip()
            if answer and not answer.startswith(_DONE):
                raise UnavailableError(f"HAProxy does not do {'; '.join(commands)!r}: {answer[:200]}")
        return not told

    async def _write(self, wanted: Mapping[str, list[str]]) -> None:
        """Replace the maps that are not as they should be: first their files, then what HAProxy has, all at once."""
        changed = {name: lines for name, lines in wanted.items() if lines != self._applied.get(name)}
        if not changed:
            return
        for name, lines in changed.items():
            if bad := next((line for line in lines if not line.isprintable()), None):
                raise UnavailableError(
                    f"{name}.map would have {bad[:200]!r}, which is not printable: take that name out of the rule, or "
                    "out of the users or keys"
                )
            maps.write(self._folder, name, lines)
        ids = {found["name"]: found["id"] for found in _MAP.finditer(await self._socket.ask("show map"))}
        # Faults are read only with FAULTS=true.
        if missing := changed.keys() - ids.keys() - {"faults"}:
            raise UnavailableError(
                f"HAProxy has no {', '.join(f'{name}.map' for name in sorted(missing))}: start it with this version's "
                "haproxy/haproxy.cfg, and look that HAPROXY_SOCKET is that HAProxy's"
            )
        prepared: list[str] = []
        try:
            for name, lines in changed.items():
                if name in ids:
                    prepared.append(await self._prepare(ids[name]))
                    await self._add(prepared[-1], name, lines)
        except UnavailableError:
            await self._forget(prepared)
            raise
        commits = [f"commit map {each}" for each in prepared]
        if commits and (answer := (await self._socket.ask(*commits)).strip()):
            raise UnavailableError(f"HAProxy does not take its new maps: {answer[:200]}")
        self._applied |= changed
        _log.info("maps", lines={name: len(lines) for name, lines in changed.items()})

    async def _prepare(self, map_id: str) -> str:
        """A new version of a map, `@version #map`, that is empty, and that nobody uses yet."""
        answer = await self._socket.ask(f"prepare map #{map_id}")
        found = _VERSION.search(answer)
        if found is None:
            raise UnavailableError(f"HAProxy prepares no new version of a map: {answer.strip()[:200]}")
        return f"@{found[1]} #{map_id}"

    async def _add(self, prepared: str, name: str, lines: Sequence[str]) -> None:
        for piece in _pieces(lines):
            if answer := (await self._socket.ask(f"add map {prepared}", payload=piece)).strip():
                raise UnavailableError(f"HAProxy does not take lines of {name}.map: {answer[:200]}")
        # What is too long is not done, and nothing is said of it.
        held = sum(bool(line) for line in (await self._socket.ask(f"show map {prepared}")).splitlines())
        if held != len(lines):
            raise UnavailableError(f"HAProxy has taken {held} of {len(lines)} lines of {name}.map")

    async def _forget(self, prepared: Sequence[str]) -> None:
        """Take back what was prepared and not committed: each look would leave one more of it in HAProxy."""
        for each in prepared:
            with suppress(UnavailableError):
                await self._socket.ask(f"clear map {each}")


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if piece and size + length > PIECE_BYTES:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    if piece:
        yield "\n".join(piece)
