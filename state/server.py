"""What Redis says of itself: whether it is set up to keep what it is given, and how full it is."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import structlog
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import NoPermissionError, ResponseError

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.access import Right, access
from state.client import Redis
from state.cluster import ClusterClient
from state.codes import RedisUnavailableError, code_of
from state.disk import is_nearly_full
from state.raw_redis import all_redis
from state.sentinel import replicas_of

ACCESS = {Right.READ: [access("", "INFO")], Right.WRITE: [access("", "INFO BGREWRITEAOF")]}
EVERY_SECONDS = 1.0
OLDEST = (6, 2)
WARN_SHARE = 0.8
"""Of maxmemory; somebody should look before there is no more."""
NOEVICTION = "noeviction"

_log = structlog.stdlib.get_logger("redis")


@dataclass(frozen=True, slots=True)
class RedisState:
    """One look at it, of a cluster at its weakest master: the fullest, the oldest, the one that keeps least.

    What a Redis does not tell is as if it were well; a managed one may not tell all.
    """

    run_id: str = ""
    """Another one is another Redis, or the same one started again."""
    version: str = ""
    policy: str = NOEVICTION
    """What it does at `maxmemory`."""
    used_memory: int = 0
    """Bytes."""
    maxmemory: int = 0
    """Bytes; 0 for no limit."""
    append_only: bool = True
    """Whether it writes down what it is given."""
    persists: bool = True
    """Whether its last write to the append-only file, and its last snapshot, went well."""

    @property
    def share(self) -> float:
        """Of maxmemory that is used; 0 where there is no limit."""
        return self.used_memory / self.maxmemory if self.maxmemory else 0.0

    @property
    def fault(self) -> str | None:
        """Why nothing may be entrusted to it, and what to change; None where all is well."""
        if self.version and _numbers(self.version) < OLDEST:
            return f"REDIS_URL: Redis {self.version} is too old: 6.2 or later is needed"
        if self.maxmemory and self.policy != NOEVICTION:
            return (
                f"REDIS_URL: this Redis drops what it was given once `maxmemory` is reached (`maxmemory-policy "
                f"{self.policy}`): set `maxmemory-policy {NOEVICTION}`"
            )
        return None


async def masters(client: Redis) -> list[Redis]:
    """A client of each server that holds keys of its own: of one Redis it alone, of a cluster each master.

    For what asks a server and not a key: INFO, SCAN, CONFIG, BGREWRITEAOF, WAIT. Ask again each time: masters change.
    Raises UnavailableError.
    """
    if isinstance(client, ClusterClient):
        return [master.client for master in await client.slot_map.masters()]
    return [client]


async def redis_state(client: Redis) -> RedisState:
    """Look once; at several, a cluster or a Redis of `raw`, as if it were the weakest of them.

    Raises UnavailableError.
    """
    servers = [master for each in all_redis(client) for master in await masters(each)]
    states = await asyncio.gather(*(_state_of(server) for server in servers))
    if len(states) == 1:
        return states[0]
    fullest = max(states, key=lambda state: state.share)
    return RedisState(
        run_id=" ".join(state.run_id for state in states) if all(state.run_id for state in states) else "",
        version=min((state.version for state in states if state.version), key=_numbers, default=""),
        policy=next((state.policy for state in states if state.maxmemory and state.policy != NOEVICTION), NOEVICTION),
        used_memory=fullest.used_memory,
        maxmemory=fullest.maxmemory,
        append_only=all(state.append_only for state in states),
        persists=all(state.persists for state in states),
    )


async def _state_of(master: Redis) -> RedisState:
    async with master.pipeline(transaction=False) as pipeline:
        for section in ("server", "memory", "persistence"):
            pipeline.info(section)
        answers = await pipeline.execute(raise_on_error=False)
    told: dict[str, Any] = {}
    for answer in answers:
        if isinstance(answer, dict):
            told |= cast("dict[str, Any]", answer)
        elif not isinstance(answer, ResponseError) and getattr(answer, "code", None) != "NOPERM":
            raise answer
    usual = RedisState()
    return RedisState(
        run_id=str(told.get("run_id", "")),
        version=str(told.get("redis_version", "")),
        policy=str(told.get("maxmemory_policy", usual.policy)),
        used_memory=int(told.get("used_memory", 0)),
        maxmemory=int(told.get("maxmemory", 0)),
        append_only=bool(told.get("aof_enabled", usual.append_only)),
        persists=all(told.get(name, "ok") == "ok" for name in ("aof_last_write_status", "rdb_last_bgsave_status")),
    )


async def replicas(client: Redis) -> list[Redis]:
    """A client of each replica that a cluster or Sentinel tells of; of one Redis nobody tells.

    Raises UnavailableError.
    """
    if isinstance(client, ClusterClient):
        return [replica.client for replica in await client.slot_map.replicas()]
    return await replicas_of(client)


async def keeps_append_only(client: Redis) -> bool:
    """Whether one of the masters keeps an append-only file, or may do so and does not tell. Raises UnavailableError."""
    states = [await _state_of(master) for each in all_redis(client) for master in await masters(each)]
    return any(state.append_only for state in states)


class Rewriting(Enum):
    """How far servers are with rewriting their append-only files."""

    BEGUN = "begun"
    """Also where there is no such file."""
    LATER = "later"
    """One of them is at it already, or has failed: it is to be asked again."""
    NEVER = "never"
    """Our user may not have it done, or there is no such command."""


async def begin_rewriting(client: Redis) -> Rewriting:
    """Have each server rewrite its append-only file, if it has one: masters, and the replicas that are known.

    All of them are asked, whatever one says. Raises UnavailableError where one does not answer.
    """
    refusal = await _ask_to_rewrite(client)
    if refusal is None:
        return Rewriting.BEGUN
    is_forbidden = isinstance(refusal, NoPermissionError) or code_of(refusal) == "NOPERM"
    is_never = is_forbidden or "unknown command" in str(refusal)
    return Rewriting.NEVER if is_never else Rewriting.LATER


async def is_rewriting(client: Redis) -> bool | None:
    """Whether one of the servers is still at it; None where none is, but one has failed. Raises UnavailableError."""
    failed = False
    for server in [*await masters(client), *await replicas(client)]:
        told = await server.info("persistence")
        if not told.get("aof_enabled"):
            continue
        if int(told.get("aof_rewrite_in_progress", 0)) or int(told.get("aof_rewrite_scheduled", 0)):
            return True
        failed = failed or told.get("aof_last_bgrewrite_status", "ok") != "ok"
    return None if failed else False


async def server_runs(client: Redis) -> frozenset[str]:
    """What tells each server, and each of its starts, from all others. Raises UnavailableError."""
    told = [await server.info("server") for server in [*await masters(client), *await replicas(client)]]
    return frozenset(str(each.get("run_id")) for each in told)


async def rewrite_append_only(client: Redis) -> bool:
    """As `begin_rewriting`; False where one of them does not now, or never does."""
    return await _ask_to_rewrite(client) is None


async def _ask_to_rewrite(client: Redis) -> RedisUnavailableError | ResponseError | None:
    refusal: RedisUnavailableError | ResponseError | None = None
    for server in [*await masters(client), *await replicas(client)]:
        try:
            persistence = await server.info("persistence")
            if persistence.get("aof_enabled"):
                await server.bgrewriteaof()
        except (RedisUnavailableError, ResponseError) as error:
            refusal = refusal or error
    if isinstance(refusal, RedisUnavailableError) and refusal.code != "NOPERM":
        raise refusal
    if refusal is not None:
        _log.info("Redis does not rewrite its append-only file now", reason=str(refusal))
    return refusal


async def check_redis(client: Redis) -> None:
    """Raises BadSettingsError for a Redis that must not be used, UnavailableError where it does not answer."""
    state = await redis_state(client)
    if state.fault:
        raise BadSettingsError(state.fault)


class RedisWatch:
    """Looks at Redis again and again: another may be there after each reconnect."""

    def __init__(
        self,
        *,
        client: Redis,
        registry: CollectorRegistry | None = None,
        limit_share: float | None = None,
        reserve: Path | None = None,
    ) -> None:
        """`limit_share` is the part of maxmemory at which nothing new is to be given to it.

        `reserve` is a file that is there as long as Redis's disk has room (`state.disk`); None where nobody keeps one.
        """
        self._client = client
        self._reserve = reserve
        self._limit_share = limit_share
        self._said: set[str] = set()
        self.state: RedisState | None = None
        """The newest look; None before the first, and while Redis does not answer."""
        if registry is not None:
            _gauge(registry, "redis_up", "1 while Redis answers this process.", lambda: float(self.state is not None))
            _gauge(registry, "redis_persistence_ok", "1 while it can write to disk.", lambda: self._shown("persists"))
            _gauge(registry, "redis_memory_used_bytes", "Memory that Redis uses.", lambda: self._shown("used_memory"))
            _gauge(registry, "redis_memory_max_bytes", "Its maxmemory; 0: none.", lambda: self._shown("maxmemory"))
            _gauge(registry, "redis_memory_share", "Used of maxmemory, of the fullest master.", self._share)
            if reserve is not None:
                _gauge(registry, "redis_disk_free_bytes", "Free on its disk.", lambda: _free(reserve.parent))

    @property
    def disk_problem(self) -> str | None:
        """Why nothing may be written to its disk at present; None where there is room, or nobody looks."""
        if is_nearly_full(self._reserve):
            return "the disk of Redis is nearly full: nothing new is taken until there is room"
        return None

    @property
    def problem(self) -> str | None:
        """Why nothing may be given to it at present; None where all is well, or nothing is known."""
        if problem := self.disk_problem:
            return problem
        state = self.state
        if state is None:
            return None
        if state.fault:
            return state.fault
        if self._limit_share is not None and state.share >= self._limit_share:
            return (
                f"Redis uses {state.share:.0%} of its maxmemory, and from {self._limit_share:.0%} on nothing new is "
                "taken, so that what it has can be worked off"
            )
        return None

    async def run(self, stop: Stop) -> None:
        """Look until `stop`. Raises BadSettingsError where the first that answers must not be used."""
        first = True
        while not stop.is_set():
            try:
                await self.look()
            except UnavailableError:
                self.state = None  # whoever needs it says so
            else:
                if first and self.state is not None and self.state.fault:
                    raise BadSettingsError(self.state.fault)
                first = False
            await pause(EVERY_SECONDS, stop)

    async def look(self) -> None:
        """Look once. Raises UnavailableError."""
        state = await redis_state(self._client)
        if self.state is None or state.run_id != self.state.run_id:
            self._said.discard("full")
            self._tell(state)
        self.state = state
        if state.share >= WARN_SHARE:
            if "full" not in self._said:
                self._said.add("full")
                _log.warning("Redis is nearly full", share=f"{state.share:.0%}", maxmemory=state.maxmemory)
        elif state.share < WARN_SHARE - 0.05:
            self._said.discard("full")

    def _tell(self, state: RedisState) -> None:
        if state.fault:
            _log.error("this Redis must not be used", what_to_do=state.fault)
        elif not state.run_id:
            self._once("Redis does not tell how it is set up: nobody knows whether it may drop what it was given")
        elif not state.append_only:
            self._once("Redis keeps nothing on disk: when it ends, all is lost. Set `appendonly yes`")

    def _once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            _log.warning(words)

    def _share(self) -> float:
        return float("nan") if self.state is None else self.state.share

    def _shown(self, name: str) -> float:
        return float("nan") if self.state is None else float(getattr(self.state, name))


def _gauge(registry: CollectorRegistry, name: str, about: str, value: Callable[[], float]) -> None:
    Gauge(name, about, registry=registry).set_function(value)


def _free(folder: Path) -> float:
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return float("nan")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
