"""Follows the rules that say who gets which version of an application."""

from collections.abc import Callable, Mapping

import structlog

from core.errors import UnavailableError
from core.versions import Route
from runtime.service import Stop, pause
from state.apps import AppStore

LOOK_SECONDS = 0.25
"""How often the number of the rules is asked for: for so long a node may follow an older rule than HAProxy."""

_log = structlog.stdlib.get_logger("cluster")


class AppRules:
    """Reads the rules whenever their number is another."""

    def __init__(self, store: AppStore, replace: Callable[[Mapping[str, Route]], object]) -> None:
        """`replace` is given all rules that hold from now on."""
        self._store = store
        self._replace = replace
        self._number: int | None = None
        self.problem: str | None = "the rules of applications are not known yet"
        """Why nothing is known of them; None once they have been read, for with Redis away those hold on."""

    async def run(self, stop: Stop) -> None:
        """Follow them until `stop`."""
        away = False
        while not stop.is_set():
            try:
                await self.look()
                away = False
            except UnavailableError as error:
                if not away:
                    _log.warning("the rules of applications stay as they are", reason=str(error))
                away = True
            await pause(LOOK_SECONDS, stop)

    async def look(self) -> None:
        """Take up what has changed. Raises UnavailableError."""
        try:
            # The number first: what changes between the two is looked at again.
            number = await self._store.number()
            if number == self._number:
                return
            routes = await self._store.routes()
        except UnavailableError:
            # The Redis that answers next may have lost the last changes, and have the same number for other rules.
            self._number = None
            raise
        self._replace(routes)
        self._number = number
        self.problem = None
