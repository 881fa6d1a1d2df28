"""Indexes that are built ahead: questions find them ready, or hear what they wait for."""

from collections.abc import Callable

import structlog

from core.errors import UnavailableError
from documents.store import DocumentStore
from runtime.service import Stop, pause

EVERY_SECONDS = 5.0
BUSY_SECONDS = 1.0
"""As long as something is being built: what has been written meanwhile is to be built at once after it."""

_log = structlog.stdlib.get_logger("documents")


class Building:
    """Runs beside the stage archive; as many may run as there are decoders."""

    def __init__(self, store: DocumentStore, *, say: Callable[[str | None], None]) -> None:
        """`say` is told what is being built as a sentence, None if nothing is, as often as somebody has looked."""
        self._store = store
        self._say = say
        self._sentences: list[str] = []
        self._away = False

    async def run(self, stop: Stop) -> None:
        """Look every few seconds until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(BUSY_SECONDS if self._sentences else EVERY_SECONDS, stop)

    async def step(self) -> None:
        """Look once. Nothing is wrong with a store that is away: the stage says so, and waits."""
        before = self._sentences
        try:
            self._sentences = await self._store.being_built()
        except UnavailableError as error:
            if not self._away:
                _log.info("indexes cannot be looked at", reason=str(error))
            self._away = True
            return
        self._away = False
        self._say("; ".join(self._sentences) or None)
        if self._sentences and not before:
            _log.info("indexes are being built", indexes=self._sentences)
        elif before and not self._sentences:
            _log.info("indexes are built")
