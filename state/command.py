"""A command that needs Redis alone: it ends as every command does (`core.command`)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core import command
from core.errors import Unavailable
from core.settings import CommonSettings, load_or_exit
from state.client import Redis, open_redis

Answer = TypeVar("Answer")


def ask_redis(work: Callable[[Redis, CommonSettings], Awaitable[Answer]]) -> Answer:
    """The answer of `work`, which is given a connection to Redis and the settings; what is away ends the command."""
    settings = load_or_exit(CommonSettings)

    async def asking() -> Answer:
        async with open_redis(settings) as client:
            try:
                return await work(client, settings)
            except Unavailable as error:
                hint = "Is the system running? REDIS_URL or DATA_DIR say where Redis is."
                raise Unavailable(f"{error}. {hint}") from error

    return command.ask(asking)
