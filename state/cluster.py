"""A Redis Cluster behind the methods of one Redis: each command goes to the master that has its key.

It has what `open_redis` promises (`state.calls`), and these besides: MOVED and ASK are followed; a master that does
not answer, CLUSTERDOWN and TRYAGAIN raise UnavailableError, and the map of slots is read again before the next call.

- A command goes where its first key is; all of its keys have to be in that slot. PING and TIME go to any master.
- A pipeline without a transaction is split by master, and its answers come in the order of its commands.
- A transaction has one slot. WATCH is not offered.
- What asks a server and not a key (INFO, SCAN, CONFIG, ...) is a mistake here: `state.server.masters` has each of them.

redis-py's own RedisCluster was not taken: see docs/decisions/0022-one-client-for-every-redis.md.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import redis.asyncio
import redis.asyncio.client
from redis.exceptions import AskError, CrossSlotTransactionError, DataError, MovedError, NoScriptError

from state.calls import ERRORS, Pool, Script, instead, redis_errors
from state.codes import RedisUnavailableError, Then, code_of, then
from state.commands import ALL, name_of, slot_of_command
from state.confirmed import Confirmation, ConfirmedPipeline
from state.slot_map import Master, SlotMap

REDIRECTS = 5
"""So often one call follows MOVED and ASK before its caller waits."""
Command = tuple[tuple[Any, ...], dict[str, Any]]
"""The words of a command, and redis-py's options for its answer."""
Scripts = dict[str, Any]
"""redis-py's scripts, by digest."""
_DOUBTFUL = {None, "CLUSTERDOWN", "LOADING"}
"""Codes of errors after which the map is read again; None: the master did not answer."""


