"""A command that needs Redis alone: it ends as every command does (`runtime.command`)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import UnavailableError
from runtime import command
from runtime.settings import CommonSettings, load_or_exit
from state.client import Redis, open_redis
from state.layout import known_layout

Answer = TypeVar("Answer")


async def _partitions(client: Redis, settings: CommonSettings) -> int:
    """As many as Redis is laid out for; where it is empty, as many as PARTITIONS says. Raises BadSettingsError."""
    layout = await known_layout(client)
    return settings.partitions if layout is None else layout.partitions


def ask_redis(work: Callable[[Redis, CommonSettings], Awaitable[Answer]], *, user: str) -> Answer:
    """The answer of `work`, which is given a connection to Redis and the settings; what is away ends the command.

    `user` is that of the command (`deploy.access.users`).
    """
    settings = load_or_exit(CommonSettings)

    async def asking() -> Answer:
        async with open_redis(settings, user) as client:
            try:
                return await work(
                    client, settings.model_copy(update={"partitions": await _partitions(client, settings)})
                )
            except UnavailableError as error:
                hint = "Is the system running? REDIS_URL or DATA_DIR say where Redis is."
                raise UnavailableError(f"{error}. {hint}") from error

    return command.ask(asking)
