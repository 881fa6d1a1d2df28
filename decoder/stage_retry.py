"""A stage waits for what is away, as long as it takes; metrics, /readyz and the log say so."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from core.errors import UnavailableError
from decoder.metrics import DecoderMetrics
from runtime import retry

Result = TypeVar("Result")

_log = structlog.stdlib.get_logger("decoder")


class StageRetry:
    """The attempts of one stage, or of one partition of it: each of them waits on its own."""

    def __init__(self, stage: str, metrics: DecoderMetrics, *, partition: int | None = None) -> None:
        """`partition` is None for a stage without partitions."""
        self._stage = stage
        self._metrics = metrics
        self._partition = partition

    async def until_available(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """As `runtime.retry.until_available`."""
        return await retry.until_available(work, told=self, backoff=retry.FOR_STORES)

    def waits(self, error: UnavailableError) -> bool:
        """Show what is waited for, and log the first time of it."""
        if self._metrics.waits(self._stage, self._partition, str(error)):
            _log.warning("stage waits", stage=self._stage, partition=self._partition, reason=str(error))
        return True

    def answered(self) -> None:
        """Show that the stage goes on."""
        if self._metrics.goes_on(self._stage, self._partition):
            _log.info("stage goes on", stage=self._stage, partition=self._partition)
