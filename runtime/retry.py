"""Waiting for what is away: with backoff and jitter, as long as it takes."""

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

import stamina

from core.errors import UnavailableError

Result = TypeVar("Result")


class Backoff(NamedTuple):
    """How long to wait between two attempts; all in seconds."""

    initial: float
    """The first wait; each wait is twice as long as the one before."""
    longest: float
    jitter: float
    """Up to so much is added to each wait, so that not everybody comes back at the same moment."""


FOR_REDIS = Backoff(initial=0.05, longest=1.0, jitter=0.2)
"""Somebody is waiting for an acknowledgement, and a failover takes seconds."""
FOR_STORES = Backoff(initial=0.1, longest=10.0, jitter=1.0)
"""Nobody waits, and a store that is being started has enough to do."""
ASKED_FOR_JITTER_SECONDS = 0.1
"""Added to a wait that was asked for (Retry-After)."""


class RetryListener(Protocol):
    """Hears how the attempts end."""

    def waits(self, error: UnavailableError) -> bool:
        """An attempt was in vain: whether to make another. False raises the error."""

    def answered(self) -> None:
        """An attempt has succeeded, be it the first or a later one."""


class _Nobody:
    def waits(self, _: UnavailableError) -> bool:
        return True

    def answered(self) -> None:
        pass


async def until_available(
    work: Callable[[], Awaitable[Result]], *, told: RetryListener | None = None, backoff: Backoff = FOR_REDIS
) -> Result:
    """The result of `work`, tried again whenever it raises UnavailableError; cancel it to give up.

    A wait that was asked for (`retry_after` of the error) is made, also where it is longer than `backoff` has them.
    `work` must be safe to do twice.
    """
    listener: RetryListener = told or _Nobody()
    # Nearly always the first attempt succeeds, and to prepare for another costs more than many an attempt.
    try:
        result = await work()
    except UnavailableError as error:
        result = await _try_again(work, error, listener, backoff)
    listener.answered()
    return result


async def _try_again(
    work: Callable[[], Awaitable[Result]], first: UnavailableError, told: RetryListener, backoff: Backoff
) -> Result:
    def wait(error: Exception) -> bool | float:
        if not isinstance(error, UnavailableError) or not told.waits(error):
            return False
        if error.retry_after is None:
            return True
        return error.retry_after + random.uniform(0, ASKED_FOR_JITTER_SECONDS)  # noqa: S311 - no secret

    failed: UnavailableError | None = first
    async for attempt in stamina.retry_context(
        on=wait,
        attempts=None,
        timeout=None,
        wait_initial=backoff.initial,
        wait_max=backoff.longest,
        wait_jitter=backoff.jitter,
    ):
        with attempt:
            if failed is not None:
                error, failed = failed, None
                raise error
            return await work()
    raise AssertionError("retries without an end have ended")
