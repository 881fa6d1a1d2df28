"""One Redis that Sentinel watches: each new connection goes to whichever server the Sentinels call the primary now.

redis-py's own parts do that (`redis.asyncio.sentinel`); here they stand on a pool whose connections wait for their
turn. Most Sentinels are asked, each for a short while only, and the newest configuration counts: of three, one may be
frozen, and one may not have heard of a failover yet. They are asked again each second while calls are made: a primary
that was given up and lives takes writes for ten seconds more, until a Sentinel tells it; and all of them are lost.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from state.address import Address, Host
from state.calls import ERRORS, Client, Pool, Redis
from state.looking_up import looking_up
from state.packing import packing

ASK_SECONDS = 1.0
"""How long one Sentinel may take to answer."""
AGAIN_SECONDS = 1.0
"""How often they are asked, at the most, who the primary is, although it answers."""


class _Sentinels(Sentinel):
    """Asks most of them, and takes the newest answer. redis-py's own way takes the first."""

    async def discover_master(self, service_name: str) -> Host:
        asking = [asyncio.create_task(self._ask(sentinel, service_name)) for sentinel in self.sentinels]
        told: list[tuple[int, Host]] = []
        problems: list[str] = []
        answered = 0
        try:
            for answer in asyncio.as_completed(asking):
                try:
                    told.append(await answer)
                    answered += 1
                except MasterNotFoundError as error:
                    problems.append(str(error))
                    answered += 1
                except ERRORS as error:
                    problems.append(str(error))
                if told and 2 * answered > len(asking):
                    break
        finally:
            for task in asking:
                task.cancel()
        if not told:
            raise MasterNotFoundError(f"Sentinel names no primary: {', '.join(dict.fromkeys(problems))}")
        return max(told)[1]

    async def _ask(self, sentinel: Redis, service: str) -> tuple[int, Host]:
        """What one of them says, and how new it is."""
        found = cast("dict[str, Any]", await sentinel.sentinel_masters()).get(service)
        if not found:
            raise MasterNotFoundError(f"{service!r} is not known")
        if not self.check_master_state(found, service):
            raise MasterNotFoundError(f"{service!r} is down")
        return int(found["config-epoch"]), (str(found["ip"]), int(found["port"]))


class _Pool(Pool, SentinelConnectionPool):
    """Connections to the primary. Those to another server are closed as soon as it is known that it is another."""

    def __init__(self, *, server: Callable[[str, int], Pool], **options: Any) -> None:
        """`server` makes the connections to one that is not the primary."""
        super().__init__(**options)
        self._server = server
        self._replicas: dict[Host, Redis] = {}

    _asked_again_at = float("-inf")
    _asking_again: "asyncio.Task[None] | None" = None

    async def get_connection(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        now = asyncio.get_running_loop().time()
        if self.master_address and now - self._asked_again_at > AGAIN_SECONDS and self._asking_again is None:
            self._asked_again_at = now
            self._asking_again = asyncio.create_task(self._ask_again())
        return await super().get_connection()  # type: ignore[no-untyped-call]  # redis-py's own

    async def _ask_again(self) -> None:
        before = self.master_address
        try:
            if await self.get_master_address() != before:  # type: ignore[no-untyped-call]  # redis-py's own
                await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # the same
        except ERRORS:
            pass  # whoever makes a connection hears of it
        finally:
            self._asking_again = None

    async def replicas(self) -> list[Redis]:
        """A client of each replica that is not down."""
        told = await self.sentinel_manager.discover_slaves(self.service_name)
        hosts = [(str(host), int(port)) for host, port in told]
        for host in hosts:
            if host not in self._replicas:
                self._replicas[host] = Client.from_pool(self._server(*host))
        return [self._replicas[host] for host in hosts]

    async def aclose(self) -> None:
        if self._asking_again is not None:
            self._asking_again.cancel()
        for replica in self._replicas.values():
            await replica.aclose()
        await super().aclose()
        await self.sentinel_manager.aclose()


async def replicas_of(client: Redis) -> list[Redis]:
    """A client of each replica that Sentinel tells of; none where `client` does not ask Sentinel."""
    pool = client.connection_pool if isinstance(client, Client) else None
    return await pool.replicas() if isinstance(pool, _Pool) else []


def sentinel_pool(address: Address, options: dict[str, Any], *, server: Callable[[str, int], Pool]) -> Pool:
    """The connections to the service of `address`, each made with `options`; `server` makes those to its replicas."""
    asking: dict[str, Any] = {
        "socket_timeout": ASK_SECONDS,
        "socket_connect_timeout": ASK_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        **address.sentinel_options,
        "ssl": address.encrypted,
    }
    sentinels = _Sentinels(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py's own
    for sentinel in sentinels.sentinels:
        pool = sentinel.connection_pool
        pool.connection_class = looking_up(pool.connection_class)
    primary = looking_up(SentinelManagedSSLConnection if address.encrypted else SentinelManagedConnection)
    return _Pool(
        server=server,
        service_name=address.service,
        sentinel_manager=sentinels,
        connection_class=packing(primary),  # type: ignore[arg-type]  # mypy takes the hash of an instance for its class's
        **options,
    )
