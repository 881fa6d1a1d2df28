"""Look, decide, act; again and again."""

import structlog

from autoscaler.fleet import Fleet, Wish
from autoscaler.metrics import AutoscalerMetrics
from autoscaler.reading import Reader, Reading
from core.errors import UnavailableError
from runtime.service import Stop, pause

_log = structlog.stdlib.get_logger("autoscaler")


class Autoscaler:
    """All services that are scaled, by name."""

    def __init__(
        self, *, reader: Reader, fleets: dict[str, Fleet], metrics: AutoscalerMetrics, interval: float
    ) -> None:
        """`interval` is in seconds."""
        self._reader = reader
        self._fleets = fleets
        self._metrics = metrics
        self._interval = interval
        self.problem: str | None = "nothing has been looked at yet"
        """What did not answer at the last look; None when all is well."""

    async def run(self, stop: Stop) -> None:
        """Work until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(self._interval, stop)

    async def step(self) -> tuple[Reading | None, dict[str, Wish]]:
        """Look once, and do what comes next. Answers what was seen, None where nothing was, and what should be."""
        seen: Reading | None = None
        wishes: dict[str, Wish] = {}
        problems: list[str] = []
        try:
            seen = await self._reader.read()
        except UnavailableError as error:
            problems.append(str(error))
        if seen is not None:
            problems += seen.problems
            for service, fleet in self._fleets.items():
                try:
                    wishes[service] = await fleet.step(seen)
                except UnavailableError as error:
                    problems.append(str(error))
        self._tell("; ".join(problems) or None)
        return seen, wishes

    def _tell(self, problem: str | None) -> None:
        if problem:
            self._metrics.unread.inc()
        if problem != self.problem:
            if problem:
                _log.warning("it cannot see or do everything", reason=problem)
            elif self.problem:
                _log.info("everything answers")
        self.problem = problem