class ClusterClient(redis.asyncio.Redis):
    """The whole cluster, as one Redis."""

    def __init__(self, slot_map: SlotMap) -> None:
        # It never connects: it is there for what redis-py asks of a pool, such as how words are encoded.
        super().__init__(connection_pool=Pool(decode_responses=False))
        self.slot_map = slot_map

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        """The answer to a command. Raises UnavailableError, or what redis-py raises for a defect."""
        slot = slot_of_command(args)
        if slot is not None:
            # Nearly always it is this master, and it answers.
            master = await self.slot_map.master(slot)
            try:
                return await redis.asyncio.Redis.execute_command(master.client, *args, **options)  # type: ignore[no-untyped-call]  # redis-py's own
            except ERRORS as error:
                answer = await _understood(self.slot_map, master, error)
            if not isinstance(answer, _Moved | _Asked):
                raise answer
        (answer,) = await run(self.slot_map, [(args, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "ClusterPipeline":  # noqa: FBT001, FBT002 - as redis-py has it
        """Commands that are sent together; `transaction` has them done together, too."""
        return ClusterPipeline(self, transaction=transaction, shard_hint=shard_hint)

    def register_script(self, script: Any) -> Script:  # type: ignore[override]  # noqa: ANN401 - redis-py's own
        """A script by its text; each master learns it when it is first run there."""
        return Script(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: ARG002, FBT001 - as redis-py has it
        """Close the connections to all masters."""
        await self.slot_map.aclose()


class ClusterPipeline(redis.asyncio.client.Pipeline):
    """Commands for several masters, or a transaction in one slot."""

    confirmation: Confirmation | None = None
    """What each master's part has to meet before there are answers; not for transactions."""

    def __init__(self, client: ClusterClient, *, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._slot_map = client.slot_map

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py has it
        """The answers, in the order of the commands. Raises as a command does."""
        commands = cast("list[Command]", self.command_stack)
        scripts = {script.sha: script for script in self.scripts}
        try:
            if not commands:
                return []
            if self.is_transaction or self.explicit_transaction:
                answers = await run_transaction(self._slot_map, commands, scripts)
            else:
                answers = await run(self._slot_map, commands, scripts, self.confirmation)
        finally:
            await self.reset()  # type: ignore[no-untyped-call]  # redis-py's own
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    with redis_errors():
                        raise answer
        return answers

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401, ARG002 - as redis-py has it
        """Raises DataError."""
        raise DataError("WATCH is not offered for a Redis Cluster")


async def run(
    slot_map: SlotMap,
    commands: Sequence[Command],
    scripts: Scripts | None = None,
    confirmation: Confirmation | None = None,
) -> list[Any]:
    """The answers to commands, in their order; for one that failed, what to raise.

    Commands for one master keep their order; it is sent those of `scripts` that it does not know first, and the answers
    come once `confirmation` is met there. Raises DataError for a command that belongs nowhere, UnavailableError where
    nobody knows the masters.
    """
    slots = [slot_of_command(args) for args, _ in commands]
    answers: list[Any] = [None] * len(commands)
    left = list(range(len(commands)))
    asking: dict[int, Master] = {}
    for _ in range(1 + REDIRECTS):
        parts: dict[Master, list[int]] = {}
        for index in left:
            for master in [asking[index]] if index in asking else await _whom(slot_map, commands[index], slots[index]):
                parts.setdefault(master, []).append(index)
        calls = [
            _call(master, [(commands[i], i in asking) for i in part], scripts, confirmation=confirmation)
            for master, part in parts.items()
        ]
        told = await asyncio.gather(*calls) if len(calls) > 1 else [await call for call in calls]
        for (master, part), got in zip(parts.items(), told, strict=True):
            for index, answer in zip(part, got, strict=True):
                if not (slots[index] is None and isinstance(answers[index], Exception)):
                    answers[index] = await _understood(slot_map, master, answer)
        asking = {index: answers[index].master for index in left if isinstance(answers[index], _Asked)}
        left = [index for index in left if isinstance(answers[index], _Moved | _Asked)]
        if not left:
            return answers
    return [answer.error if isinstance(answer, _Moved | _Asked) else answer for answer in answers]


async def run_transaction(slot_map: SlotMap, commands: Sequence[Command], scripts: Scripts) -> list[Any]:
    """The answers to commands that are done together, or not at all; raises what Redis says to the whole."""
    slots = {slot for args, _ in commands if (slot := slot_of_command(args)) is not None}
    if len(slots) != 1:
        raise CrossSlotTransactionError("a transaction of a Redis Cluster has the keys of one slot")
    (slot,) = slots
    for _ in range(1 + REDIRECTS):
        master = await slot_map.master(slot)
        answers = await _call(master, [(command, False) for command in commands], scripts, transaction=True)
        answers = [await _understood(slot_map, master, answer) for answer in answers]
        # Where one command is sent elsewhere, Redis does none of them.
        if not any(isinstance(answer, _Moved) for answer in answers):
            break
    return [answer.error if isinstance(answer, _Moved | _Asked) else answer for answer in answers]


async def _whom(slot_map: SlotMap, command: Command, slot: int | None) -> list[Master]:
    if slot is not None:
        return [await slot_map.master(slot)]
    masters = await slot_map.masters()
    return masters if name_of(command[0]) in ALL else masters[:1]


async def _call(
    master: Master,
    commands: Sequence[tuple[Command, bool]],
    scripts: Scripts | None,
    *,
    transaction: bool = False,
    confirmation: Confirmation | None = None,
) -> list[Any]:
    """What a master answers, errors among it. With each command: whether ASK has sent it there."""
    pool, callbacks = master.pool, master.client.response_callbacks
    try:
        if len(commands) == 1 and not commands[0][1] and not scripts and not transaction and confirmation is None:
            ((args, options), _), *_ = commands
            return [await redis.asyncio.Redis.execute_command(master.client, *args, **options)]  # type: ignore[no-untyped-call]  # redis-py's own
        pipeline = ConfirmedPipeline(pool, callbacks, transaction, None)
        pipeline.confirmation = confirmation
        wanted = []
        for (args, options), asked in commands:
            if asked:
                pipeline.command_stack.append((("ASKING",), {}))
            wanted.append(len(pipeline.command_stack))
            pipeline.command_stack.append((args, dict(options)))
        pipeline.scripts = {s for sha, s in (scripts or {}).items() if any(sha in args for (args, _), _ in commands)}
        answers = await pipeline.execute(raise_on_error=False)
        return [answers[index] for index in wanted]
    except ERRORS as error:
        return [error] * len(commands)


class _Moved(NamedTuple):
    """Another master has the slot: `error` is for the caller where that goes on for too long."""

    error: RedisUnavailableError


class _Asked(NamedTuple):
    """The key is at another master already, on its way there."""

    error: RedisUnavailableError
    master: Master


async def _understood(slot_map: SlotMap, master: Master, answer: Any) -> Any:  # noqa: ANN401 - whatever Redis answers
    """An answer; what to raise in place of an error; or where to go instead."""
    if not isinstance(answer, Exception):
        return answer
    if isinstance(answer, MovedError | AskError):
        # Without a host it means that of whoever says it.
        host = (answer.host or master.host[0], answer.port)
        error = RedisUnavailableError(f"a slot of the Redis Cluster is on its way: {answer}", code=code_of(answer))
        if isinstance(answer, MovedError):
            slot_map.moved(answer.slot_id, host)
            return _Moved(error)
        return _Asked(error, slot_map.at(host))
    if code_of(answer) in _DOUBTFUL or then(answer) is Then.FAIL_OVER:
        slot_map.doubt(master.host)
    if isinstance(answer, NoScriptError):
        return answer  # whoever runs a script looks for it, and sends the script
    if (unavailable := await instead(master.pool, answer)) is None:
        return answer
    unavailable.__cause__ = answer
    return unavailable
