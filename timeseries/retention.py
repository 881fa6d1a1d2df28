"""Windows that are not kept any more, where no server drops them by itself: once an hour."""

import structlog

from core.errors import UnavailableError
from runtime.service import Stop, pause
from timeseries.store import OccupancyStore

EVERY_SECONDS = 3600.0

_log = structlog.stdlib.get_logger("timeseries")


class OccupancyRetention:
    """Runs beside the stage rollup; as many may run as there are decoders."""

    def __init__(self, store: OccupancyStore) -> None:
        self._store = store

    async def run(self, stop: Stop) -> None:
        """Look once an hour until `stop`."""
        while not stop.is_set():
            try:
                await self.step()
            except UnavailableError as error:
                # The stage itself says what it waits for.
                _log.info("dropping windows is put off", reason=str(error))
            await pause(EVERY_SECONDS, stop)

    async def step(self) -> None:
        """Drop what there is to drop. Raises UnavailableError."""
        if dropped := await self._store.drop_expired():
            _log.info("windows older than OCCUPANCY_KEEP were dropped", windows=dropped)
