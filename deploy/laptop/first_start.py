"""What a first start makes: users and a key, which need Redis alone. No other service, and no store, is waited for."""

import asyncio
from collections.abc import Callable, Iterable
from threading import Event

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import open_redis

_PAUSE_SECONDS = 0.2


def redis_answers(settings: CommonSettings) -> bool:
    """Whether Redis does, now."""

    async def ask() -> None:
        async with open_redis(settings, "status") as client:
            await client.ping()

    try:
        asyncio.run(ask())
    except UnavailableError:
        return False
    return True


def once_redis_answers(
    answers: Callable[[], bool],
    make: Callable[[], Iterable[str]],
    *,
    say: Callable[[str], None],
    made: Event,
    stop: Event,
) -> None:
    """Say the lines of `make` as soon as Redis answers, and set `made`. Returns then, or when `stop` is set."""
    while not answers():
        if stop.wait(_PAUSE_SECONDS):
            return
    for line in make():
        say(line)
    made.set()
