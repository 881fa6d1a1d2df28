"""A command that needs Redis alone: it ends as every command does (`runtime.command`)."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from core.errors import UnavailableError
from runtime import command
from runtime.settings import CommonSettings, KeysSettings, load_or_exit
from state.client import Redis, open_redis
from state.keys_redis import open_keys_redis
from state.layout import known_layout
from state.sealing import Sealing, seal_with

Answer = TypeVar("Answer")


async def _partitions(client: Redis, settings: CommonSettings) -> int:
    """As many as Redis is laid out for; where it is empty, as many as PARTITIONS says. Raises BadSettingsError."""
    layout = await known_layout(client)
    return settings.partitions if layout is None else layout.partitions


def ask_redis(work: Callable[[Redis, CommonSettings], Awaitable[Answer]], *, user: str, opens: bool = False) -> Answer:
    """The answer of `work`, which is given a connection to Redis and the settings; what is away ends the command.

    `user` is that of the command (`deploy.access.users`). With `opens` it opens what was sealed, and seals what it puts
    back, where there is a Redis of keys.
    """
    settings = load_or_exit(KeysSettings)

    async def asking() -> Answer:
        async with AsyncExitStack() as resources:
            client = await resources.enter_async_context(open_redis(settings, user))
            if opens and settings.has_keys_redis:
                seal_with(client, Sealing(await resources.enter_async_context(open_keys_redis(settings, user))))
            try:
                return await work(
                    client, settings.model_copy(update={"partitions": await _partitions(client, settings)})
                )
            except UnavailableError as error:
                hint = "Is the system running? REDIS_URL or DATA_DIR say where Redis is."
                raise UnavailableError(f"{error}. {hint}") from error

    return command.ask(asking)
