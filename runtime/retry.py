"""Waiting for Redis, with backoff and jitter, as long as it takes."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import stamina

from core.errors import UnavailableError

WAIT_MAX_SECONDS = 1.0
Result = TypeVar("Result")


async def until_available(work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of `work`, tried again whenever it raises UnavailableError; cancel it to give up.

    `work` must be safe to do twice.
    """
    # Nearly always the first attempt succeeds, and to prepare for another costs more than many an attempt.
    with suppress(UnavailableError):
        return await work()
    async for attempt in stamina.retry_context(
        on=UnavailableError, attempts=None, timeout=None, wait_initial=0.05, wait_max=WAIT_MAX_SECONDS
    ):
        with attempt:
            return await work()
    raise AssertionError("retries without an end have ended")
