"""Stages that fail: none of them ends another, each is started again, and everybody can see it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter

from core.errors import BadSettingsError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""A stage that fails again and again is started once a minute in the end, for as long as the process lives."""
SETTLED_SECONDS = 10.0
"""A stage that has worked for so long, and for as long as its last pause, is well again."""
START_SECONDS = 60.0
"""Whoever started the process still looks at it for so long: a setting that cannot work ends the process in that time,
so that the reason is read; later it is one more failure of the stage."""
SHOWN = 200
"""Characters of an error that the log's own line has; its traceback is whole."""


@dataclass(slots=True)
class _Failing:
    shown: str
    error: str
    pause: float
    times: int = 1
    works_since: float | None = None
    """None while it waits for its next start."""


class Failures:
    """What went wrong with the stages of one process. `service` begins the metric's name.

    `minor` are stages without which the service serves all the same: whoever sends it clients is not to turn away.
    """

    def __init__(
        self,
        service: str = "service",
        registry: CollectorRegistry | None = None,
        *,
        minor: frozenset[str] = frozenset(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = structlog.stdlib.get_logger(service)
        self._minor = minor
        self._monotonic = monotonic
        self._begun = monotonic()
        self._failing: dict[str, _Failing] = {}
        # Each is one more traceback, or line, in the log: a defect of ours.
        self._counter = Counter(
            f"{service}_stage_failures", "Failures by stage.", ["stage"], registry=registry or CollectorRegistry()
        )

    @property
    def problem(self) -> str | None:
        """Which stages fail, and of what, as a sentence; None when all of them work, but for minor ones."""
        return self._sentences(minor=False)

    @property
    def remark(self) -> str | None:
        """The same of the minor stages."""
        return self._sentences(minor=True)

    @property
    def starting(self) -> bool:
        """Whether the process has only just begun."""
        return self._monotonic() - self._begun < START_SECONDS

    def expects(self, stages: Iterable[str]) -> None:
        """Count these stages from now on, before any of them has begun: each is 0 at the first scrape."""
        for stage in stages:
            self._counter.labels(stage)

    def begins(self, stage: str) -> None:
        """Note that a stage starts to work."""
        self._counter.labels(stage)
        if (failing := self._failing.get(stage)) is not None:
            failing.works_since = self._monotonic()

    def ends(self, stage: str, error: Exception) -> float:
        """Note, and log, that a stage has failed; how many seconds it is to pause.

        An error is logged with its traceback; one that comes again at once, without.
        """
        before = dict(self._all_failing()).get(stage)
        text = _sentence(_first(error))
        # Everybody may ask for /readyz, and the words of a defect can hold what came from outside.
        kind = type(_first(error)).__name__
        shown = text if isinstance(error, BadSettingsError) else f"{kind} (the log has its words)"
        now = _Failing(shown, text, FIRST_PAUSE_SECONDS)
        if before is not None:
            now.pause = min(2 * before.pause, LONGEST_PAUSE_SECONDS)
            now.times = before.times + 1
        self._failing[stage] = now
        self._counter.labels(stage).inc()
        known = (before is not None and before.error == text) or isinstance(error, BadSettingsError)
        self._log.error(
            "a stage has failed, and is started again",
            stage=stage,
            error=text,
            times=now.times,
            pause=now.pause,
            exc_info=None if known else error,
        )
        return now.pause

    def _sentences(self, *, minor: bool) -> str | None:
        failing = [
            f"stage {name} fails, and is started again: {each.shown}"
            for name, each in self._all_failing()
            if (name in self._minor) is minor
        ]
        return "; ".join(failing) or None

    def _all_failing(self) -> list[tuple[str, _Failing]]:
        now = self._monotonic()
        return [
            (name, each)
            for name, each in self._failing.items()
            if each.works_since is None or now - each.works_since < max(SETTLED_SECONDS, each.pause)
        ]


def _first(error: Exception) -> Exception:
    """Of several that came together, as a group of tasks ends with, the first."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, BadSettingsError):
        return text[:SHOWN]
    return f"{type(error).__name__}: {text}"[:SHOWN] if text else type(error).__name__
