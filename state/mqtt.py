"""What the broker nodes share lies in one slot, `{mqtt}`: how its keys are named, and how its scripts are sent.

A message for other nodes, for persistent sessions and to be retained is one script, which does all of it or nothing. So
all that it may touch has one hash tag, and lies on one master of a Redis Cluster. The tag comes before anything that a
client has chosen, and only the first pair of braces in a key counts: no name moves a key to another slot.

A script names in KEYS the guard (`state.slots.guard`) and what it is about. What else it touches depends on what it
finds, such as the inbox of the node that has a session: `key` in `state/lua/mqtt/common.lua` names that as `key` here.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from core.errors import UnavailableError
from state.access import Right, access
from state.client import Redis
from state.codes import unavailable
from state.durability import Writes
from state.lua import lua
from state.slots import MQTT, guard

ACCESS = {
    Right.WRITE: [
        access(
            "session:{mqtt}: queue:{mqtt}: brief:{mqtt}: released:{mqtt}: received:{mqtt}: subscriptions:{mqtt}: "
            "owner:{mqtt}: node:{mqtt}: inbox:{mqtt}: interest:{mqtt}: clients:{mqtt}: will:{mqtt}: nodes:{mqtt} "
            "routes:{mqtt} routes:log:{mqtt} routes:version:{mqtt} sessions:{mqtt} sessions:bytes:{mqtt} "
            "sessions:expiry:{mqtt} brief:{mqtt} retained:{mqtt} retained:anonymous:{mqtt} retained:bytes:{mqtt} "
            "states:{mqtt} states:gone:{mqtt} states:qos:{mqtt} states:version:{mqtt} carried:{mqtt}",
            "EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HRANDFIELD HSET HSTRLEN INCR SADD SCARD SET "
            "SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM TYPE UNLINK XADD XDEL XINFO|STREAM XLEN XRANGE XREVRANGE XTRIM "
            "ZADD ZCARD ZRANGE ZRANGEBYSCORE ZREM ZREVRANGE ZSCORE",
        ),
        access(
            "session:{mqtt}: queue:{mqtt}: brief:{mqtt}: released:{mqtt}: received:{mqtt}: subscriptions:{mqtt}: "
            "node:{mqtt}: inbox:{mqtt}: interest:{mqtt}: clients:{mqtt}: will:{mqtt}: nodes:{mqtt} sessions:{mqtt} "
            "sessions:bytes:{mqtt} sessions:expiry:{mqtt} brief:{mqtt} retained:{mqtt} retained:anonymous:{mqtt} "
            "retained:bytes:{mqtt} users:removed:{mqtt}",
            "EVAL",
        ),
        access("users:{mqtt}", "HEXISTS"),
        access("users:version:{mqtt}", "GET"),
        access("users:removed:{mqtt}", "SRANDMEMBER SREM"),
        access("node:{mqtt}: inbox:{mqtt}: aside:node:{mqtt}: aside:inbox:{mqtt}:", "RENAME PEXPIRE"),
        access("", "TIME"),
    ]
}
Command = tuple[str | bytes | int, ...]
"""A command of Redis and its arguments."""
Answer = Any
"""What Redis answers: that depends on the command."""
MAX_PIPELINE = 1000
GUARD = guard(MQTT)

_SESSIONS = ("common", "costs", "nodes", "routes", "session")
_QUEUES = (*_SESSIONS, "queue")
_PARTS = {
    "acknowledge": ("common", "costs"),
    "announce": ("common", "nodes"),
    "close": _SESSIONS,
    "complete": ("common", "costs"),
    "mark_dead": ("common", "nodes"),
    "drop": ("common", "costs"),
    "enqueue": _QUEUES,
    "erase": _SESSIONS,
    "expire": _SESSIONS,
    "heartbeat": ("common", "nodes", "routes"),
    "load": _QUEUES,
    "open": _SESSIONS,
    "publish": (*_QUEUES, "retain"),
    "reap": _SESSIONS,
    "received": ("common", "costs"),
    "subscribe": _SESSIONS,
    "sweep": _QUEUES,
    "take": ("common", "nodes"),
    "tidy": ("common", "retain"),
}
"""The scripts, by name, and what is put before each of them."""


def key(kind: str, name: str | None = None) -> str:
    """The key of a kind of thing that there is once, or of the thing of that kind that has this name."""
    return f"{kind}:{MQTT}" if name is None else f"{kind}:{MQTT}:{name}"


def script_text(name: str) -> str:
    """The whole text of a script."""
    return lua("raise", *(f"mqtt/{part}" for part in (*_PARTS[name], name)))


class Scripts:
    """The scripts of the brokers, each of which Redis learns when it first says that it does not know it."""

    def __init__(self, client: Redis, writes: Writes | None = None) -> None:
        """`writes` says when what they change counts; unless given, once Redis has answered."""
        self._writes = writes or Writes(client)
        self._texts = {name: script_text(name) for name in _PARTS}
        self._digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self._texts.items()
        }
        self._by_digest = {digest: self._texts[name] for name, digest in self._digests.items()}

    def command(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Command:
        """What runs a script; `keys` are those that it is about, at least one."""
        return ("EVALSHA", self._digests[name], 1 + len(keys), GUARD, *keys, *args)

    async def run(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Answer:
        """The answer of a script. Raises UnavailableError: it may have run or not."""
        (answer,) = await self.send([self.command(name, keys, *args)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        """The answers to commands, in their order and in one pipeline; an error in the place of a command that failed.

        All keys lie in `{mqtt}`. Raises UnavailableError if Redis does not answer: any of them may have run or not.
        """
        answers = await self._pipeline(commands)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            again = self._with_texts([commands[index] for index in unknown])
            for index, answer in zip(unknown, await self._pipeline(again), strict=True):
                answers[index] = answer
        return [(unavailable(each) or each) if isinstance(each, Exception) else each for each in answers]

    def _with_texts(self, commands: Sequence[Command]) -> list[Command]:
        """The same, where the first that runs a script brings its text: to the master that has `{mqtt}` now."""
        brought: set[str | bytes | int] = set()
        found: list[Command] = []
        for command in commands:
            digest = command[1]
            if digest in brought:
                found.append(command)
            else:
                brought.add(digest)
                found.append(("EVAL", self._by_digest[str(digest)], *command[2:]))
        return found

    async def _pipeline(self, commands: Sequence[Command]) -> list[Answer]:
        # The one place where what brokers change leaves for Redis: whoever waits for replicas or a disk does so here.
        async with self._writes.pipeline() as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        await self._writes.until_written()
        return answers


class PipelineBatcher:
    """Sends the commands of one turn of the event loop together.

    One pipeline is under way at a time, so that what one client asks for is done in its order.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._waiting: list[tuple[Command, asyncio.Future[Answer]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def run(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Answer:
        """The answer of a script. Raises UnavailableError: it may have run or not."""
        return await self.send(self._scripts.command(name, keys, *args))

    async def send(self, command: Command) -> Answer:
        """The answer to a command. Raises UnavailableError: it may have run or not."""
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
                except UnavailableError as error:
                    answers = [UnavailableError(str(error)) for _ in waiting]
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
