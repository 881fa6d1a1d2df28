"""Waiting for what is away: with backoff and jitter, as long as it takes, and said once."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
import structlog

from core.errors import UnavailableError
from decoder.metrics import DecoderMetrics

WAIT_MAX_SECONDS = 10.0
JITTER_SECONDS = 0.1
"""Added to a wait that a dependency asked for (Retry-After); other waits have a jitter of up to a second."""
Result = TypeVar("Result")

_log = structlog.stdlib.get_logger("decoder")


def _wait(error: Exception) -> bool | float:
    if not isinstance(error, UnavailableError):
        return False
    # Whoever was told the same does not come back at the same moment; nor at once, where that is 0.
    return True if error.retry_after is None else error.retry_after + random.uniform(0, JITTER_SECONDS)  # noqa: S311 - no secret


async def until_available(
    stage: str, metrics: DecoderMetrics, work: Callable[[], Awaitable[Result]], *, partition: int | None = None
) -> Result:
    """The result of `work`, tried again whenever it raises UnavailableError; cancel it to give up.

    A wait that the dependency asked for (Retry-After) is honoured. `work` must be safe to do twice. `partition` is the
    one that it is for, None for a stage without: each of them waits, and is said to wait, on its own.
    """
    async for attempt in stamina.retry_context(on=_wait, attempts=None, timeout=None, wait_max=WAIT_MAX_SECONDS):
        with attempt:
            try:
                result = await work()
            except UnavailableError as error:
                if metrics.waits(stage, partition, str(error)):
                    _log.warning("stage waits", stage=stage, partition=partition, reason=str(error))
                raise
            if metrics.goes_on(stage, partition):
                _log.info("stage goes on", stage=stage, partition=partition)
            return result
    raise AssertionError("retries without an end have ended")
