"""Beside the stages: what Redis holds, as metrics. Asked for every few seconds, so that scrapes cost Redis nothing."""

from core.errors import UnavailableError
from decoder.metrics import DecoderMetrics
from runtime.service import Stop, pause
from state.client import Redis
from state.dead_letters import DeadLetters
from state.dirty_windows import waiting
from state.oldest import read_ages

EVERY_SECONDS = 5.0


class RedisGauges:
    """Keeps the gauges of `DecoderMetrics` up to date; every decoder process shows the same."""

    def __init__(self, *, client: Redis, partitions: int, metrics: DecoderMetrics) -> None:
        self._client = client
        self._partitions = partitions
        self._metrics = metrics

    async def run(self, stop: Stop) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            try:
                await self.look()
            except UnavailableError:
                # The stages say so, and wait. What was true before is not shown as if it were true now.
                self._metrics.forget()
            await pause(EVERY_SECONDS, stop)

    async def look(self) -> None:
        """Ask Redis once. Raises UnavailableError if it does not answer."""
        backlogs = await read_ages(self._client, self._partitions)
        letters = await DeadLetters(self._client, partitions=self._partitions).kept()
        dirty = await waiting(self._client, self._partitions)
        self._metrics.show(backlogs, letters=letters, dirty_windows=dirty)
