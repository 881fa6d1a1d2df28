"""Ends connections to brokers of a version that nobody is meant to get any more: their clients come back to another."""

import csv
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from controller.places import FIXED, backend_of
from core.errors import UnavailableError
from core.versions import BROKER, NEXT, Route
from runtime.haproxy_socket import HaproxySocket

EACH_LOOK: Final = 10
"""A tenth of the connections that there were is ended at each look, once a second."""
_AT_ONCE: Final = 200
"""Commands in one question: HAProxy takes 16 kB."""
_SESSION: Final = re.compile(r"^(?P<id>0x[0-9a-f]+): .*?\bsrc=(?P<source>\S+) .*? be=(?P<backend>\S+) ", re.MULTILINE)

_log = structlog.stdlib.get_logger("moving")


class Session(NamedTuple):
    """A connection as HAProxy names it. The id alone would be another's once it has ended: it is where it lies."""

    id: str
    source: str
    """Address and port of the client."""
    backend: str


@dataclass(slots=True)
class Mover:
    """One HAProxy's. What it has begun ends with its process: another one begins anew with those that are left."""

    socket: HaproxySocket
    _number: int = 0
    """Of the rule that it moves connections for."""
    _left: list[Session] = field(default_factory=list)
    """Connections that are still to be ended."""
    _each: int = 0
    """How many of them at each look."""
    _problem: str = ""
    """Why it ends nobody, as it has been said."""

    async def step(self, route: Route | None, statistics: str) -> None:
        """End some, where the rule of the brokers asks for it; `statistics` are HAProxy's, of backends.

        Only those that there were when it began: who comes back meanwhile stays. While there is nobody to whom clients
        could come back, nobody is ended. Raises UnavailableError where HAProxy does not answer.
        """
        if route is None or not route.move:
            self._number, self._left = 0, []
            return
        begins = route.number != self._number
        if not begins and not self._left:
            return
        try:
            # At each look: a version that was there when it began may have gone since.
            backends = abandoned(route, statistics)
        except UnavailableError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("clients of brokers stay where they are", reason=self._problem)
            return
        self._problem = ""
        found = await self._sessions(backends) if backends else []
        if begins:
            self._number, self._left, self._each = route.number, found, max(1, -(-len(found) // EACH_LOOK))
            if found:
                _log.info("clients are moved to the other brokers", connections=len(found))
        else:
            still = set(found)
            self._left = [each for each in self._left if each in still]
        ended, self._left = self._left[: self._each], self._left[self._each :]
        for first in range(0, len(ended), _AT_ONCE):
            # One that has ended by itself is answered with a line that says so.
            await self.socket.ask(*(f"shutdown session {each.id}" for each in ended[first : first + _AT_ONCE]))

    async def _sessions(self, backends: set[str]) -> list[Session]:
        """The connections to these backends."""
        told = await self.socket.ask("show sess")
        found = (Session(**each.groupdict()) for each in _SESSION.finditer(told))
        return [session for session in found if session.backend in backends]


def abandoned(route: Route, statistics: str) -> set[str]:
    """The backends of brokers that nobody is meant to get; none while whoever left them would find nobody.

    Raises UnavailableError where HAProxy does not say who is up.
    """
    meant = {_backend(following=version == NEXT) for version in route.versions}
    rows = [row for row in csv.DictReader(statistics.removeprefix("# ").splitlines()) if row.get("svname") == "BACKEND"]
    if not rows:
        raise UnavailableError("HAProxy does not say which of its backends are up")
    up = {row["pxname"] for row in rows if row["status"] == "UP" and int(row["act"] or 0)}
    if not meant <= up:
        raise UnavailableError(f"{', '.join(sorted(meant - up))} of HAProxy has no broker")
    gone = {_backend(following=following) for following in (False, True)} - meant
    return {*gone, *(each.replace("brokers", "websockets") for each in gone)}


def _backend(*, following: bool) -> str:
    return backend_of(FIXED[BROKER, following])
