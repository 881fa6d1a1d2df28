"""Writes that count once replicas have them: WAIT, or WAITAOF, over the connection that wrote.

    confirmed:{p}     string  nothing: it is written after what was appended to a partition, for what is said below
    confirmed:{mqtt}  string  the same, after what brokers have changed for clients

WAIT speaks of what its own connection has written, and from Redis 7.2 on of commands alone that have changed something.
So a write of that key goes before it: also where a script finds that all of it was done already, by
an attempt that nobody heard the end of, the answer means that replicas have all of it. What is not confirmed in time is
asked for again, not written again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis.asyncio.client
import structlog

from state.access import Right, access
from state.commands import tag_of_command

ACCESS = {Right.WRITE: [access("confirmed:{p} confirmed:{mqtt}", "SET"), access("", "WAIT WAITAOF")]}
WAIT_MS = 1000
"""How long one WAIT lasts; then it is said, and asked again."""
WAITAOF_MS = 3000
"""The same of WAITAOF. Replicas tell what is on their disks once a second, whatever `appendfsync` is."""
CONFIRMED = "confirmed:"
"""How the key begins that is written for this alone; the tag of what was written follows."""

_log = structlog.stdlib.get_logger("redis")


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to have a write before it counts."""

    replicas: int
    fsynced: bool = False
    """Whether it has to be on their disks, and on that of the primary."""

    @property
    def command(self) -> tuple[str | int, ...]:
        """What asks for it."""
        return ("WAITAOF", 1, self.replicas, WAITAOF_MS) if self.fsynced else ("WAIT", self.replicas, WAIT_MS)

    def is_met(self, answer: Any) -> bool:  # noqa: ANN401 - a number, or two
        """Whether the answer to that says that it is so."""
        if self.fsynced:
            primary, replicas = answer
            return bool(primary >= 1 and replicas >= self.replicas)
        return bool(answer >= self.replicas)


class Confirmation:
    """Asks for it, for however many writers, and says why they wait."""

    def __init__(self, needed: Needed) -> None:
        self._needed = needed
        self._unconfirmed = 0

    @property
    def problem(self) -> str | None:
        """Why nothing is confirmed at present; None where all is well."""
        if not self._unconfirmed:
            return None
        disks = " on their disks" if self._needed.fsynced else ""
        return f"fewer than REPLICAS={self._needed.replicas} replicas have what was written{disks}"

    async def until_met(self, connection: Any, answer: Any) -> None:  # noqa: ANN401 - redis-py's connections
        """Return once it is; `answer` is the first one. Raises what redis-py raises."""
        if self._needed.is_met(answer):
            return
        with self._waiting():
            while not self._needed.is_met(answer):
                await connection.send_command(*self._needed.command)
                answer = await connection.read_response()

    def commands(self, written: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """What follows the commands that have `written`."""
        tag = next((tag for args, _ in written if (tag := tag_of_command(args))), b"{confirmed}")
        return [(("SET", CONFIRMED.encode() + tag, ""), {}), (self._needed.command, {})]

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._unconfirmed += 1
        if self._unconfirmed == 1:
            _log.warning("nothing is acknowledged", reason=self.problem)
        try:
            yield
        finally:
            self._unconfirmed -= 1
            if not self._unconfirmed:
                _log.info("enough replicas have what was written")


class ConfirmedPipeline(redis.asyncio.client.Pipeline):
    """redis-py's pipeline; with a `confirmation`, one without a transaction answers once that is met."""

    confirmation: Confirmation | None = None

    async def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> list[Any]:  # noqa: ANN401, FBT001 - as redis-py has it
        if self.confirmation is None:
            answers: list[Any] = await super()._execute_pipeline(connection, commands, raise_on_error)
            return answers
        more = [*commands, *self.confirmation.commands(commands)]
        *answers, noted, held = await super()._execute_pipeline(connection, more, raise_on_error=False)
        if not all(isinstance(answer, Exception) for answer in answers):
            for error in (noted, held):
                if isinstance(error, Exception):
                    raise error
            await self.confirmation.until_met(connection, held)
        if raise_on_error:
            self.raise_first_error(commands, answers)
        return answers
