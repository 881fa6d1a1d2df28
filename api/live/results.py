"""Looks once a minute for what jobs have computed since: an anomaly becomes an event, and the mirror gets the rest."""

import structlog

from api.analytics import Newest, NewestAnswers
from api.live.change_log import ChangeLog
from core.errors import UnavailableError
from runtime.service import Stop, pause

EVERY_SECONDS = 60.0
STEP_SECONDS = 1.0
EVENT = "anomaly"

_log = structlog.stdlib.get_logger("api")


class ResultsWatch:
    """What one process knows of results."""

    def __init__(self, answers: NewestAnswers, changes: ChangeLog) -> None:
        self._answers = answers
        self._changes = changes
        self._told: dict[str, bytes] = {}
        self.mirrored = False
        """Whether this process mirrors: then all answers are wanted, not anomalies alone."""
        self.newest: Newest | None = None
        """The newest answers, while it mirrors; None before it has looked."""

    def mirror(self, *, wanted: bool) -> None:
        """Whether all answers are wanted from now on; at first none are known."""
        self.mirrored, self.newest = wanted, None

    async def look(self) -> None:
        """Look once. Raises UnavailableError if the time-series store does not answer."""
        found = await self._answers.anomalies()
        # What is over is told once, by a body without it.
        over = {zone: self._answers.as_expected(zone) for zone in self._told.keys() - found.keys()}
        changed = {zone: body for zone, body in found.items() if self._told.get(zone) != body}
        self._told = found
        if changed or over:
            self._changes.tell(EVENT, {**over, **changed})
        if self.mirrored:
            newest = await self._answers.all()
            # It may have ended meanwhile.
            self.newest = newest if self.mirrored else None

    async def run(self, stop: Stop) -> None:
        """Look again and again, until `stop`; at once when this process begins to mirror."""
        away, waited = False, EVERY_SECONDS
        while not stop.is_set():
            if waited >= EVERY_SECONDS or (self.mirrored and self.newest is None):
                waited = 0.0
                try:
                    await self.look()
                except UnavailableError as error:
                    if not away:
                        _log.warning("cannot look at results", error=str(error))
                    away = True
                else:
                    away = False
            await pause(STEP_SECONDS, stop)
            waited += STEP_SECONDS
