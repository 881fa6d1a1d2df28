"""Calls of one Redis server: what `open_redis` promises of each of them, kept for commands, pipelines and scripts.

`_Parser` and `Pool` make the connections; `Client`, `Pipeline` and `Script` raise UnavailableError by themselves, so
that no caller can forget to. What errors mean is in `state.codes`.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis.asyncio
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError, NoScriptError, RedisError  # noqa: A004

from core.closed_connection import CLOSED_TRANSPORT
from state.codes import RedisUnavailableError, Then, code_of, then, unavailable
from state.confirmed import ConfirmedPipeline
from state.key_types import set_aside_wrong_types

Redis = redis.asyncio.Redis
READ_TIMEOUT_SECONDS = 10.0
"""How long one answer may take; blocking reads ask Redis for much less."""
MAX_CONNECTIONS = 32
"""Commands under way at the same time with one server; more of them wait for their turn."""
JUST_SECONDS = 5.0
UNEXPLAINED = 3
"""So often in a row, less than JUST_SECONDS apart, WRONGTYPE is put down to another process that left no sign."""
ERRORS = (RedisError, OSError, CLOSED_TRANSPORT)
"""What a call of redis-py may raise."""


@contextmanager
def redis_errors() -> Iterator[None]:
    """What a client of `open_redis` does by itself, for any other: `UnavailableError` for what means "not now"."""
    try:
        yield
    except ERRORS as error:
        if (instead := unavailable(error)) is None:
            raise
        raise instead from error


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]  # one of several classes, by what is installed
    """Keeps the code of every error, which redis-py keeps of those that it has a class for; and when it came."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        error = cast("RedisError", super().parse_error(response))
        error.status_code = response.partition(" ")[0]
        error.came_at = time.monotonic()  # type: ignore[attr-defined]  # our own
        return error


def connection_options() -> dict[str, Any]:
    """What every connection is made with, where an address does not say otherwise."""
    return {
        "socket_timeout": READ_TIMEOUT_SECONDS,
        "socket_connect_timeout": READ_TIMEOUT_SECONDS,
        "parser_class": _Parser,
        # Once, for connections that Redis closed while they were idle; more patience is the caller's to have.
        # Nor for one that takes too long to answer: it would take as long again.
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }


class Pool(BlockingConnectionPool):
    """The connections to one server, and what sets keys aside: once at a time, however many have met one."""

    _mending: "asyncio.Task[bool] | None" = None
    _asked_at = _found_at = _looked_at = float("-inf")
    _unexplained = 0
    _aside: frozenset[bytes] = frozenset()

    @property
    def is_in_use(self) -> bool:
        """Whether a call is under way."""
        return bool(self._in_use_connections)

    async def mend(self, came_at: float) -> bool:
        """Set aside keys of the wrong type; False where that does not explain what was met. Raises UnavailableError.

        What came (at `time.monotonic()`) before the last look had ended is explained by that one: all answers of a
        pipeline are one sign, not many. Another process may have been faster: what is aside now and was not at the
        last look explains it, and so does finding nothing, a few times: a key that is set aside again has the same name
        there.
        """
        if came_at < self._looked_at:
            return True
        if self._mending is None:
            self._mending = asyncio.create_task(self._mend())
        with redis_errors():
            return await asyncio.shield(self._mending)

    async def _mend(self) -> bool:
        try:
            own, aside = await set_aside_wrong_types(redis.asyncio.Redis(connection_pool=self))
        finally:
            self._mending = None
        now = self._looked_at = time.monotonic()
        found = bool(own or aside - self._aside)
        self._aside = aside
        if found or now - self._asked_at > JUST_SECONDS:
            self._unexplained = 0
        elif now - self._found_at > JUST_SECONDS:
            self._unexplained += 1
        self._asked_at = now
        self._found_at = now if found else self._found_at
        return self._unexplained <= UNEXPLAINED


async def instead(pool: Pool, error: Exception) -> RedisUnavailableError | None:
    """What to raise in place of an error, None for itself.

    Connections to a server that is not the one are closed, and keys that have another type than they should set aside.
    """
    if then(error) is Then.FAIL_OVER:
        await pool.disconnect(inuse_connections=False)
    elif code_of(error) == "WRONGTYPE" and await pool.mend(getattr(error, "came_at", time.monotonic())):
        return RedisUnavailableError(
            "a key of Redis had another type than it should have: it is set aside", code="WRONGTYPE"
        )
    return unavailable(error)


class Client(redis.asyncio.Redis):
    """Raises UnavailableError by itself, so that no caller can forget to; other errors of Redis are defects."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        """The answer to a command. Raises UnavailableError, or what redis-py raises for a defect."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's own
        except NoScriptError:
            raise  # whoever runs a script looks for it, and sends the script
        except ERRORS as error:
            if (unavailable := await instead(cast("Pool", self.connection_pool), error)) is None:
                raise
            raise unavailable from error

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "Pipeline":  # noqa: FBT001, FBT002 - as redis-py has it
        """Commands that are sent together; `transaction` has them done together, too."""
        return Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def register_script(self, script: Any) -> "Script":  # type: ignore[override]  # noqa: ANN401 - redis-py's own
        """A script by its text; Redis learns it when it is first run."""
        return Script(self, script)


class Pipeline(ConfirmedPipeline):
    """The same for pipelines and transactions; without `raise_on_error`, UnavailableError is among the answers."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py has it
        """The answers, in the order of the commands. Raises as a command does."""
        try:
            answers = await super().execute(raise_on_error)
        except ERRORS as error:
            if (unavailable := await instead(cast("Pool", self.connection_pool), error)) is None:
                raise
            raise unavailable from error
        return answers if raise_on_error else [await self._mapped(answer) for answer in answers]

    async def _mapped(self, answer: Any) -> Any:  # noqa: ANN401 - whatever Redis answers
        if isinstance(answer, RedisError) and not isinstance(answer, NoScriptError):
            return await instead(cast("Pool", self.connection_pool), answer) or answer
        return answer

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        """The answer to a command before the transaction begins."""
        try:
            return await super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's own
        except ERRORS as error:
            if (unavailable := await instead(cast("Pool", self.connection_pool), error)) is None:
                raise
            raise unavailable from error


class Script(AsyncScript):
    """A script that a server does not know is sent to it with its text: one server, and one more round trip."""

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:  # noqa: ANN401 - as redis-py has it
        """The answer of the script. Raises as a command does."""
        if client is not None:
            return await super().__call__(keys, args, client)
        words = (*(keys or ()), *(args or ()))
        count = len(keys or ())
        try:
            return await self.registered_client.evalsha(self.sha, count, *words)
        except NoScriptError:
            pass
        try:
            return await self.registered_client.eval(cast("str", self.script), count, *words)
        except NoScriptError as error:
            raise RedisUnavailableError(f"Redis has forgotten its scripts: {error}", code="NOSCRIPT") from error
