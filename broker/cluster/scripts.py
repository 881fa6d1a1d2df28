"""The scripts that change what the nodes share, and the way to Redis that they take."""

import asyncio
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

from core.errors import Unavailable
from state.client import Redis, redis_errors

Command = tuple[str | bytes | int, ...]
"""A command of Redis and its arguments."""
Answer = Any
"""What Redis answers: that depends on the command."""
_SHARED = "session_costs"
_TOGETHER = {
    name: (_SHARED, "common", name)
    for name in (
        "open",
        "close",
        "subscribe",
        "acknowledge",
        "received",
        "complete",
        "heartbeat",
        "take",
        "condemn",
        "reap",
        "expire",
        "erase",
    )
} | {
    "enqueue": (_SHARED, "common", "queue", "enqueue"),
    "load": (_SHARED, "common", "queue", "load"),
    "publish": (_SHARED, "common", "queue", "retain", "publish"),
    "sweep": (_SHARED, "common", "queue", "sweep"),
    "tidy": (_SHARED, "common", "retain", "tidy"),
}
MAX_PIPELINE = 1000


def _text(name: str) -> str:
    package = "state.lua" if name == _SHARED else "broker.cluster"
    return resources.files(package).joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Scripts:
    """The scripts of this package, each of which Redis learns when it first says that it does not know it."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        parts = {part: _text(part) for names in _TOGETHER.values() for part in names}
        self._texts = {name: "".join(parts[part] for part in names) for name, names in _TOGETHER.items()}
        self._digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self._texts.items()
        }

    def command(self, name: str, *args: str | bytes | int) -> Command:
        """What runs a script."""
        return ("EVALSHA", self._digests[name], 0, *args)

    async def run(self, name: str, *args: str | bytes | int) -> Answer:
        """The answer of a script. Raises Unavailable: it may have run or not."""
        (answer,) = await self.send([self.command(name, *args)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        """The answers to commands, in their order and in one pipeline; an error in the place of a command that failed.

        Raises Unavailable if Redis does not answer: any of them may have run or not.
        """
        answers = await self._pipeline(commands)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            for answer in await self._pipeline([("SCRIPT", "LOAD", text) for text in self._texts.values()]):
                if isinstance(answer, Exception):
                    raise _mapped(answer)
            for index, answer in zip(unknown, await self._pipeline([commands[i] for i in unknown]), strict=True):
                answers[index] = answer
        return [_mapped(answer) if isinstance(answer, Exception) else answer for answer in answers]

    async def _pipeline(self, commands: Sequence[Command]) -> list[Answer]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            with redis_errors():
                return await pipeline.execute(raise_on_error=False)


def _mapped(error: Exception) -> Exception:
    try:
        with redis_errors():
            raise error  # noqa: TRY301 - to have it mapped
    except Exception as mapped:  # noqa: BLE001 - it is handed on, in the place of an answer
        return mapped


class Turns:
    """Sends the commands of one turn of the event loop together.

    One pipeline is under way at a time, so that what one client asks for is done in its order.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._waiting: list[tuple[Command, asyncio.Future[Answer]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def run(self, name: str, *args: str | bytes | int) -> Answer:
        """The answer of a script. Raises Unavailable: it may have run or not."""
        return await self.send(self._scripts.command(name, *args))

    async def send(self, command: Command) -> Answer:
        """The answer to a command. Raises Unavailable: it may have run or not."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        waiting: list[tuple[Command, asyncio.Future[Answer]]] = []
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting[:MAX_PIPELINE], self._waiting[MAX_PIPELINE:]
                try:
                    answers = await self._scripts.send([command for command, _ in waiting])
                except Unavailable as error:
                    answers = [Unavailable(str(error)) for _ in waiting]
                except Exception as defect:  # noqa: BLE001 - whoever waits hears of it, and says so
                    answers = [defect for _ in waiting]
                for (_, future), answer in zip(waiting, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._sending = None
            # Only where this task was cancelled is anything left.
            for _, future in [*waiting, *self._waiting]:
                future.cancel()
