"""Waiting for what is away: with backoff and jitter, as long as it takes, and said once."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
import structlog

from core.errors import Unavailable
from decoder.metrics import DecoderMetrics

WAIT_MAX_SECONDS = 10.0
Result = TypeVar("Result")

_log = structlog.stdlib.get_logger("decoder")


def _wait(error: Exception) -> bool | float:
    if not isinstance(error, Unavailable):
        return False
    return True if error.retry_after is None else error.retry_after


async def until_available(stage: str, metrics: DecoderMetrics, work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of `work`, tried again whenever it raises Unavailable; cancel it to give up.

    A wait that the dependency asked for (Retry-After) is honoured. `work` must be safe to do twice.
    """
    async for attempt in stamina.retry_context(on=_wait, attempts=None, timeout=None, wait_max=WAIT_MAX_SECONDS):
        with attempt:
            try:
                result = await work()
            except Unavailable as error:
                if metrics.waits(stage, str(error)):
                    _log.warning("stage waits", stage=stage, reason=str(error))
                raise
            if metrics.goes_on(stage):
                _log.info("stage goes on", stage=stage)
            return result
    raise AssertionError("retries without an end have ended")
