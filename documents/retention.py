"""Months that are made ahead, and days that are over: once a day."""

import re

import structlog

from core.clock import Clock
from core.errors import UnavailableError
from documents.answers import NotAllowedError
from documents.months import DAY_MS
from documents.store import DocumentStore, Dropped
from runtime.service import Stop, pause

DAY_SECONDS = 86_400.0
AGAIN_SECONDS = 600.0
"""How soon it is tried again, where the store was away."""
KEEP_DAYS_MAX = 36_500
_KEEP = re.compile(r"(\d{1,5})d", re.ASCII)

_log = structlog.stdlib.get_logger("retention")


def parse_keep(text: str) -> int:
    """How long documents are kept, from `90d`, in milliseconds. Raises ValueError for anything else, and for 0d."""
    found = _KEEP.fullmatch(text)
    if not found or not 1 <= int(found[1]) <= KEEP_DAYS_MAX:
        raise ValueError(f"{text[:20]!r} is not a number of days such as 90d, from 1d to {KEEP_DAYS_MAX}d")
    return int(found[1]) * DAY_MS


class Retention:
    """Runs beside the stage archive; as many may run as there are decoders."""

    def __init__(self, *, store: DocumentStore, keep_ms: int | None, clock: Clock) -> None:
        """Days (UTC) that were over `keep_ms` ago are dropped; None keeps all."""
        self._store = store
        self._keep_ms = keep_ms
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Look once a day until `stop`."""
        while not stop.is_set():
            seconds = DAY_SECONDS
            try:
                await self.step()
            except UnavailableError as error:
                # The stage itself says what it waits for.
                _log.info("retention is put off", reason=str(error))
                seconds = AGAIN_SECONDS
            await pause(seconds, stop)

    async def step(self) -> list[Dropped]:
        """Make what the next month needs, and drop what is over; says what that was. Raises UnavailableError."""
        await self._store.setup()
        if self._keep_ms is None:
            return []
        try:
            dropped = await self._store.drop_before(self._clock() - self._keep_ms)
        except NotAllowedError as error:
            _log.info("documents are dropped by python -m documents setup", reason=str(error))
            return []
        for each in dropped:
            _log.info("documents were dropped", name=each.name, documents=each.documents)
        return dropped
