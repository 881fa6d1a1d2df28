"""What an acknowledgement promises, whether Redis is set up to keep that promise, and writes that keep it."""

import asyncio
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import structlog
from pydantic import Field
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, ResponseError

from core.errors import BadSettingsError
from runtime.settings import Settings
from state.access import Right, access
from state.calls import Pipeline
from state.client import Redis
from state.cluster import ClusterPipeline
from state.codes import RedisUnavailableError
from state.confirmed import Confirmation, Needed
from state.disk import is_nearly_full, until_written
from state.server import masters

ACCESS = {Right.READ: [access("", "INFO CONFIG|GET")]}


class Durability(StrEnum):
    """When a publisher is acknowledged."""

    ACCEPTED = "accepted"
    """Redis holds the message; it is on disk as soon as Redis's own `appendfsync` says."""
    FSYNCED = "fsynced"
    """Redis has synced the message to its disk."""
    REPLICATED = "replicated"
    """REPLICAS replicas hold it, too (WAIT)."""
    REPLICATED_FSYNCED = "replicated-fsynced"
    """The primary and REPLICAS replicas have synced it to their disks (WAITAOF: Redis 7.2, Valkey)."""


_log = structlog.stdlib.get_logger("redis")
_REPLICATED = {Durability.REPLICATED, Durability.REPLICATED_FSYNCED}


class DurabilitySettings(Settings):
    """What whoever acknowledges needs."""

    durability: Durability = Field(
        default=Durability.ACCEPTED,
        description="Acknowledge once Redis holds a message (accepted), once it has synced it to disk (fsynced), once"
        " REPLICAS replicas hold it, too (replicated), or have synced it (replicated-fsynced).",
    )
    replicas: int = Field(default=1, ge=1, le=10, description="Replicas that DURABILITY=replicated waits for.")


class Writes:
    """Writes that count once they are as durable as DURABILITY says."""

    def __init__(
        self,
        client: Redis,
        *,
        durability: Durability = Durability.ACCEPTED,
        replicas: int = 1,
        reserve: Path | None = None,
    ) -> None:
        """`reserve` is that of the disk of Redis (`state.disk`); None where nobody keeps one."""
        self._client = client
        self._reserve = reserve
        self._unwritten = 0
        self._confirmation = (
            Confirmation(Needed(replicas, fsynced=durability is Durability.REPLICATED_FSYNCED))
            if durability in _REPLICATED
            else None
        )

    @property
    def problem(self) -> str | None:
        """Why nothing counts at present, for what is written is not confirmed; None where all is well."""
        if self._unwritten:
            return "the disk of Redis is full: it has yet to write what it has answered"
        return self._confirmation.problem if self._confirmation else None

    async def until_written(self, client: Redis | None = None) -> None:
        """Return once what Redis has answered would survive it: at once, unless its disk is nearly full.

        To be called after each answer; `run` does it. `client` is whose answer it was, unless it is the one of all.
        Raises UnavailableError.
        """
        if not is_nearly_full(self._reserve):
            return
        self._unwritten += 1
        try:
            for server in await masters(client or self._client):
                await until_written(server)
        finally:
            self._unwritten -= 1

    def pipeline(self) -> Pipeline | ClusterPipeline:
        """A pipeline without a transaction, whose answers come once what it has written counts; see `until_written`."""
        return self._pipeline_of(self._client)

    def _pipeline_of(self, client: Redis) -> Pipeline | ClusterPipeline:
        pipeline = client.pipeline(transaction=False)
        if self._confirmation is not None:
            if not isinstance(pipeline, Pipeline | ClusterPipeline):
                raise TypeError("only a client of open_redis confirms what it writes")
            pipeline.confirmation = self._confirmation
        return cast("Pipeline | ClusterPipeline", pipeline)

    async def run(self, script: AsyncScript, *, keys: Sequence[Any], args: Iterable[Any] = ()) -> Any:  # noqa: ANN401 - whatever the script answers
        """The answer of a script, once what it has written counts.

        Where that is not confirmed in time, it is asked for again, and the script is not run again. Raises
        UnavailableError: it may have run then or not.
        """
        # Not always where everything else is: `raw` may lie on a Redis of its own.
        client = cast("Redis", script.registered_client)
        if self._confirmation is None:
            answer = await script(keys=keys, args=args)
            await self.until_written(client)
            return answer
        words = [len(keys), *keys, *args]
        answer = await self._send(client, "EVALSHA", script.sha, *words)
        if isinstance(answer, NoScriptError):
            answer = await self._send(client, "EVAL", script.script, *words)
        if isinstance(answer, Exception):
            raise answer
        await self.until_written(client)
        return answer

    async def _send(self, client: Redis, *command: Any) -> Any:  # noqa: ANN401
        async with self._pipeline_of(client) as pipeline:
            pipeline.execute_command(*command)
            (answer,) = await pipeline.execute(raise_on_error=False)
        return answer


async def check_durability(client: Redis, durability: Durability, *, replicas: int = 1) -> None:
    """Refuse a Redis that is not set up for it.

    Raises BadSettingsError then, and UnavailableError if it does not answer, or has too few replicas. Replicas may
    come back: so whoever starts waits for them. The same of every master of a cluster.
    """
    if durability is Durability.ACCEPTED:
        return
    for master in await masters(client):
        if durability in _REPLICATED:
            await _check_replicas(master, durability, replicas)
        if durability is not Durability.REPLICATED:
            await _check_disk(master, durability)


async def _check_replicas(master: Redis, durability: Durability, replicas: int) -> None:
    told, server = await asyncio.gather(master.info("replication"), master.info("server"))
    online = sum(
        1
        for name, each in told.items()
        if name.startswith("slave") and isinstance(each, dict) and each["state"] == "online"
    )
    if online < replicas:
        where = f" the Redis at port {server.get('tcp_port')}" if "tcp_port" in server else " Redis"
        raise RedisUnavailableError(
            f"DURABILITY={durability} with REPLICAS={replicas} waits for replicas:{where} has {online} that follow it",
            code="NOREPLICAS",
        )
    if online > replicas:
        _log.warning(
            "a replica that lacks what was acknowledged could take over: let REPLICAS be as many as follow",
            REPLICAS=replicas,
            follow=online,
        )
    version = str(server.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if durability is Durability.REPLICATED_FSYNCED and numbers and numbers < (7, 2):
        raise BadSettingsError(
            f"DURABILITY={durability} needs WAITAOF, which Redis has from 7.2 on; this one is {version}"
        )


async def _check_disk(master: Redis, durability: Durability) -> None:
    try:
        found = cast("dict[str, Any]", await master.config_get("append*"))
    except (RedisUnavailableError, ResponseError) as error:
        if isinstance(error, RedisUnavailableError) and error.code != "NOPERM":
            raise
        raise BadSettingsError(f"DURABILITY={durability}: Redis does not tell how it is set up: {error}") from error
    always = durability is Durability.FSYNCED
    if found.get("appendonly") != "yes" or (always and found.get("appendfsync") != "always"):
        needs = "`appendonly yes` and `appendfsync always`" if always else "`appendonly yes`"
        raise BadSettingsError(
            f"DURABILITY={durability} needs a Redis with {needs}; this one has "
            f"`appendonly {found.get('appendonly')}` and `appendfsync {found.get('appendfsync')}`"
        )
